"""The space of a search: what was given, and candidates that are made for the other slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from ..errors import EvaluationError, LmprogError, TuningError
from ..evaluation.data import arguments
from ..models import LanguageModel
from ..programs import Program
from ..slots import Slot
from . import bootstrap
from .assertions import counterexamples
from .objective import Measure, outcome
from .proposing import Brief, instructions
from .space import Space
from .store import Store
from .trials import Trial

LOOKED = 8  # rows of the data for which the program is asked for its slots
Kind = Literal["text", "examples"]


def slots_of(program: Program[..., Any], data: Sequence[Mapping[str, Any]]) -> dict[str, Slot]:
    """The slots that the program asks for on the first rows. Raises TuningError, EvaluationError."""
    found: dict[str, Slot] = {}
    for n, row in enumerate(data[:LOOKED]):
        found |= program.slots(**arguments(program, row, f"row {n}"))
    return found


def checked(given: Mapping[str, Sequence[Any]], slots: Mapping[str, Slot], program: Program[..., Any]) -> Space:
    """The space that the user gave. Raises TuningError, SlotError."""
    space = Space.of(given)
    for name, values in space.candidates.items():
        for value in values:
            program.with_({name: value})
            kind = "text" if isinstance(value, str) else "examples"
            if name in slots and slots[name].kind != kind:
                raise TuningError(f"space: the slot {name!r} holds {slots[name].kind}, not {value!r:.60}")
    return space


@dataclass
class Proposer:
    """Makes candidates, and keeps them in the store, so that they are made once.

    program, pool   whose runs on these rows become demonstrations; `measure` has the same metric on other rows
    model           writes instructions
    count           candidates of a slot; `size`: demonstrations in a set; `threshold`: the least score of one
    assertions      what checks refused is told, and what they mended is preferred
    """

    measure: Measure
    pool: list[dict[str, Any]]
    model: LanguageModel
    teacher: LanguageModel | None
    store: Store
    slots: Mapping[str, Slot]
    seed: int
    count: int
    size: int
    threshold: float
    assertions: bool = False
    check: Callable[[], None] = lambda: None  # called before anything is spent; raises when the budget is gone
    tokens: int = 0

    def take(self) -> int:
        """What was spent since this was last asked."""
        tokens, self.tokens = self.tokens, 0
        return tokens

    def examples(self, name: str) -> list[Any]:
        """Sets of demonstrations for a slot, the program's own first."""
        made = bootstrap.sets(self._demos, self.count, self.size, self.seed, mended=self.assertions)
        return [self.slots[name].value, *made]

    @cached_property
    def _demos(self) -> list[Any]:
        """Demonstrations, each with its label."""
        teacher = "" if self.teacher is None else self.teacher.name
        place = f"demonstrations {teacher} {self.threshold}"
        kept = self.store.kept(place)
        if kept is None:
            self.check()
            kept = self.store.keep(place, self._bootstrapped())
        self.tokens += kept["tokens"]
        return list(kept["demos"])

    def _bootstrapped(self) -> dict[str, Any]:
        if not self.pool:
            return {"demos": [], "tokens": 0}
        how = self.measure.how if self.teacher is None else {**self.measure.how, "model": self.teacher}
        found = replace(self.measure, data=self.pool, how=how).evaluation({})
        demos = bootstrap.demos(self.measure.program, found, self.threshold)
        return {"demos": demos, "tokens": sum([outcome(row).tokens for row in found.rows])}

    def instructions(self, name: str, trials: Sequence[Trial]) -> list[Any]:
        """New instructions for a slot, told of those tried so far and their scores."""
        if not hasattr(self.model, "vocab"):  # a cascade's
            raise TuningError(f"{self.model.name} are several models: say as proposer= which one writes instructions")
        place = f"instructions {name} {len(trials)} {self.model.name} {self.count} {self.assertions}"
        kept = self.store.kept(place)
        if kept is None:
            self.check()
            kept = self.store.keep(place, self._written(name, trials))
        self.tokens += kept["tokens"]
        return list(kept["texts"])

    def _written(self, name: str, trials: Sequence[Trial]) -> dict[str, Any]:
        failed = counterexamples(trials, self.measure.data) if self.assertions else ()
        brief = self._brief(name, trials, failed)
        try:
            texts, tokens = instructions(self.model, brief, self.count, self.seed + len(trials))
        except LmprogError as error:
            raise TuningError(
                f"{self.model.name} cannot write instructions for the slot {name!r}: {error}; "
                "give the slot candidates in space=, or a model as proposer="
            ) from error
        return {"texts": texts, "tokens": tokens}

    def _brief(self, name: str, trials: Sequence[Trial], failed: Sequence[str]) -> Brief:
        program, rows = self.measure.program, self.pool or self.measure.data
        scored: dict[str, list[float]] = {}
        for trial in trials:
            scored.setdefault(str(trial.values.get(name, self.slots[name].value)), []).append(trial.score)
        try:
            prompt = program.prompt(**arguments(program, rows[0], "row 0"))
        except EvaluationError:  # a program that wants arguments under other names
            prompt = program.__name__
        means = [(text, sum(scores) / len(scores)) for text, scores in scored.items()]
        return Brief(name, prompt, rows, means, failed)
