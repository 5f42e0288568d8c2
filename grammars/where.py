"""Conditions on a value, written as a Python expression and compiled exactly: `len(x) < 40 and "moon" in x`."""

from __future__ import annotations

import ast
from functools import lru_cache

from .algebra import algebra
from .errors import EmptyLanguage, InvalidConstraint, UnsupportedConstraint
from .expr import INF, Expr, both
from .grammar import Grammar
from .where_reader import Reader


def where(expression: str, *, name: str = "x") -> Grammar:
    """The texts `x` (or whatever `name` says) for which a Python expression is true.

    - `len(x)` in code points; `words(x)`: runs of anything but white space, as `len(x.split())`; `sentences(x)`: runs
      of words up to one that ends in `.`, `!`, `?` or `…` (closing quotes and brackets may follow), or up to the end;
      `x.count("ox")`. They are compared with numbers: `3 <= len(x) < 40`, `words(x) in range(3, 6)`.
    - `"ox" in x`, `x == "ox"`, `x in ["yes", "no"]`, `x < "m"`; `not in` and `!=`
    - `x.startswith("a")`, `x.endswith((".", "!"))`, also written `startswith(x, "a")`
    - `matches(x, r"[a-z]+")` (as `re.fullmatch`), `search(x, r"\\bmoon\\b")` (as `re.search`)
    - `int(x)`, `float(x)` for decimal numerals (sign, digits, maybe a point and digits); any comparison of what is no
      numeral is false
    - `x.isdigit()`, `x.isupper()` and the other `is…` methods of `str`
    - `x[0]`, `x[-1]`, slices and `x.strip()` in the place of `x`; of a character that is not there all is false
    - `and`, `or`, `not`, `... if ... else ...`, `True`, `False`; a text or number by itself is true unless empty or 0

    Raises InvalidConstraint for a broken expression, UnsupportedConstraint for what cannot be compiled exactly, both
    with the column, and EmptyLanguage when nothing meets the condition, with the parts that exclude each other.

    >>> where("len(x) < 10 and 'ox' in x").matches("a fox")
    True
    >>> where("words(x) == 2 and not x.endswith('.')").matches("Stop it.")
    False
    """
    return Grammar(_checked(expression, name, None))


def restrict(base: Grammar, expression: str, *, name: str = "x") -> Grammar:
    """`base & where(expression)`; when nothing is left, EmptyLanguage says what excludes what."""
    return Grammar(_checked(expression, name, base.expr), base.parser, base.name)


@lru_cache(maxsize=1024)
def _checked(expression: str, name: str, base: Expr | None) -> Expr:
    if not isinstance(expression, str):
        raise InvalidConstraint(f"where is an expression in a str, not {type(expression).__name__}")
    if not name.isidentifier():
        raise InvalidConstraint(f"the name of the value in a where is an identifier, not {name!r}")
    try:
        reader = Reader(expression, name)
        parts = [("the language of the value", base)] if base is not None else []
        parts += [(ast.unparse(node), reader.condition(node).yes) for node in reader.conjuncts()]
        whole = reader.condition(reader.tree).yes
    except (RecursionError, MemoryError):
        raise UnsupportedConstraint("the where expression is nested too deeply") from None
    whole = whole if base is None else both(base, whole)
    if empty(whole):
        raise EmptyLanguage(_contradiction(expression, parts))
    return whole


def empty(e: Expr) -> bool:
    side, handle = algebra(e)
    return side.minlen(handle) >= INF


def _contradiction(expression: str, parts: list[tuple[str, Expr]]) -> str:
    """Parts are left out one by one while what remains still contradicts itself."""
    for part in list(parts):
        rest = [p for p in parts if p is not part]
        if rest and _surely_empty(both(*[e for _, e in rest])):
            parts = rest
    named = [source for source, _ in parts]
    if len(named) == 1:
        return f"no text satisfies the where {expression!r}: {named[0]!r} is never true"
    return f"no text satisfies the where {expression!r}: " + " and ".join(map(repr, named)) + " exclude each other"


def _surely_empty(e: Expr) -> bool:
    try:
        return empty(e)
    except UnsupportedConstraint:
        return False
