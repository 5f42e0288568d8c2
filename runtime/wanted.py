"""What a request is to give, said as a language: for models that are elsewhere and take no masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..grammars.compiled import compile
from ..grammars.expr import Expr

if TYPE_CHECKING:
    from ..grammars.vocabulary import Vocabulary


@dataclass(frozen=True)
class Wanted:
    """A value, and what ends it.

    value   its language; None: any text
    ends    texts that end it where they follow; not part of the result
    check   the last word on a value
    heal    blanks at the end of the prompt may be spelt anew together with the value
    """

    value: Expr | None = None
    ends: tuple[str, ...] = ()
    check: Callable[[str], bool] | None = None
    heal: bool = True


def value_in(text: str, wanted: Wanted, bytes_: Vocabulary) -> tuple[str, bool] | None:
    """The value that a text begins with, and whether it has surely ended there; None when there is none.

    A value ends before the first of `ends` that comes behind a complete one, where nothing can continue it, or where
    the text leaves the language, as values do on an engine with masks.
    """
    if wanted.value is None:
        cut = min([at for end in wanted.ends if (at := text.find(end)) >= 0], default=-1)
        return (text, False) if cut < 0 else (text[:cut], True)
    c = compile(wanted.value, bytes_)
    s = c.start()
    for i, char in enumerate(text):
        if c.accepting(s) and (c.finished(s) or any([text.startswith(end, i) for end in wanted.ends])):
            return text[:i], True
        after = c.run(s, char.encode("utf-8", "surrogatepass"))
        if after is None:
            return (text[:i], True) if c.accepting(s) else None
        s = after
    return (text, c.finished(s)) if c.accepting(s) else None


def begins(text: str, wanted: Wanted, bytes_: Vocabulary) -> bool:
    """Whether a text is the beginning of a value."""
    if wanted.value is None:
        return True
    c = compile(wanted.value, bytes_)
    return c.run(c.start(), text.encode("utf-8", "surrogatepass")) is not None
