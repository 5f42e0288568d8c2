"""Errors of finding and loading a model; `ModelNotFound` stands in errors.py.

LmprogError
├── ModelNotFound
│   └── BrokenModel    there is something, but not a causal language model that can be loaded
├── CacheError         the default model's folder cannot be made: no space, no permission
└── InvalidOption      an option of `load` that cannot be
"""

from __future__ import annotations

from ..grammars.errors import LmprogError
from .errors import ModelNotFound


class BrokenModel(ModelNotFound):
    """The folder does not hold a causal language model that can be loaded."""


class CacheError(LmprogError):
    """A folder in the user's cache cannot be made."""


class InvalidOption(LmprogError, ValueError):
    """An unknown dtype, or a device that is not there."""
