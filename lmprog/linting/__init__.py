"""What can be said about a program before it runs for good, and how much its score depends on its format."""

from .findings import Finding
from .formats import Format
from .rules import lint
from .sensitivity import Posix, posix
from .spread import FormatScore, FormatSpread, format_spread

__all__ = ["Finding", "Format", "FormatScore", "FormatSpread", "Posix", "format_spread", "lint", "posix"]
