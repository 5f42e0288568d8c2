"""The source of a program, for the places of findings and for what only the source tells. Nothing is run by it.

The truth about a program is its preview; the source serves to point at a line, and for what has no trace in a run, such
as a value that is never used.
"""

from __future__ import annotations

import ast
import builtins
import linecache
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from ..holes import gen, quote, select

HOLES = (gen, select, quote)
Function = ast.FunctionDef | ast.Lambda


class Site(NamedTuple):
    """A place in a file. `end` and `stop` are the line and column where it ends; columns count from 0."""

    file: str
    line: int
    column: int = 0
    end: int = 0
    stop: int = 0


class Source:
    """A file as a tree; empty where it cannot be read."""

    def __init__(self, file: str) -> None:
        self.file = file

    @cached_property
    def tree(self) -> ast.Module:
        try:
            return ast.parse("".join(linecache.getlines(self.file)))
        except (SyntaxError, ValueError):
            return ast.Module([], [])

    @cached_property
    def _calls(self) -> dict[tuple[int, ...], ast.Call]:
        return {place(node): node for node in ast.walk(self.tree) if isinstance(node, ast.Call)}

    def part(self, site: Site, index: int) -> ast.expr | None:
        """The argument number `index` of the call of `p` at a site."""
        call = self._calls.get(site[1:])
        if call is None or any([isinstance(arg, ast.Starred) for arg in call.args[: index + 1]]):
            return None
        return call.args[index] if index < len(call.args) else None

    def function(self, code: CodeType) -> Function | None:
        """The definition that a code object is of; None where there is none, or more than one."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, Function) and _first(node) == _key(code)]
        return found[0] if len(found) == 1 else None

    def strings(self) -> Iterator[ast.Constant]:
        """The texts of the file that are no names of holes."""
        named = {id(kw.value) for node in ast.walk(self.tree) if isinstance(node, ast.Call) for kw in node.keywords
                 if kw.arg == "name"}  # fmt: skip
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in named:
                yield node


def place(node: ast.expr) -> tuple[int, int, int, int]:
    return node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0


def _first(node: Function) -> tuple[str, int]:
    if isinstance(node, ast.Lambda):
        return "<lambda>", node.lineno
    return node.name, min([node.lineno, *[decorator.lineno for decorator in node.decorator_list]])


def _key(code: CodeType) -> tuple[str, int]:
    return code.co_name, code.co_firstlineno


class Names:
    """What names in a function's source stand for."""

    def __init__(self, function: FunctionType) -> None:
        self._known: Mapping[str, Any] = {**vars(builtins), **function.__globals__, **_closure(function)}

    def value(self, node: ast.AST) -> Any:
        """Of a name, or of an attribute of a module's name; None where that is not known."""
        if isinstance(node, ast.Name):
            return self._known.get(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = self._known.get(node.value.id)
            return getattr(owner, node.attr, None) if isinstance(owner, ModuleType) else None
        return None

    def is_hole(self, node: ast.AST | None) -> bool:
        """It is a call of `gen`, `select` or `quote`."""
        return isinstance(node, ast.Call) and self.value(node.func) in HOLES


def _closure(function: FunctionType) -> dict[str, Any]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    found = {}
    for name, cell in cells:
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    return found
