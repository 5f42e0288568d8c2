"""Regular expressions as grammars."""

from __future__ import annotations

from functools import lru_cache

from .errors import UnsupportedConstraint
from .expr import ANY_TEXT, EPS, Expr, chars, options
from .grammar import Grammar
from .regex_compile import Alphabet, Compiler, intersects
from .regex_context import FREE
from .regex_escapes import shown
from .regex_nodes import Chars, Node, Repeat
from .regex_parse import Dialect, parse
from .string_machine import simplified
from .unicode_sets import ALL

PLAIN = Alphabet(lru_cache(maxsize=4096)(chars), options, ANY_TEXT)
_ANYTHING = Repeat(Chars(ALL), 0, None)


def regex(pattern: str, *, dialect: Dialect = "python") -> Grammar:
    """The texts that `pattern` matches as a whole, as `re.fullmatch` does.

    `dialect` is "python" or "ecma" (ECMA-262 with the `u` flag). Look-ahead, bounded look-behind, anchors and word
    boundaries are exact; `\\p{...}` knows the general categories in both dialects.

    Raises `InvalidConstraint` when the pattern is broken and `UnsupportedConstraint` for back-references, possessive
    repeats, atomic and conditional groups, with the position.

    >>> regex(r"(?!admin)[a-z]{3,10}").matches("adam")
    True
    """
    return Grammar(whole(pattern, dialect, PLAIN))


def whole(pattern: str, dialect: Dialect, alphabet: Alphabet) -> Expr:
    """The texts, spelled in `alphabet`, that match from end to end."""
    return _compiled(pattern, dialect, alphabet, False)


def search(pattern: str, dialect: Dialect, alphabet: Alphabet) -> Expr:
    """The texts, spelled in `alphabet`, that hold a match somewhere: JSON Schema's reading."""
    return _compiled(pattern, dialect, alphabet, True)


@lru_cache(maxsize=512)
def _compiled(pattern: str, dialect: Dialect, alphabet: Alphabet, anywhere: bool) -> Expr:
    try:
        return _expr(parse(pattern, dialect), pattern, alphabet, anywhere)
    except RecursionError:
        raise UnsupportedConstraint(f"regex {shown(pattern)}: nested too deeply") from None


def _expr(node: Node, pattern: str, alphabet: Alphabet, anywhere: bool) -> Expr:
    try:
        found = simplified(lambda letters: _symbolic(node, letters, anywhere), alphabet) if intersects(node) else None
        return _symbolic(node, alphabet, anywhere) if found is None else found
    except UnsupportedConstraint as error:
        named = UnsupportedConstraint(f"regex {shown(pattern)}: {error}")
        named.where = error.where
        raise named from None


def _symbolic(node: Node, alphabet: Alphabet, anywhere: bool) -> Expr:
    compiler = Compiler(alphabet)
    entries = compiler.before(node, {FREE: alphabet.text if anywhere else EPS})
    return compiler.finish(compiler.before(_ANYTHING, entries) if anywhere else entries)
