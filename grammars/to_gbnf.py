"""Grammars written down as GBNF, which llama.cpp, xgrammar (so vLLM and SGLang) and `gbnf` here read alike."""

from __future__ import annotations

from collections.abc import Callable

from .ebnf_parse import Alt, Chars, Name, Node, Repeat, Seq, Text
from .errors import UnsupportedConstraint
from .grammar import Grammar
from .productions import MOST_RULES, productions
from .unicode_sets import Ranges

PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$%&'()*+,./:;<=>?@_`{|}~")
LOOPS = {(0, None): "*", (1, None): "+", (0, 1): "?"}


def to_gbnf(grammar: Grammar, *, most_repeats: int | None = None, most_rules: int = MOST_RULES) -> str:
    """The same language in GBNF, with the start rule `root`.

    most_repeats: the largest bound of a repeat that the reader takes
    most_rules: beside the start

    Raises UnsupportedConstraint for what has no notation (an intersection, say, whose automaton is large), for a
    larger bound and for more rules; EmptyLanguage.

    >>> from lmprog.grammars import regex
    >>> print(to_gbnf(regex("[0-9]{1,3}(,[0-9]+)?")), end="")
    root ::= [0-9]{1,3} ("," [0-9]+)?
    """
    rules = productions(grammar.expr, most=most_rules)
    for node in rules.values():
        _check_repeats(node, most_repeats)
    return "".join([f"{name} ::= {_written(node)}\n" for name, node in rules.items()])


def _check_repeats(node: Node, most: int | None) -> None:
    match node:
        case Repeat(body, low, high):
            if most is not None and max(low, high or 0) > most:
                raise UnsupportedConstraint(f"a repeat of {max(low, high or 0)}, where the notation takes {most}")
            _check_repeats(body, most)
        case Seq(parts) | Alt(parts):
            for part in parts:
                _check_repeats(part, most)


def _written(node: Node, inside: bool = False) -> str:
    """`inside`: of something that binds more closely than an alternative does."""
    match node:
        case Text(value):
            return f'"{"".join(map(char, value))}"'
        case Chars(ranges):
            return f"[{spans(ranges, char)}]"
        case Name(value):
            return value
        case Repeat(body, low, high):
            return f"{_atom(body)}{bounds(low, high)}"
        case Seq(parts):
            return " ".join([_written(part, inside=True) for part in parts]) or '""'
        case Alt(parts):
            ways = " | ".join([_written(part) for part in parts])
            return f"({ways})" if inside else ways


def _atom(node: Node) -> str:
    written = _written(node, inside=True)
    return f"({written})" if isinstance(node, Seq | Repeat) else written


def bounds(low: int, high: int | None) -> str:
    """How often something is repeated, as GBNF and regular expressions write it."""
    if (low, high) in LOOPS:
        return LOOPS[low, high]
    return f"{{{low}}}" if low == high else f"{{{low},{'' if high is None else high}}}"


def spans(ranges: Ranges, char: Callable[[str], str]) -> str:
    """The inside of a character class, with `char` for how one is written."""
    return "".join([char(chr(low)) + (f"-{char(chr(high))}" if high > low else "") for low, high in ranges])


def char(c: str) -> str:
    """As it is written in strings and classes: what could mean something there, or is no ASCII, by its number.

    (xgrammar reads as many digits as there are behind \\x; \\u has four.)
    """
    if c in PLAIN:
        return c
    return f"\\u{ord(c):04X}" if ord(c) < 0x10000 else f"\\U{ord(c):08X}"
