"""Lark grammars as grammars."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from .cfg import Net, Nets, tidy
from .cfg_expr import normal
from .errors import InvalidConstraint
from .expr import Expr
from .grammar import Grammar
from .lark_lexing import Lexing
from .lark_load import Loaded, load
from .lark_terminals import Pattern, Terminal, basic, dynamic

Lexer = Literal["dynamic", "dynamic_complete", "basic"]


def lark(source: str | Path, *, start: str = "start", lexer: Lexer = "dynamic") -> Grammar:
    r"""The texts that `lark.Lark(source, parser="earley", lexer=lexer)` parses.

    `source` is a grammar or the path of one (a `Path`, or a string without line breaks that ends in ".lark").
    """
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
    return Lexing(normal(rules), ignored).language(start, start in empty)


def _with_terminals(net: Net, terminals: dict[Pattern, Terminal]) -> Net:
    edges = [[(terminals.get(s, s), to) for s, to in edges] for edges in net.edges]  # type: ignore[call-overload]
    return Net(edges, net.skips, net.final)


__all__ = ["Lexer", "Nets", "lark"]
