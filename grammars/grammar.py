"""The user-facing grammar: a language over texts, and how a text of it becomes a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from . import expr as x
from .distinct import distinct
from .expr import Expr

Parse = Callable[[str], Any]


@dataclass(frozen=True, repr=False)
class Grammar:
    """A set of texts, immutable and hashable; made by `regex`, `choices`, `json_schema`, `from_type` and by operators.

    `a + b` one after the other, `a | b` either, `a & b` both at once, `~a` every other text; a `str` stands for itself.
    `parse(text)` gives the Python value that a text of the grammar stands for; where nothing better is known that is
    the text.

    >>> from lmprog.grammars import regex
    >>> hour = regex("[01][0-9]|2[0-3]")
    >>> (hour + ":" + regex("[0-5][0-9]")).matches("23:59")
    True
    >>> (hour & ~regex("0.")).matches("09")
    False
    """

    expr: Expr
    parser: Parse | None = None
    name: str | None = None
    pending: Pending | None = None

    def matches(self, text: str) -> bool:
        """Whether `text` as a whole belongs to the language; needs no model."""
        return x.matches(self.expr, text.encode("utf-8", "surrogatepass"))

    def parse(self, text: str) -> Any:
        """The value that `text` stands for; typed grammars raise a `ValueError` when it stands for none."""
        return text if self.parser is None else self.parser(text)

    def __add__(self, other: Grammar | str) -> Grammar:
        return _chain(self, literal(other))

    def __radd__(self, other: str) -> Grammar:
        return literal(other) + self

    def __or__(self, other: Grammar | str) -> Grammar:
        return _either(self, literal(other))

    def __ror__(self, other: str) -> Grammar:
        return _either(literal(other), self)

    def __and__(self, other: Grammar) -> Grammar:
        """The texts of both; values are read as `self` reads them, or as `other` does when `self` has no type."""
        return Grammar(x.both(self.expr, other.expr), self.parser or other.parser)

    def __invert__(self) -> Grammar:
        return Grammar(x.negate(self.expr))

    def except_(self, *others: Grammar | str) -> Grammar:
        """The texts of this that are none of the others'; values stay those of this."""
        return Grammar(x.both(self.expr, *[x.complement(literal(other).expr) for other in others]), self.parser)

    def lookahead(self, ahead: Grammar | str, *, negative: bool = False) -> Grammar:
        """This, where a text of `ahead` comes next, or none does (`negative`); it is not consumed.

        What comes next is all that `+` adds to the right, however many times.

        >>> from lmprog.grammars import regex
        >>> word = regex("[a-z]").lookahead(regex("[^q]"), negative=True) + regex("[a-z]*")
        >>> word.matches("aqua"), word.matches("abba")
        (True, False)
        """
        wanted = x.concat(literal(ahead).expr, x.ANY_TEXT)
        rest = Grammar(x.EPS)
        seen = Pending(x.EPS, x.negate(wanted) if negative else wanted, rest)
        return _chain(self, Grammar(seen.expr, pending=seen))

    def many(self, sep: Grammar | str = "") -> Grammar:
        """Any number of repetitions, none included, with `sep` between two of them."""
        return Grammar(_repeated(self.expr, literal(sep).expr, 0, None))

    def times(self, low: int, high: int | None = None, sep: Grammar | str = "") -> Grammar:
        """Exactly `low` repetitions, or `low` to `high`, with `sep` between two of them."""
        return Grammar(_repeated(self.expr, literal(sep).expr, low, low if high is None else high))

    def many_unique(self, sep: Grammar | str = "", low: int = 0, high: int | None = None) -> Grammar:
        """`low` to `high` (None: any number) repetitions that all differ, as written, with `sep` between two of them.

        >>> from lmprog.grammars import choices
        >>> tags = choices(["new", "sold", "rare"]).many_unique(", ", low=1)
        >>> tags.matches("rare, new"), tags.matches("new, new")
        (True, False)
        """
        return Grammar(distinct(self.expr, literal(sep).expr, low, high))

    def optional(self) -> Grammar:
        """This or nothing; nothing is read as None when the grammar is typed."""
        return Grammar(x.alt(x.EPS, self.expr), _optional(self.parser))

    def named(self, name: str) -> Grammar:
        """The same language under a name, for captures and messages."""
        return replace(self, name=name)

    def __repr__(self) -> str:
        label = "" if self.name is None else f"{self.name}: "
        return f"Grammar({label}{self.expr!r})"


@dataclass(frozen=True, slots=True)
class Pending:
    """A look-ahead to which more may be added: `before`, then `rest` as far as it is also one of `ahead`."""

    before: Expr
    ahead: Expr
    rest: Grammar

    @property
    def expr(self) -> Expr:
        return x.concat(self.before, x.both(self.rest.expr, self.ahead))


def _chain(a: Grammar, b: Grammar) -> Grammar:
    if a.pending is not None:
        seen = replace(a.pending, rest=_chain(a.pending.rest, b))
    elif b.pending is not None:
        seen = replace(b.pending, before=x.concat(a.expr, b.pending.before))
    else:
        return Grammar(x.concat(a.expr, b.expr))
    return Grammar(seen.expr, pending=seen)


def _repeated(body: Expr, sep: Expr, low: int, high: int | None) -> Expr:
    if sep is x.EPS or high == 0:
        return x.repeat(body, low, high)
    more = x.repeat(x.concat(sep, body), max(low - 1, 0), None if high is None else high - 1)
    some = x.concat(body, more)
    return some if low else x.alt(x.EPS, some)


def literal(text: Grammar | str) -> Grammar:
    """The grammar of exactly this text; a grammar stays as it is."""
    return text if isinstance(text, Grammar) else Grammar(x.text(text))


def any_text() -> Grammar:
    """Any valid UTF-8 text."""
    return Grammar(x.ANY_TEXT)


def _either(a: Grammar, b: Grammar) -> Grammar:
    """Texts of both languages are read as `a` reads them."""
    if a.parser is b.parser is None:
        return Grammar(x.alt(a.expr, b.expr))
    return Grammar(x.alt(a.expr, b.expr), lambda text: (a if a.matches(text) else b).parse(text))


def _optional(parse: Parse | None) -> Parse | None:
    return None if parse is None else lambda text: None if text == "" else parse(text)
