"""Lark grammars, read by the `lark` package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .cfg import Nets, from_expansions
from .errors import InvalidConstraint, UnsupportedConstraint
from .lark_terminals import Pattern

if TYPE_CHECKING:
    from lark.grammar import Rule, Symbol
    from lark.lexer import TerminalDef

LIBRARY = Path(__file__).parent
DEEPEST = 500  # groups inside each other
_GROUPS = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/(?:\\.|[^/\\\n])+/|[()\[\]]')
_NAME = re.compile(r"(?:[Rr]ule|[Tt]erminal) '(\w+)' used|not defined: (\w+)")
_PLACE = re.compile(r"(?:at )?line (\d+),? column (\d+)")


@dataclass(frozen=True)
class Loaded:
    """The rules as nets over rule names and terminals' `Pattern`s."""

    rules: Nets
    patterns: list[Pattern]
    ignored: list[Pattern]


def load(source: str, folder: Path | None, start: str) -> Loaded:
    """Raises `InvalidConstraint` with line and column for a broken grammar."""
    terminals, rules, ignored = _compiled(source, folder, start)
    patterns = {terminal.name: _pattern(terminal) for terminal in terminals}
    expansions: dict[str, list[list[str | Pattern]]] = {}
    for rule in rules:
        symbols = [_symbol(s, rule, patterns) for s in rule.expansion]
        expansions.setdefault(rule.origin.name, []).append(symbols)
    if start not in expansions:
        raise InvalidConstraint(f"the start rule {start!r} is not defined")
    nets = {name: from_expansions(alternatives) for name, alternatives in expansions.items()}
    return Loaded(nets, list(patterns.values()), [patterns[name] for name in ignored])


def _compiled(source: str, folder: Path | None, start: str) -> tuple[list[TerminalDef], list[Rule], list[str]]:
    """Rules in BNF. The parser that `lark.Lark` would build on top is not needed and takes longer than all the rest."""
    from lark.exceptions import LarkError
    from lark.load_grammar import load_grammar

    _refuse_deep(source)

    paths = [_library] if folder is None else [str(folder), _library]
    try:
        grammar, _ = load_grammar(source, "the grammar", paths, False)  # type: ignore[no-untyped-call]
        terminals, rules, ignored = grammar.compile([start], set())
    except (LarkError, OSError, ValueError, re.error) as e:
        raise _broken(e, source) from None
    return terminals, rules, ignored


def _refuse_deep(source: str) -> None:
    """Lark takes time that is quadratic in the depth of groups."""
    depth = 0
    for found in _GROUPS.finditer(source):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(found[0], 0)
        if depth > DEEPEST:
            where = _where(source, found.start())
            raise UnsupportedConstraint(f"more than {DEEPEST} groups inside each other are not supported", where)


def _symbol(symbol: Symbol, rule: Rule, patterns: dict[str, Pattern]) -> str | Pattern:
    if not symbol.is_term:
        return symbol.name
    if symbol.name not in patterns:
        message = f"the terminal {symbol.name} is only declared: it has no text of its own"
        raise UnsupportedConstraint(message, f"rule {rule.origin.name}")
    return patterns[symbol.name]


def _library(_base: object, path: str) -> tuple[str, str]:
    """`%import lmprog.sql (start -> sql)` finds the grammars beside this file."""
    parts = Path(path).parts
    if parts[:1] != ("lmprog",):
        raise FileNotFoundError(path)
    found = LIBRARY.joinpath(*parts[1:])
    return str(found), found.read_text(encoding="utf-8")


def _pattern(terminal: TerminalDef) -> Pattern:
    pattern = terminal.pattern
    name = f"/{pattern.value}/" if terminal.name.startswith("__") else terminal.name
    try:
        least, most = pattern.min_width, pattern.max_width
    except re.error as e:
        raise InvalidConstraint(f"the terminal {name}: {e}") from None
    if least == 0:
        raise InvalidConstraint(f"the terminal {name} may be empty: put the repeat into a rule")
    literal = pattern.value if pattern.type == "str" else None
    flags = frozenset(pattern.flags)
    return Pattern(
        terminal.name, name, pattern.to_regexp(), literal, terminal.priority, flags, most, len(pattern.value)
    )


def _broken(e: Exception, source: str) -> InvalidConstraint:
    message = str(e).strip()
    if isinstance(e, OSError):
        return InvalidConstraint(f"the grammar to import is not found: {e.filename or message}")
    place = _PLACE.search(message)
    if place is not None:
        shown = message.replace(place[0], "").replace(" ,", ",").strip(" ,")
        return InvalidConstraint(f"broken Lark grammar: {shown}", f"line {place[1]}, column {place[2]}")
    name = _NAME.search(message)
    used = re.search(rf"\b{re.escape(name[1] or name[2])}\b", source) if name else None
    return InvalidConstraint(f"broken Lark grammar: {message}", used and _where(source, used.start()))


def _where(source: str, at: int) -> str:
    return f"line {source.count(chr(10), 0, at) + 1}, column {at - source.rfind(chr(10), 0, at)}"
