"""Lark grammars, read by the `lark` package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .cfg import Net, Nets, from_expansions
from .errors import InvalidConstraint, UnsupportedConstraint
from .lark_terminals import Pattern

if TYPE_CHECKING:
    from lark import Lark
    from lark.lexer import TerminalDef

LIBRARY = Path(__file__).parent
_PLACE = re.compile(r"(?:at )?line (\d+),? column (\d+)")


@dataclass(frozen=True)
class Loaded:
    """The rules as nets over rule names and terminals' `Pattern`s."""

    rules: Nets
    patterns: list[Pattern]
    ignored: list[Pattern]


def load(source: str, folder: Path | None, start: str, lexer: str) -> Loaded:
    """Raises `InvalidConstraint` with line and column for a broken grammar."""
    parsed = _lark(source, folder, start, lexer)
    patterns = {terminal.name: _pattern(terminal) for terminal in parsed.terminals}
    rules: dict[str, list[list[str | Pattern]]] = {}
    for rule in parsed.rules:
        symbols = [patterns.get(s.name, s) if s.is_term else s.name for s in rule.expansion]
        for symbol in symbols:
            if not isinstance(symbol, str | Pattern):
                message = f"the terminal {symbol.name} is only declared: it has no text of its own"
                raise UnsupportedConstraint(message, f"rule {rule.origin.name}")
        rules.setdefault(rule.origin.name, []).append(symbols)
    nets = {name: from_expansions(expansions) for name, expansions in rules.items()}
    return Loaded(nets, list(patterns.values()), [patterns[name] for name in parsed.ignore_tokens])


def _lark(source: str, folder: Path | None, start: str, lexer: str) -> Lark:
    from lark import Lark
    from lark.exceptions import LarkError

    paths = [_library] if folder is None else [str(folder), _library]
    try:
        return Lark(source, parser="earley", lexer=lexer, start=start, import_paths=paths, maybe_placeholders=False)
    except (LarkError, OSError, re.error) as e:
        raise _broken(e) from None


def _library(_base: object, path: str) -> tuple[str, str]:
    """`%import lmprog.sql (start -> sql)` finds the grammars beside this file."""
    parts = Path(path).parts
    if parts[:1] != ("lmprog",):
        raise FileNotFoundError(path)
    found = LIBRARY.joinpath(*parts[1:])
    return str(found), found.read_text(encoding="utf-8")


def _pattern(terminal: TerminalDef) -> Pattern:
    pattern = terminal.pattern
    return Pattern(
        terminal.name,
        pattern.to_regexp(),
        pattern.value if pattern.type == "str" else None,
        terminal.priority,
        frozenset(pattern.flags),
        pattern.max_width,
        len(pattern.value),
    )


def _broken(e: Exception) -> InvalidConstraint:
    message = str(e).strip()
    if isinstance(e, OSError):
        return InvalidConstraint(f"the grammar to import is not found: {e.filename or message}")
    place = _PLACE.search(message)
    if place is None:
        return InvalidConstraint(f"broken Lark grammar: {message}")
    shown = message.replace(place[0], "").replace(" ,", ",").strip()
    return InvalidConstraint(f"broken Lark grammar: {shown}", f"line {place[1]}, column {place[2]}")
