"""Drafters and engines for tests of speculation."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Items
from contextlib import contextmanager
from typing import Any

from lmprog.runtime.engine import Engine
from lmprog.runtime.request import Vocab
from lmprog.runtime.runner import Runner
from lmprog.runtime.sequence import Sequence
from lmprog.runtime.speculation.estimates import StepCosts
from lmprog.runtime.speculation.tree import ROOT, Tree


class FreeRows(StepCosts):
    """As on a machine where a row more costs next to nothing: whatever may be right is drafted."""

    def step(self, tokens: int, wide: int) -> float:
        return 1.0 + 1e-9 * (tokens + wide)


class Parrot:
    """Random trees, of all tokens and of what is none."""

    name = "parrot"
    chances: tuple[float, ...] = (0.9, 0.5)

    def __init__(self, size: int, seed: int, nodes: int = 8) -> None:
        self.size, self.nodes, self.chance = size, nodes, random.Random(seed)
        self.live: set[Sequence] = set()

    def propose(self, seqs: Items[Sequence], limits: Items[int]) -> list[Tree]:
        self.live.update(seqs)
        return [self.tree(seq) for seq in seqs]

    def tree(self, seq: Sequence) -> Tree:
        tree, chance = Tree(), self.chance
        for _ in range(chance.randint(0, self.nodes)):
            tree.add(chance.randint(0, self.size), chance.randrange(ROOT, len(tree)), chance.randrange(2))
        return tree

    def ended(self, seq: Sequence) -> None:
        self.live.discard(seq)


class Oracle(Parrot):
    """Knows the results of prompts, with a slip here and there and random branches."""

    name = "oracle"

    def __init__(self, answers: Mapping[tuple[int, ...], Items[int]], size: int, seed: int) -> None:
        super().__init__(size, seed, 6)
        self.answers = answers

    def tree(self, seq: Sequence) -> Tree:
        answer = self.answers[tuple(seq.request.ids)]
        known = answer[seq.length - seq.prompt :][: self.chance.randint(0, 6)]
        tree = Tree()
        slips = [t if self.chance.random() < 0.9 else self.chance.randrange(self.size) for t in known]
        tree.chain(slips, [0] * len(slips))
        for _ in range(self.chance.randint(0, 3)):
            tree.add(self.chance.randint(0, self.size), self.chance.randrange(ROOT, len(tree)), 1)
        return tree


@contextmanager
def drafting(runner: Runner, vocab: Vocab, *drafters: Any, **settings: Any) -> Iterator[Engine]:
    """An engine that drafts whatever may be right; no drafter may fail."""
    with Engine(runner, vocab, drafters=drafters, **settings) as engine:
        speculator = engine._loop.speculator
        assert speculator is not None
        speculator.costs = FreeRows()
        yield engine
        assert list(drafters) == list(speculator._drafters.values())
