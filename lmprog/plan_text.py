"""Plans for people, as an indented listing, and for programs, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from functools import reduce
from itertools import groupby
from operator import and_
from typing import Any

from .plan import Branch, Decoding, End, Fill, Item, Node, Piece, Role, Text, nodes

FEW = 6  # values that are listed


def listing(root: Node) -> str:
    """One line for each stretch without a branch; what comes behind a branch whichever way it goes stands below it."""
    return "\n".join(_Listing(root).lines)


class _Listing:
    """`joins`: of each branch, the node where its ways meet again. Other nodes that are reached in several ways are
    written once, with a number."""

    def __init__(self, root: Node) -> None:
        self._joins = _joins(root)
        self._numbers: dict[int, int] = {}
        for _ in range(2):  # the first time shows which nodes need a number
            self.lines: list[str] = []
            self._written: set[int] = set()
            self._walk(root, 0, None)

    def _walk(self, node: Node | None, depth: int, stop: Node | None) -> None:
        line: list[Item | str] = []
        while node is not None and node is not stop:
            if id(node) in self._written and node.next:
                line.append(f"as from #{self._numbers.setdefault(id(node), len(self._numbers) + 1)}")
                break
            if id(node) in self._numbers:
                self._flush(line, depth)
                line.append(f"#{self._numbers[id(node)]}:")
            self._written.add(id(node))
            if isinstance(node.item, Branch):
                self._flush(line, depth)
                node = self._branch(node, node.item, depth)
                continue
            if isinstance(node.item, Role | End) and getattr(node.item, "role", True):
                self._flush(line, depth)
            line.append(node.item)
            node = node.next[0] if node.next else None
        self._flush(line, depth)

    def _branch(self, node: Node, branch: Branch, depth: int) -> Node | None:
        join = self._joins.get(id(node))
        for i, (cell, after) in enumerate(zip(branch.cells, node.next, strict=True)):
            rest = i and i == len(branch.cells) - 1 and len(cell) > 1
            self.lines.append("    " * depth + ("otherwise:" if rest else f"⟨{branch.name}⟩ = {_values(cell)}:"))
            before = len(self.lines)
            self._walk(after, depth + 1, join)
            if len(self.lines) == before:
                self.lines[-1] += " nothing"
        return join

    def _flush(self, line: list[Item | str], depth: int) -> None:
        """Write a line; texts that follow one another are one text."""
        if not line:
            return
        shown = []
        for text, items in groupby(line, lambda item: isinstance(item, Text)):
            if text:
                shown.append(_text([piece for item in items if isinstance(item, Text) for piece in item.pieces]))
            else:
                shown += [item if isinstance(item, str) else _show(item) for item in items]
        self.lines.append("    " * depth + " ".join(shown))
        line.clear()


def _joins(root: Node) -> dict[int, Node]:
    """Of each branch the first node that all its ways come to, if there is one."""
    order = list(nodes(root))
    passed: dict[int, int] = {}  # of each node: those that every way from it passes, as bits
    found = {}
    for i, node in reversed(list(enumerate(order))):
        common = reduce(and_, [passed[id(after)] for after in node.next]) if node.next else 0
        passed[id(node)] = common | 1 << i
        if isinstance(node.item, Branch) and common:
            found[id(node)] = order[(common & -common).bit_length() - 1]
    return found


def _show(item: Item) -> str:
    match item:
        case Fill(name=name, hole=hole):
            budget = "" if hole.max_tokens is None else f", max_tokens={hole.max_tokens}"
            return f"⟨{name}: {hole.kind}{budget}⟩"
        case Role(role, name):
            return f"[{role} {name}]" if name else f"[{role}]" if role else "[end]"
        case Decoding(decoder):
            return "[decoding as before]" if decoder is None else f"[decoding by {_decoder(decoder)}]"
        case End("return"):
            return "return"
        case End(why, detail):
            return f"… not known: {why}{detail and f' ({detail})'}"
    raise AssertionError(item)


def _decoder(decoder: Any) -> str:
    """Without what is as it always is."""
    said = [f for f in fields(decoder) if getattr(decoder, f.name) != f.default] if is_dataclass(decoder) else None
    if said is None:
        return repr(decoder)
    return f"{type(decoder).__name__}({', '.join([f'{f.name}={getattr(decoder, f.name)!r}' for f in said])})"


def _text(pieces: Sequence[Piece]) -> str:
    """As Python would write it."""
    if all([isinstance(piece, str) for piece in pieces]):
        return _quoted("".join(map(str, pieces)))
    parts = [p.replace("{", "{{").replace("}", "}}") if isinstance(p, str) else f"{{{p.label}}}" for p in pieces]
    return f"f{_quoted(''.join(parts))}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _values(cell: Sequence[str]) -> str:
    shown = ", ".join([_quoted(text) for text in cell[:FEW]])
    return shown if len(cell) <= FEW else f"{shown} or {len(cell) - FEW} others"


def as_dict(root: Node) -> dict[str, Any]:
    order = list(nodes(root))
    numbers = {id(node): i for i, node in enumerate(order)}
    return {"nodes": [_as_dict(node.item) | {"next": [numbers[id(n)] for n in node.next]} for node in order]}


def _as_dict(item: Item) -> dict[str, Any]:
    match item:
        case Text(pieces):
            return {"kind": "text", "pieces": _pieces(pieces)}
        case Fill(name=name, follow=follow, hole=hole, options=options):
            limits = {"options": options and [*options], "stop": [*hole.stop], "max_tokens": hole.max_tokens}
            return {"kind": "hole", "name": name, "language": hole.kind, "follow": _pieces(follow), **limits}
        case Role(role, name):
            return {"kind": "role", "role": role, "name": name}
        case Decoding(decoder):
            return {"kind": "decoding", "decoder": None if decoder is None else repr(decoder)}
        case Branch(back, name, cells):
            return {"kind": "branch", "hole": name, "back": back, "cells": [[*cell] for cell in cells]}
        case End(why, detail):
            return {"kind": "end", "why": why, "detail": detail}


def _pieces(pieces: Sequence[Piece]) -> list[Any]:
    return [
        piece
        if isinstance(piece, str)
        else {"back": piece.back, "label": piece.label, "texts": piece.texts and dict(piece.texts)}
        for piece in pieces
    ]
