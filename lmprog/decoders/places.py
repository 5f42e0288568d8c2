"""Where a value under way may go: the exact log-probabilities of every token that may come, and of the end.

This is what all exact methods are made of. Tokens are judged as masking judges them (the constraint, with the budget),
but none is taken for granted: text that is forced has its probability, too, and may be spelt in any way.

What a value is worth, with the probabilities p of the model and the temperature T, is p(its tokens) ** (1 / T), and

    nothing can continue it            no more: what comes next is not the hole's affair
    it could go on, but ends           times p(end) ** (1 / T): that the end of text comes, or the text that follows the
                                       hole, or, where nothing is known of that, any token that leaves the language
    its max_tokens are used up         the same: values of more tokens are left out, those that fit keep their worth.
                                       Free text is cut off there instead, and is worth its tokens
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import BudgetError, EmptyLanguage
from ..runtime.model import Model
from ..runtime.request import Ask, Finish, Request
from ..runtime.routine import Routine
from .method import Problem, Tally

Floats = NDArray[np.float64]
Ids = NDArray[np.int32]
ROUNDING = 1e-12  # less than that of all probability is what rounding left
KEPT = 64  # states whose tokens are remembered


class Spot(NamedTuple):
    """Generated `ids`, the constraint's `state` behind them, and how many tokens are `left` of the budget."""

    ids: tuple[int, ...]
    state: int
    left: int


@dataclass(frozen=True, slots=True)
class Row:
    """What may come at a spot: `tokens` and their `weights`, log-probabilities / temperature; `end`: that of the end,
    -inf where the value may not end. `unmasked`: all tokens of the vocabulary are there, whether they may come or not;
    the end is then the end of text alone."""

    tokens: Ids
    weights: Floats
    end: float
    unmasked: bool = False

    @property
    def total(self) -> float:
        """The logarithm of the sum over all that may come."""
        return logsum(np.append(self.weights, self.end))


NOTHING = Row(np.zeros(0, np.int32), np.zeros(0), -math.inf)


