"""The search: try a configuration, keep what came out, ask what is next, until the budget is gone.

    start, then again and again: suggest → rows of it → now and then all rows of the best

It decides by the outcomes and the seed alone. So a search that was killed is resumed by going through it once more:
what `Store` knows already costs nothing, and everything comes out as it would have without the kill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .budget import Budget, Spent
from .samplers import Sampler
from .space import Choice, Space, key
from .store import Outcome, Store
from .trials import Total, Trial, estimates, mean, points

Objective = Callable[[Mapping[str, Any], Sequence[int]], Sequence[Outcome]]
Watch = Callable[[Spent, Sequence[Trial]], None]
EVERY = 5  # configurations tried on a minibatch, then the best of them on all rows


class Over(Exception):
    """The budget is gone."""


@dataclass
class Search:
    """One search. `objective` runs the program with these values on these rows.

    rows       the numbers of all rows
    minibatch  rows that a new configuration is tried on; None: all
    chunk      rows that are run together, between two looks at the budget
    default    the values that the program has of its own, where they are known
    total      the score of a configuration's outcomes
    """

    space: Space
    objective: Objective
    rows: Sequence[int]
    sampler: Sampler
    budget: Budget
    store: Store
    minibatch: int | None = None
    chunk: int = 32
    seed: int = 0
    default: Mapping[str, Any] | None = None
    total: Total = mean
    watch: Watch = lambda spent, trials: None

    def __post_init__(self) -> None:
        self.trials: list[Trial] = []
        self.spent = Spent()
        self._order = [self.rows[n] for n in np.random.default_rng(self.seed).permutation(len(self.rows))]
        self._next = 0

    def run(self) -> list[Trial]:
        """All that was tried, in order: the program as it is first. Called again it goes on, with what has changed."""
        try:
            self.begin()
            while self._may_try() and (choice := self._suggested()) is not None:
                self._try(self.space.values(choice), choice, self._batch())
                if self.minibatch and len(self.trials) % EVERY == 0:
                    self._promote()
            while self._promote():
                pass
        except Over:
            pass
        return self.trials

    def begin(self) -> None:
        """Try the program as it is, unless that was done. Raises Over."""
        if not self.trials:
            self._try({}, self.space.find(self.default or {}), self._order)

    def widen(self, space: Space, sampler: Sampler) -> None:
        """Go on in another space, which has all that was tried."""
        self.space, self.sampler = space, sampler
        for trial in self.trials:
            trial.choice = space.find({**(self.default or {}), **trial.values})

    def pay(self, tokens: int) -> None:
        """Tokens that were spent on something else than configurations."""
        self.spent = replace(self.spent, tokens=self.spent.tokens + tokens)

    def _suggested(self) -> Choice | None:
        return self.sampler.suggest(points(self.trials, len(self.rows)))

    def _may_try(self) -> bool:
        """Whether another configuration may be begun: what is left has to do for running the best on all rows, too."""
        if self.spent.evaluations >= (self.budget.evaluations or self.spent.evaluations + 1):
            return False
        left = len(self.rows) - self._leading().rows
        share = left / max(1, self.spent.rows)
        tokens, seconds = self.spent.tokens * (1 + share), self.spent.seconds * (1 + share)
        return not self.budget.over(replace(self.spent, tokens=int(tokens), seconds=seconds))

    def _batch(self) -> Sequence[int]:
        """The rows of the next minibatch: they go round."""
        if self.minibatch is None or self.minibatch >= len(self.rows):
            return self._order
        start, self._next = self._next, (self._next + self.minibatch) % len(self._order)
        return [self._order[(start + n) % len(self._order)] for n in range(self.minibatch)]

    def _leading(self) -> Trial:
        """The best so far, by what is known of it."""
        scores = [score for score, _ in estimates(self.trials, len(self.rows))]
        return self.trials[scores.index(max(scores))]

    def _promote(self) -> bool:
        """Run the leading configuration on the rows that it lacks; False where it has them all."""
        leading = self._leading()
        if leading.full:
            return False
        self._go_on(leading, self._order)
        return True

    def _try(self, values: Mapping[str, Any], choice: Choice | None, rows: Sequence[int]) -> None:
        trial = Trial(len(self.trials), dict(values), choice, total=self.total)
        self.trials.append(trial)
        try:
            self._go_on(trial, rows)
        finally:
            if not trial.outcomes:
                self.trials.remove(trial)

    def _go_on(self, trial: Trial, rows: Sequence[int]) -> None:
        """Run it on those of the rows that it lacks. Raises Over."""
        name = key(trial.values)
        known = self.store.outcomes(name)
        for some in _chunks([row for row in rows if row not in trial.outcomes], self.chunk):
            if new := [row for row in some if row not in known]:
                self.check()
                fresh = self.store.add(name, self.objective(trial.values, new))
                known |= {outcome.row: outcome for outcome in fresh}
            self._take(trial, [known[row] for row in some])
        trial.full = len(trial.outcomes) == len(self.rows)

    def check(self) -> None:
        """Raises Over when nothing more may be spent."""
        if self.budget.over(replace(self.spent, seconds=self.store.seconds)):
            raise Over

    def _take(self, trial: Trial, outcomes: Sequence[Outcome]) -> None:
        trial.outcomes |= {outcome.row: outcome for outcome in outcomes}
        tokens = self.spent.tokens + sum([outcome.tokens for outcome in outcomes])
        seconds = max([self.spent.seconds, *[outcome.seconds for outcome in outcomes]])
        self.spent = Spent(tokens, seconds, len(self.trials), self.spent.rows + len(outcomes))
        self.watch(self.spent, self.trials)


def _chunks(rows: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]
