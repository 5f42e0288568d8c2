"""A choice between given texts."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import InvalidConstraint
from .expr import options as expr_options
from .grammar import Grammar


def choices(options: Iterable[str]) -> Grammar:
    """Exactly one of `options`; 100,000 of them are fine.

    Raises `InvalidConstraint` when there are none or when one is not a `str`.

    >>> choices(["yes", "no"]).matches("no")
    True
    """
    if isinstance(options, str):
        raise InvalidConstraint("choices need a list of texts, not one text: write choices([...])")
    words = list(options)
    if not words:
        raise InvalidConstraint("choices are empty: give at least one text")
    for i, word in enumerate(words):
        if not isinstance(word, str):
            raise InvalidConstraint(f"choices are texts (str), not {type(word).__name__}", where=f"option {i}")
    return Grammar(expr_options(words))