class Places:
    """The spots of one problem, and their rows by rounds of requests; `tally` counts what they cost.

    before   other prompts that the value is to fit as well, with their powers: weights are then the sums of
             power × log-probability, over all prompts
    by       another model that is asked instead, of the same text tokens; its own ends of text are the end
    """

    def __init__(
        self, problem: Problem, before: Sequence[tuple[Sequence[int], float]] = (), by: Model | None = None
    ) -> None:
        request = problem.request
        self.problem, self.constraint = problem, problem.constraint
        self.temperature = request.sampling.temperature
        self.prompts = [(request.ids, 1.0), *before]
        self.whole = problem.hole.grammar is not None
        self.start = Spot((), problem.state, request.max_tokens)
        self.tally = Tally()
        self._by = by
        self._eos = np.array(sorted((by or problem.model).vocab.eos), np.int32)
        self._ends = [stop.encode() for stop in problem.hole.stop] or [problem.follow] * bool(problem.follow)
        self._allowed: dict[tuple[int, int | None], Ids] = {}

    @cached_property
    def _all(self) -> Ids:
        """Every token that is text."""
        texts = [i for i, data in enumerate(self.problem.model.vocab.token_bytes) if data]
        return np.setdiff1d(np.array(texts, np.int32), self._eos)

    def after(self, spot: Spot, token: int) -> Spot | None:
        """None: the token may not come."""
        state = self.constraint.advance(spot.state, token)
        return None if state is None else Spot((*spot.ids, token), state, spot.left - 1)

    def over(self, spot: Spot) -> Finish | None:
        """Whether a value ends here, whatever the model says."""
        if self.constraint.finished(spot.state):
            return "complete"
        return "length" if spot.left <= 0 and not self.whole else None

    def may_end(self, spot: Spot) -> bool:
        """Whether the value may end, though it could go on."""
        return self.constraint.accepting(spot.state)

    def fits(self, spot: Spot) -> bool:
        """Whether the value can be completed with what is left of the budget."""
        return self.constraint.fits(spot.state, spot.left)

    def rows(self, spots: Sequence[Spot], masked: bool = True) -> Routine[list[Row]]:
        """What may come at each of the spots, none of which is `over`; in one round, the same spot asked once.

        masked=False: rows of all tokens, for none of which the constraint is asked (but at the end of a budget)
        """
        rows: dict[Spot, Row] = {}
        asked: list[tuple[Spot, Ids]] = []
        for spot in dict.fromkeys(spots):
            try:
                asked.append((spot, self._asked(spot, masked)))
            except (BudgetError, EmptyLanguage):  # a monitor may lead into a dead end
                if not spot.ids:
                    raise
                rows[spot] = NOTHING
        results = yield [
            Request([*ids, *spot.ids], 0, asks=[Ask(len(ids) + len(spot.ids), tokens)], model=self._by)
            for spot, tokens in asked
            for ids, _ in self.prompts
        ]
        self.tally.add(results)
        answers = iter(results)
        for spot, tokens in asked:
            values = [(next(answers).answers[0], power) for _, power in self.prompts]
            rows[spot] = self._row(spot, tokens, values, masked)
        return [rows[spot] for spot in spots]

    def allowed(self, spot: Spot, budget: int | None) -> Ids:
        """The ids that may come, the ends not among them, in ascending order."""
        key = (spot.state, budget)
        found = self._allowed.get(key)
        if found is None:
            if len(self._allowed) >= KEPT:
                self._allowed.pop(next(iter(self._allowed)))
            row = self.constraint.mask(spot.state, budget)
            bits = np.unpackbits(row.view(np.uint8), bitorder="little")[: self.problem.model.vocab.size]
            bits[sorted(self.problem.model.vocab.eos)] = 0
            found = self._allowed[key] = np.flatnonzero(bits).astype(np.int32)
        return found

    def _asked(self, spot: Spot, masked: bool) -> Ids:
        """The tokens that decide what is known of a spot: those that may come, then the ends."""
        if not masked and spot.left > 0:
            return np.concatenate([self._all, self._eos])
        budget = spot.left if spot.left > 0 and not self.problem.request.open_end else None
        return np.concatenate([self.allowed(spot, budget), self._eos])

    def _row(self, spot: Spot, asked: Ids, answers: Sequence[tuple[Floats, float]], masked: bool) -> Row:
        tokens, n = asked[: len(asked) - len(self._eos)], len(asked) - len(self._eos)
        with np.errstate(invalid="ignore"):
            weights = sum([values[:n] * power for values, power in answers], np.zeros(n)) / self.temperature
        end = -math.inf
        if not masked and spot.left > 0:
            end = sum([logsum(values[n:]) * power for values, power in answers]) / self.temperature
            return Row(tokens, weights, end, unmasked=True)
        if self.may_end(spot):
            end = sum([self._end(tokens, values, spot.left) * power for values, power in answers]) / self.temperature
        if spot.left <= 0:
            return Row(tokens[:0], weights[:0], end)
        if self.problem.request.open_end and len(fitting := self.allowed(spot, spot.left)) < len(tokens):
            fits = np.searchsorted(tokens, fitting)
            tokens, weights = fitting, weights[fits]
        return Row(tokens, weights, end)

    def _end(self, tokens: Ids, values: Floats, left: int) -> float:
        """The log-probability, in one prompt's answer, that the value ends here."""
        n = len(tokens)
        if self.problem.request.open_end:
            rest = 1.0 - float(np.exp(values[:n]).sum())
            return math.log(rest) if rest > ROUNDING else logsum(values[n:])
        ends = np.exp(values[n:]).sum()
        if left <= 0:
            ends += np.exp(values[:n][[self._begins_end(token) for token in tokens.tolist()]]).sum() if n else 0.0
        return math.log(ends) if ends > 0 else -math.inf

    def _begins_end(self, token: int) -> bool:
        data = self.problem.model.vocab.token_bytes[token] or b""
        return any([end.startswith(data) or data.startswith(end) for end in self._ends])


def logsum(values: Floats) -> float:
    """log(sum(exp(values))); -inf of nothing."""
    top = float(values.max()) if len(values) else -math.inf
    return top if math.isinf(top) else top + math.log(float(np.exp(values - top).sum()))


def draw(weights: Floats, uniform: float) -> int:
    """An index with probability in proportion to exp(weights), by a number uniform in [0, 1)."""
    return drawn(np.exp(weights - weights.max()).cumsum(), uniform)


def drawn(ends: Floats, uniform: float) -> int:
    """The same, by the running sum of what is in proportion."""
    at = int(np.searchsorted(ends, uniform * ends[-1], side="right"))
    return min(at, int(np.searchsorted(ends, ends[-1])))  # the last one that has a part of the sum
