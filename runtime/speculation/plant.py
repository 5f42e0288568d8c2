"""From proposed trees to what goes through the model: constraint states along the nodes, and how likely each is.

A proposed token that the mask forbids, or that would end the text, is left out. What a token forces comes behind it,
as in choice.py, and belongs to the same unit: logits are wanted only after the last token of a unit. A unit behind
which nothing is left to choose saves nothing, and is left out as well.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from collections.abc import Sequence as Items
from dataclasses import dataclass

from ..choice import Choice, look_ahead
from ..sequence import Sequence
from .forced import Forced
from .tree import ROOT, Draft, Tree

FLOOR = 0.02  # chance below which a node is not looked at
MOST = 48  # units of one sequence
Source = tuple[int, int]  # a drafter, and its kind of node


class Guess:
    """The trees of several drafters in one: of each node, who proposed it and how sure they were."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.sources: list[list[Source]] = []
        self.children: dict[int, list[int]] = {}

    def merge(self, tree: Tree, drafter: int) -> None:
        nodes = {ROOT: ROOT}
        for i, (token, parent, kind) in enumerate(zip(tree.tokens, tree.parents, tree.kinds, strict=True)):
            nodes[i] = self.add(token, nodes[parent], (drafter, kind))

    def add(self, token: int, parent: int, source: Source) -> int:
        node = self.tree.add(token, parent)
        if node == len(self.sources):
            self.sources.append([])
            self.children.setdefault(parent, []).append(node)
        self.sources[node].append(source)
        return node

    def chain(self, tokens: Items[int], parent: int, source: Source) -> int:
        """Add tokens one below the other. Returns the last node."""
        for token in tokens:
            parent = self.add(token, parent, source)
        return parent


@dataclass(slots=True)
class Unit:
    """A drafted token with the tokens it forces.

    parent     the unit before, by its number; ROOT: the sequence's end
    chance     that all of it is right
    node       of the guess, where it ends; None: the guess knows nothing of the forced tokens
    choice     what may come behind it, at `state` of the constraint, with `remaining` tokens left
    """

    parent: int
    tokens: list[int]
    chance: float
    node: int | None
    source: Source
    state: int | None
    choice: Choice
    remaining: int


Rate = Callable[[Source], float]
Heap = list[tuple[float, int, int, Source]]  # minus the chance, the node, the unit above it, who says so


class Planter:
    """`size`, `eos`: of the vocabulary. `forced`: also proposes what constraints force, if given."""

    def __init__(self, size: int, eos: frozenset[int], forced: tuple[int, Forced] | None = None) -> None:
        self.size, self.eos, self.forced = size, eos, forced

    def plant(self, seq: Sequence, guess: Guess, rate: Rate) -> list[Unit]:
        """The units of a guess, likeliest first. What is forced behind a unit is added to the guess."""
        units: list[Unit] = []
        heap: Heap = []
        self._push(heap, guess, rate, ROOT, ROOT, 1.0)
        while heap and len(units) < MOST:
            chance, node, parent, source = heapq.heappop(heap)
            unit = self._grow(seq, units, parent, guess.tree.tokens[node], -chance, source)
            if unit is not None:
                unit.node = self._end(seq, guess, node, unit)
                units.append(unit)
                if unit.node is not None:
                    self._push(heap, guess, rate, unit.node, len(units) - 1, unit.chance)
        return units

    def _end(self, seq: Sequence, guess: Guess, node: int, unit: Unit) -> int | None:
        if self.forced is not None and unit.state is not None:
            number, drafter = self.forced
            spelt = drafter.after(seq.request, unit.state)
            if spelt:
                end = guess.chain(unit.tokens[1:], node, (number, 0))
                guess.chain(spelt, end, (number, 0))
                return end
        return _descend(guess.tree, node, unit.tokens[1:])

    def _push(self, heap: Heap, guess: Guess, rate: Rate, node: int, unit: int, chance: float) -> None:
        for child in guess.children.get(node, ()):
            best, source = max((rate(source), source) for source in guess.sources[child])
            if chance * best > FLOOR:
                heapq.heappush(heap, (-chance * best, child, unit, source))

    def _grow(
        self, seq: Sequence, units: list[Unit], parent: int, token: int, chance: float, source: Source
    ) -> Unit | None:
        above = units[parent] if parent != ROOT else None
        choice = seq.choice if above is None else above.choice
        state = seq.state if above is None else above.state
        remaining = (seq.remaining if above is None else above.remaining) - 1
        request = seq.request
        assert choice is not None
        if self._ends(seq, token) or not choice.allows(token):
            return None
        if request.constraint is not None:
            assert state is not None
            state = request.constraint.advance(state, token)
            if state is None:
                return None
        ahead = look_ahead(request, state, remaining, self.eos)
        if ahead.choice is None:
            return None
        tokens = [token, *ahead.forced]
        left = remaining - len(ahead.forced)
        return Unit(parent, tokens, chance, None, source, ahead.state, ahead.choice, left)

    def _ends(self, seq: Sequence, token: int) -> bool:
        """Whether it ends the text, or is no token at all."""
        request = seq.request
        if request.constraint is None and token in request.stop_ids:
            return True
        return token >= self.size or (token in self.eos and not (request.constraint is None and request.ignore_eos))


def _descend(tree: Tree, node: int, tokens: list[int]) -> int | None:
    at: int | None = node
    for token in tokens:
        at = tree.child(at, token) if at is not None else None
    return at


def draft_of(units: list[Unit]) -> Draft:
    """Of units whose parents come before them."""
    tokens: list[int] = []
    parents: list[int] = []
    wanted: list[bool] = []
    ends: list[int] = []
    choices: list[Choice] = []
    for unit in units:
        parent = ROOT if unit.parent == ROOT else ends[unit.parent]
        for token in unit.tokens:
            parents.append(parent)
            parent = len(tokens)
            tokens.append(token)
        wanted += [False] * (len(unit.tokens) - 1) + [True]
        choices += [unit.choice] * len(unit.tokens)
        ends.append(parent)
    return Draft(tokens, parents, wanted, choices)
