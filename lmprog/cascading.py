"""Cascades: a small model answers first, and a larger one only where the small one's answer is not accepted.

Chen et al. 2023, "FrugalGPT: How to Use Large Language Models While Reducing Cost and Improving Performance"; the test
of an answer may be its own probability, another model's judgement (Aggarwal et al. 2023, "AutoMix"), or any function.
Which thresholds are worth their cost is found on data: see `fit_cascade`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Self, cast

import numpy as np

from .confidence import Confidence
from .decoders import derive_seed
from .errors import (
    AttemptsExhausted,
    BackendError,
    BudgetError,
    CascadeError,
    ContextOverflow,
    DeadlineExceeded,
    EngineClosed,
    EngineFault,
    NoSample,
    OutOfSlots,
    ProgramError,
    QueueFull,
    SlotError,
)
from .events import Event
from .lookahead import Head
from .models import Canceller, LanguageModel
from .options import Options
from .preview import refuse
from .programs import Program
from .prompt import Prompt
from .replay import Body
from .run import CascadeRun, Run, Tried, Usage
from .slot_files import read as read_slots
from .slot_names import unsaid
from .slots import Slot
from .starting import start

Test = Callable[[Run[Any]], Any]  # a bool, or how sure the answer is
Accept = float | Test | tuple[Test, float]
Price = float | tuple[float, float] | Callable[[Usage], float]
FAILURES: tuple[type[Exception], ...] = (
    AttemptsExhausted, BackendError, BudgetError, CascadeError, ContextOverflow, DeadlineExceeded, EngineClosed,
    EngineFault, NoSample, OutOfSlots, QueueFull,
)  # fmt: skip
ROUNDING = 1e-9  # of shares that are sums
NO_THRESHOLD = "accept gave {found!r}: say from which number on an answer is taken, accept=({name}, 0.8)"


@dataclass(frozen=True)
class Gate:
    """When an answer is taken: where `test` gives True, or at least `threshold`, of which 0 takes all and 1 none."""

    test: Test
    threshold: float | None

    def judge(self, run: Run[Any]) -> tuple[float, bool]:
        """How sure the answer is, and whether it is taken. Raises ProgramError for what is neither bool nor number."""
        found = self.test(run)
        if isinstance(found, bool | np.bool_):
            return float(found), bool(found) if self.threshold is None else self.takes(float(found))
        try:
            sure = float(found)
        except (TypeError, ValueError):
            sure = math.nan
        if not -ROUNDING <= sure <= 1 + ROUNDING:
            raise ProgramError(f"accept gives True or False, or a number from 0 to 1: not {found!r}")
        sure = min(max(sure, 0.0), 1.0)
        if self.threshold is None:
            raise ProgramError(NO_THRESHOLD.format(found=found, name=getattr(self.test, "__name__", repr(self.test))))
        return sure, self.takes(sure)

    def takes(self, sure: float) -> bool:
        return self.threshold is not None and self.threshold < 1 and sure >= self.threshold


@dataclass(frozen=True)
class Step:
    """One of a cascade's programs, with the model that it was given; None: its own."""

    name: str
    program: Program[..., Any]
    model: LanguageModel | None
    price: Price

    @property
    def has_model(self) -> bool:
        return self.model is not None or self.program.model is not None

    def cost(self, usage: Usage) -> float:
        """Raises ProgramError where the price gives no number."""
        if callable(self.price):
            found = self.price(usage)
            if not _number(found) or not math.isfinite(found):
                raise ProgramError(f"the price of {self.name} gives a number, not {found!r}")
            return float(found)
        read, written = self.price if isinstance(self.price, tuple) else (self.price, self.price)
        return float(read) * usage.prompt_tokens + written * (usage.sampled_tokens + usage.forced_tokens)


@dataclass(frozen=True)
class Steps:
    """What a cascade does; in the place of a program's function, so that a program's arguments are the first step's."""

    steps: tuple[Step, ...]
    gates: tuple[Gate, ...]
    retry_on: tuple[type[Exception], ...]

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.steps[0].program.function

    def __call__(self, p: Prompt, *args: Any, **kwargs: Any) -> NoReturn:
        raise ProgramError("a cascade runs its steps by itself: call it without the prompt")


