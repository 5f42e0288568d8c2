"""What can be said about a program before it runs for good, and how much its score depends on its format."""

from .findings import Finding
from .rules import lint

__all__ = ["Finding", "lint"]
