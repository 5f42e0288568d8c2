from __future__ import annotations

import random

import numpy as np
import pytest

from lmprog.testing import Automaton, MarkovChain

TOKENS = ["a", "b", "ab", "c"]


def chain(seed: int) -> MarkovChain:
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.ones(len(TOKENS) + 1), size=len(TOKENS) + 1)
    return MarkovChain(TOKENS, rows[0].tolist(), rows[1:].tolist())


ANY_AB = {(0, x): {0} for x in "bc"} | {(0, "a"): {0, 1}, (1, "b"): {2}} | {(2, x): {2} for x in "abc"}
CONTAINS = Automaton(ANY_AB | {(3, x): {3} for x in "abc"} | {(3, "a"): {3, 1}}, {0, 3}, {2})  # ambiguous


def test_a_constrained_chain_against_all_its_texts() -> None:
    found, length = chain(0).constrained(CONTAINS, 3), 3
    texts: dict[tuple[int, ...], float] = {}
    todo: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    for ids, mass in todo:
        row = found.chain.next(ids[-1] if ids else None)
        if "ab" in "".join(TOKENS[i] for i in ids):
            texts[ids] = mass * float(row[-1])
        if len(ids) < length:
            todo += [((*ids, t), mass * float(row[t])) for t in range(len(TOKENS))]
    total = sum(texts.values())
    marginals = np.zeros((length + 1, len(TOKENS) + 1))
    for ids, mass in texts.items():
        for place in range(length + 1):
            marginals[place, ids[place] if place < len(ids) else -1] += mass / total

    assert found.normaliser == pytest.approx(total)
    assert np.allclose(found.marginals(), marginals)
    assert {ids: found.prob(ids) for ids in texts} == pytest.approx({ids: m / total for ids, m in texts.items()})


def test_samples_follow_the_condition() -> None:
    found, rng = chain(2).constrained(CONTAINS, 3), random.Random(0)
    drawn = [found.sample(rng) for _ in range(2000)]

    assert all("ab" in "".join(TOKENS[i] for i in ids) for ids in drawn)
    for ids in {*drawn[:50]}:
        assert drawn.count(ids) / 2000 == pytest.approx(found.prob(ids), abs=0.05)