@dataclass(frozen=True)
class Models:
    """Stands for the models of the steps, where one is asked for."""

    name: str


@dataclass(frozen=True)
class _Options(Options):
    """Of a cascade's run. `row`: its place in a `map`; `keep`: the run of each step is kept."""

    row: int | None = None
    keep: bool = False

    def for_row(self, index: int) -> _Options:
        return replace(self, seed=derive_seed(self.base_seed(), "row", index), row=index)

    def for_sample(self, index: int, n: int) -> _Options:
        return self.for_row(index)


class Cascade(Program[..., Any]):
    """Made by `lp.cascade`: called, run, mapped and awaited as a program is, with the arguments of its steps.

    `run` gives a `CascadeRun`. `decoder=`, `seed=`, `logprobs=`, `trace=`, `preview=` of a call go to every step,
    `model=` to those that have no model of their own. Samples are drawn independently of one another. A cascade has no
    plan and no stream, and cannot write into another program's run: call it there without the prompt.
    """

    function: Steps

    def __init__(self, steps: Steps) -> None:
        names = [step.name for step in steps.steps]
        complete = all([step.has_model for step in steps.steps])
        model = cast(LanguageModel, Models(" → ".join(names))) if complete else None
        super().__init__(steps, model, _Options(preview=True))
        self.__name__, self.__doc__ = f"cascade of {', '.join(names)}", type(self).__doc__

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.function.steps

    @property
    def thresholds(self) -> tuple[float | None, ...]:
        """From which number on the answer of each step but the last is taken; None for tests that give True."""
        return tuple([gate.threshold for gate in self.function.gates])

    def at(self, *thresholds: float) -> Cascade:
        """The same with other thresholds, one for each step but the last. Raises ProgramError."""
        gates = self.function.gates
        if len(thresholds) != len(gates):
            raise ProgramError(f"{len(gates) + 1} steps have {len(gates)} thresholds, not {len(thresholds)}")
        changed = tuple([Gate(gate.test, _threshold(t)) for gate, t in zip(gates, thresholds, strict=True)])
        return Cascade(replace(self.function, gates=changed))

    def keeping(self, own: dict[str, Any]) -> tuple[LanguageModel, Options]:
        """Model and options of runs that keep the run of each step in `tried`."""
        model, options = self._chosen(own)
        return model, replace(options, keep=True)  # type: ignore[call-arg]

    def prompt(self, *args: Any, **kwargs: Any) -> str:
        """That of the first step."""
        return self.steps[0].program.prompt(*args, **kwargs)

    def with_(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> Self:
        """The same with other values in the slots of its steps; every step gets those that its code has.

        Raises SlotError for slots that no step has, and as `Program.with_`.
        """
        changed = super().with_(values, **more)
        names = changed._values
        missing = [unsaid(step.program, names) for step in self.steps]
        if lost := sorted(set.intersection(*missing)):
            raise SlotError(f"no step of the cascade has a slot {lost[0]!r}")
        given = {name: changed._values.get(name) for name in {**self._values, **names}}
        programs = [
            step.program.with_({name: value for name, value in given.items() if name not in unknown})
            for step, unknown in zip(self.steps, missing, strict=True)
        ]
        steps = [replace(step, program=own) for step, own in zip(self.steps, programs, strict=True)]
        changed.function = replace(self.function, steps=tuple(steps))
        changed._unsaid = frozenset()
        return changed

    def load(self, path: str | Path) -> Self:
        """As `with_`, with the values in a file, .toml or .json. Raises SlotError, OSError."""
        return self.with_(read_slots(path).values)

    def slots(self, *args: Any, **kwargs: Any) -> dict[str, Slot]:
        """Those of all steps, by name; of a name that several have, the first step's."""
        found = [step.program.slots(*args, **kwargs) for step in reversed(self.steps)]
        return {name: slot for slots in found for name, slot in slots.items()}

    def plan(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ProgramError("a cascade has no plan: ask its steps, as in cascade.steps[0].program.plan(...)")

    def stream(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ProgramError("a cascade has no stream: an answer is known to be taken when it is complete")

    def run(self, *args: Any, **kwargs: Any) -> CascadeRun[Any]:
        """Run it: what the step gave that answered, which step that was, what each cost."""
        return cast("CascadeRun[Any]", super().run(*args, **kwargs))

    async def arun(self, *args: Any, **kwargs: Any) -> CascadeRun[Any]:
        """As `run`, without blocking the event loop. Cancelling the task cancels the run."""
        return cast("CascadeRun[Any]", await super().arun(*args, **kwargs))

    def __repr__(self) -> str:
        tests = ["" if threshold is None else f" (from {threshold:.3g})" for threshold in self.thresholds]
        names = [step.name + test for step, test in zip(self.steps, [*tests, ""], strict=True)]
        return f"<cascade {' → '.join(names)}>"

    # -- how it runs

    def chosen(self, model: LanguageModel | None) -> LanguageModel:
        if self.model is not None and model not in (None, self.model):
            raise ProgramError("the steps of this cascade have models of their own: model= would change nothing")
        return super().chosen(model)

    def _seeds(self, options: Options) -> list[int | None]:
        """That of the call for every step, or else each step's own for the row."""
        row = options.row if isinstance(options, _Options) else None
        if options.seed is not None or row is None:
            return [options.seed] * len(self.steps)
        return [derive_seed(step.program.options.base_seed(), "row", row) for step in self.steps]

    def _start(self, canceller: Canceller, model: LanguageModel, options: Options, body: Body) -> Future[Run[Any]]:
        refuse(f"{self.__name__} runs")
        here = replace(options, preview=False)  # steps have previews of their own
        return start(body, model, here, canceller, partial(self._live, canceller, model, options, body))

    def _live(
        self,
        canceller: Canceller,
        model: LanguageModel,
        options: Options,
        body: Body,
        head: Head | None = None,
        listen: Callable[[Event], None] | None = None,
    ) -> Run[Any]:
        refuse(f"{self.__name__} runs")
        assert isinstance(options, _Options)
        given = None if model == self.model else model
        _, args, kwargs = body._call
        tried: list[Tried] = []
        for number in range(len(self.steps)):
            tried.append(self._tried(number, canceller, self._words(number, given, options), args, kwargs))
            if tried[-1].accepted:
                break
        return _answer(tried, options.keep)

    def _tried(
        self, number: int, canceller: Canceller, words: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Tried:
        step, gates = self.steps[number], self.function.gates
        try:
            run = step.program._run(canceller, args, {**kwargs, **words})
        except self.function.retry_on as error:
            return Tried(step.name, error=f"{type(error).__name__}: {error}")
        sure, accepted = gates[number].judge(run) if number < len(gates) else (None, True)
        return Tried(step.name, run.value, sure, accepted, None, run.usage, step.cost(run.usage), run)

    def _words(self, number: int, model: LanguageModel | None, options: _Options) -> dict[str, Any]:
        """What a step's run is told beside the arguments."""
        step, gates = self.steps[number], self.function.gates
        seed = self._seeds(options)[number]
        sure = number < len(gates) and isinstance(gates[number].test, Confidence)
        words = {"model": step.model or (None if step.has_model else model), "decoder": options.decoder, "seed": seed}
        words["logprobs"] = True if sure or options.logprobs else None
        words["trace"] = True if options.trace else None
        words["preview"] = None if options.preview else False
        return words


def _answer(tried: Sequence[Tried], keep: bool) -> CascadeRun[Any]:
    last = tried[-1]
    if last.run is None:
        raise CascadeError(tried)
    usage = sum([one.usage for one in tried], Usage())
    known = {f.name: getattr(last.run, f.name) for f in fields(Run)} | {"usage": usage}
    kept = tuple([one if keep else replace(one, run=None) for one in tried])
    return CascadeRun(**known, step=len(tried) - 1, tried=kept)


def cascade(
    steps: Sequence[Program[..., Any] | LanguageModel],
    *,
    accept: Accept | list[Accept],
    program: Program[..., Any] | None = None,
    prices: Sequence[Price] | None = None,
    retry_on: tuple[type[Exception], ...] = FAILURES,
) -> Cascade:
    """A program that asks its steps in turn and gives the first answer that is accepted; the last step's always is.

        card = lp.cascade([small, big], program=card, accept=0.9, prices=[1, 20])
        run = card.run("cats")
        run.value, run.answered_by, run.cost

    steps     models, on which `program` runs, or programs of the same arguments, each with a model of its own (few-shot
              after zero-shot, say); two or more, the cheapest first
    accept    how an answer is tested: a function of its run that gives True or False; (function, threshold), where it
              gives a number, such as a probability; a threshold alone, for `lp.Confidence()`. At a threshold of 0 every
              answer is taken, at 1 none. A list says one test for each step but the last
    prices    of each step's tokens: a number for all, (of the prompt's, of the answer's), or a function of `Usage`, as
              in lambda usage: usage.seconds. Without them a token costs 1
    retry_on  errors of a step that the next one answers to. Any other error is raised at once

    Calls raise CascadeError when the last step fails, with all that was `tried`. What `accept` itself asks of a model
    is not part of the cost.

    Raises ProgramError for steps, tests and prices that cannot be.
    """
    made = _steps(steps, program, prices)
    given = retry_on if isinstance(retry_on, tuple) else (retry_on,)
    if wrong := [one for one in given if not (isinstance(one, type) and issubclass(one, Exception))]:
        raise ProgramError(f"retry_on takes kinds of exceptions, not {wrong[0]!r}")
    tests = accept if isinstance(accept, list) else [accept] * (len(made) - 1)
    if len(tests) != len(made) - 1:
        raise ProgramError(f"{len(made)} steps have {len(made) - 1} tests, of all but the last: not {len(tests)}")
    return Cascade(Steps(made, tuple(map(_gate, tests)), given))


def _steps(steps: Any, program: Any, prices: Any) -> tuple[Step, ...]:
    listed = [*steps] if isinstance(steps, list | tuple) else [steps]
    if len(listed) < 2:
        raise ProgramError(f"a cascade has a list of two steps or more, not {len(listed)}")
    each = [1.0] * len(listed) if prices is None else [*prices] if isinstance(prices, list | tuple) else [prices]
    if len(each) != len(listed):
        raise ProgramError(f"{len(listed)} steps have {len(listed)} prices, not {len(each)}")
    made: list[Step] = []
    for one, price in zip(listed, map(_price, each), strict=True):
        runs, model = (one, None) if isinstance(one, Program) else (program, one)
        if (model is None) != (program is None):
            raise ProgramError("steps are either models, with program=, or programs")
        if not isinstance(runs, Program) or (model is not None and not hasattr(model, "submit")):
            raise ProgramError(f"a step is a model, for program=, or a program: not {one!r:.80}")
        name = runs.__name__ if model is None else model.name
        same = sum([step.name.partition(" #")[0] == name for step in made])
        made.append(Step(f"{name} #{same + 1}" if same else name, runs, model, price))
    return tuple(made)


def _price(price: Any) -> Price:
    if callable(price):
        return cast(Price, price)
    parts = price if isinstance(price, tuple) else (price, price)
    if len(parts) != 2 or not all([_number(part) and 0 <= part < math.inf for part in parts]):
        raise ProgramError(f"a price is a number of 0 or more, two of them, or a function of the usage: not {price!r}")
    return cast(Price, price)


def _gate(accept: Any) -> Gate:
    if _number(accept):
        return Gate(Confidence(), _threshold(accept))
    test, threshold = accept if isinstance(accept, tuple) and len(accept) == 2 else (accept, None)
    if not callable(test):
        raise ProgramError(f"accept is a threshold, a function of the run, or (function, threshold): not {accept!r}")
    return Gate(test, None if threshold is None else _threshold(threshold))


def _threshold(value: Any) -> float:
    if not _number(value) or not 0 <= value <= 1:
        raise ProgramError(f"a threshold is a number from 0 to 1, not {value!r}")
    return float(value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
