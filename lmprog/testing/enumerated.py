"""Distributions over all values of a hole, by going through every sequence of tokens: the oracle of exact decoders.

It knows nothing of automata, masks or engines: only a table of probabilities, and a function that says what counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np

Table = Callable[[tuple[int, ...]], Sequence[float]]


def random_table(seed: int, symbols: int, length: int | None = None) -> Table:
    """Random probabilities; with a length, of texts of just so many tokens."""

    @cache
    def row(ids: tuple[int, ...]) -> Sequence[float]:
        if length is not None and len(ids) >= length:
            return [0.0] * symbols + [1.0]
        shares = np.random.default_rng([seed, len(ids), *ids]).dirichlet(np.ones(symbols + (length is None)))
        return [*shares.tolist(), 0.0] if length is not None else shares.tolist()

    return row


def sequences(table: Table, symbols: int, most: int) -> Iterator[tuple[tuple[int, ...], float, list[float]]]:
    """Every sequence of at most `most` tokens with a probability: (ids, that the text begins so, what comes next).

    table     as for `TableModel`: the probabilities of `symbols` tokens, then of the end, after a prefix
    """
    todo: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    while todo:
        ids, chance = todo.pop()
        given = table(ids)
        row = [share / sum(given) for share in given]
        yield ids, chance, row
        if len(ids) < most:
            todo += [((*ids, t), chance * row[t]) for t in range(symbols) if row[t] > 0]


def exactly(
    table: Table,
    tokens: Sequence[str],
    most: int,
    counts: Callable[[str], bool],
    closed: Callable[[str], bool],
    begins: Callable[[str], bool] = lambda text: True,
) -> tuple[dict[str, float], float]:
    """(the distribution of texts, given that they count; the probability Z that one that counts comes).

    closed   nothing can continue this text, so that it need not be followed by an end
    begins   a text that counts begins so; a token that makes it begin otherwise is an end, too
    """
    found: dict[str, float] = {}
    for ids, chance, row in sequences(table, len(tokens), most):
        text = "".join([tokens[i] for i in ids])
        if counts(text):
            ends = row[-1] + sum([row[i] for i, token in enumerate(tokens) if not begins(text + token)])
            found[text] = found.get(text, 0.0) + chance * (1.0 if closed(text) else ends)
    whole = sum(found.values())
    return {text: chance / whole for text, chance in found.items() if chance}, whole


def distance(a: dict[str, float], b: dict[str, float]) -> float:
    """Total variation between two distributions."""
    return sum(abs(a.get(key, 0.0) - b.get(key, 0.0)) for key in {*a, *b}) / 2
