"""Compiled constraints, shared by all requests with the same grammar and vocabulary, within a bound on memory."""

from __future__ import annotations

import threading
import weakref

from .constraint import Automatic, Constraint
from .expr import Expr
from .grammar import Grammar
from .vocabulary import Vocabulary

_tables: weakref.WeakKeyDictionary[Vocabulary, dict[Expr, Automatic]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def compile(grammar: Grammar | Expr, vocab: Vocabulary) -> Constraint:
    """The constraint of a grammar for a vocabulary; the same one for the same pair, so that requests share its masks.

    Constraints that have not been asked for longest are given up when all of them together take more than
    `vocab.memory` bytes; those in use live on for as long as they are used.

    Raises EmptyLanguage, UnsupportedConstraint, InvalidConstraint.
    """
    expr = grammar.expr if isinstance(grammar, Grammar) else grammar
    with _lock:
        table = _tables.setdefault(vocab, {})
        found = table.pop(expr, None)
        if found is None or found.memory > vocab.memory:
            found = Automatic.of(expr, vocab)
            _make_room(table, vocab.memory)
        table[expr] = found  # the last used comes last
    return found


def _make_room(table: dict[Expr, Automatic], limit: int) -> None:
    taken = sum([c.memory for c in table.values()])
    while taken > limit:
        taken -= table.pop(next(iter(table))).memory
