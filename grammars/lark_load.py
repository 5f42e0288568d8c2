"""Lark grammars, read by the `lark` package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .cfg import Nets, from_expansions
from .errors import InvalidConstraint, UnsupportedConstraint
from .lark_terminals import Pattern
from .source_place import line_and_column, offset, with_caret

if TYPE_CHECKING:
    from lark.grammar import Rule, Symbol
    from lark.lexer import TerminalDef

LIBRARY = Path(__file__).parent
DEEPEST = 500  # groups inside each other
_GROUPS = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/(?:\\.|[^/\\\n])+/|[()\[\]]')
_NAME = re.compile(r"(?:[Rr]ule|[Tt]erminal) '(\w+)' used|not defined: (\w+)")
_TWICE = re.compile(r"'(\w+)' defined more than once")
_PLACE = re.compile(r",? *(?:at )?line (\d+),? column (\d+)")
_TOKEN = re.compile(r"Token\('(\w+)', .*\)")


@dataclass(frozen=True)
class Loaded:
    """The rules as nets over rule names and terminals' `Pattern`s."""

    rules: Nets
    patterns: list[Pattern]
    ignored: list[Pattern]


def load(source: str, folder: Path | None, start: str) -> Loaded:
    """Raises `InvalidConstraint` with line and column for a broken grammar."""
    terminals, rules, ignored = _compiled(source, folder, start)
    patterns = {terminal.name: _pattern(terminal, source) for terminal in terminals}
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
            message = f"more than {DEEPEST} groups inside each other are not supported"
            raise UnsupportedConstraint(message, line_and_column(source, found.start()))


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


def _pattern(terminal: TerminalDef, source: str) -> Pattern:
    pattern = terminal.pattern
    name = f"/{pattern.value}/" if terminal.name.startswith("__") else terminal.name
    at = source.find(f"/{pattern.value}/") if terminal.name.startswith("__") else _definition(terminal.name, source)
    try:
        re.compile(pattern.to_regexp())  # Lark asks the package `regex` as well, and then fails to match
    except re.error as e:
        raise _pointed(f"the terminal {name}: {e}", source, at) from None
    if pattern.min_width == 0:
        raise _pointed(f"the terminal {name} may be empty: put the repeat into a rule", source, at)
    literal = pattern.value if pattern.type == "str" else None
    flags = frozenset(pattern.flags)
    return Pattern(
        terminal.name,
        name,
        pattern.to_regexp(),
        literal,
        terminal.priority,
        flags,
        pattern.max_width,
        len(pattern.value),
    )


def _broken(e: Exception, source: str) -> InvalidConstraint:
    if isinstance(e, OSError):
        return InvalidConstraint(f"the grammar to import is not found: {e.filename or e}")
    cause = e.args[-1] if e.args else None
    message = f"the string {e.args[0]!r}: {cause.msg}" if isinstance(cause, SyntaxError) else str(e).strip()
    first = _TOKEN.sub(r"\1", _PLACE.sub("", message.split("\n")[0])).strip(" .,:")
    expected = re.findall(r"^\s\* (\w+)$", message, re.MULTILINE)
    shown = f"broken Lark grammar: {first}" + (f"; expected {' or '.join(expected)}" if expected else "")
    return _pointed(shown, source, _at(message, source))


def _at(message: str, source: str) -> int | None:
    """Where the error lies."""
    if place := _PLACE.search(message):
        return offset(source, int(place[1]), int(place[2]))
    if name := _TWICE.search(message):
        return _definition(name[1], source)
    if name := _NAME.search(message):
        used = re.search(rf"\b{re.escape(name[1] or name[2])}\b", source)
        return used and used.start()
    return None


def _definition(name: str, source: str) -> int | None:
    """Where a rule or terminal is defined, the last time."""
    found = [m.start(1) for m in re.finditer(rf"^[ \t?!]*({re.escape(name)})\b", source, re.MULTILINE)]
    return found[-1] if found else None


def _pointed(message: str, source: str, at: int | None) -> InvalidConstraint:
    if at is None or at < 0:
        return InvalidConstraint(message)
    return InvalidConstraint(with_caret(message, source, at), line_and_column(source, at))
