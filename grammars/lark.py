"""Lark grammars as grammars."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from .cfg import Net, tidy
from .cfg_expr import normal
from .errors import InvalidConstraint
from .expr import Expr
from .grammar import Grammar
from .lark_lexing import Lexing
from .lark_load import Loaded, load
from .lark_terminals import Pattern, Terminal, basic, dynamic

Lexer = Literal["dynamic", "dynamic_complete", "basic"]


def lark(source: str | Path, *, start: str = "start", lexer: Lexer = "dynamic") -> Grammar:
    r"""The texts that `lark.Lark(source, parser="earley", lexer=lexer, start=start)` parses.

    `source` is a grammar, or the path of one: a `Path`, or a string in one line that ends in ".lark". All of Lark's
    notation is understood: templates, imports (of Lark's `common`, of files beside the grammar, of `lmprog.sql` and the
    rest of the library), priorities, `%ignore`, `%override`, `%extend`; left recursion too. `%declare` is not, since
    such terminals have no text.

    `lexer` says what a terminal may match where; each is exact, on accepting as on rejecting:

    - "dynamic", Lark's default: what `re.match` prefers at this place, so the longest text of `/[a-z]+/`, and of
      `/".*?"/` the text up to the next quote. Every terminal for itself: `NAME` matches keywords as well.
    - "dynamic_complete": shorter matches too. Without look-ahead in terminals.
    - "basic": terminals compete, by priority and then by Lark's order, wherever they stand; strings that a pattern
      matches win over it, so that `NAME` excludes the grammar's keywords. Such texts parse with LALR's lexers as well.

    Raises `InvalidConstraint` for a broken grammar (with line and column where Lark tells), `UnsupportedConstraint` for
    terminals that look at the text before them, and for back-references.

    >>> sums = lark('start: start "+" NUMBER | NUMBER \n %import common.NUMBER \n %ignore " "')
    >>> sums.matches("1 + 2.5+3")
    True
    """
    if lexer not in get_args(Lexer):
        raise InvalidConstraint(f"lexer={lexer!r} is not one of {', '.join(get_args(Lexer))}")
    path = _path(source)
    text = str(source) if path is None else path.read_text(encoding="utf-8")
    try:
        return Grammar(_language(load(text, path and path.parent, start), start, lexer))
    except RecursionError:
        raise InvalidConstraint("the grammar is nested too deeply") from None


def _path(source: str | Path) -> Path | None:
    if isinstance(source, Path):
        return source
    return Path(source) if source.endswith(".lark") and "\n" not in source else None


def _language(loaded: Loaded, start: str, lexer: Lexer) -> Expr:
    if lexer == "basic":
        terminals = basic(loaded.patterns, loaded.ignored)
        ignored = [terminals[p] for p in loaded.ignored]
    else:
        used = {s for net in loaded.rules.values() for s in net.symbols() if isinstance(s, Pattern)}
        terminals = {p: dynamic(p, lexer == "dynamic_complete") for p in loaded.patterns if p in used}
        ignored = [dynamic(p, False) for p in loaded.ignored]  # the longest match, also with "dynamic_complete"
    rules, empty = tidy({name: _with_terminals(net, terminals) for name, net in loaded.rules.items()})
    return Lexing(normal(rules, [start]), ignored).language(start, start in empty)


def _with_terminals(net: Net, terminals: dict[Pattern, Terminal]) -> Net:
    edges = [[(terminals.get(s, s), to) for s, to in edges] for edges in net.edges]  # type: ignore[call-overload]
    return Net(edges, net.skips, net.final)
