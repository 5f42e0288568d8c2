"""Every error that lmprog raises on purpose.

LmprogError
├── ConstraintError          (grammars) `where` names the place
│   ├── UnsupportedConstraint   understood, but cannot be enforced exactly
│   ├── InvalidConstraint       the schema, regex or grammar itself is broken
│   ├── EmptyLanguage           nothing satisfies the constraint
│   └── BudgetError             no complete value fits in the token budget
├── ModelNotFound            (runtime) no such model on this machine
│   └── BrokenModel             there is something, but not a causal language model that can be loaded
├── CacheError               (runtime) the default model cannot be converted: no space, no permission
├── InvalidOption            (runtime) an option of `load` that cannot be; a ValueError too
├── ModelMismatch            (runtime) our logits differ from the stock model's
├── ContextOverflow          (runtime) the prompt is longer than the model's context
├── OutOfSlots               (runtime) one sequence needs more KV slots than there are
├── EngineClosed             (runtime) the model was closed
├── EngineFault              (runtime) the engine itself failed twice in a row; it takes new requests
├── QueueFull                (runtime) too many requests of the same group wait already
├── DeadlineExceeded         (runtime) a request's timeout is over; `result` holds what there was
├── RoutineCancelled         (runtime) a routine on an engine was cancelled; a run says RunCancelled
├── RequestError             (runtime) a request that cannot be run: no chat template for roles, ids out of range
├── SamplingError            (runtime) bad temperature, NaN logits, ...
├── BackendError             (remote) a server did not do what it was asked; `url` says which
│   ├── BackendUnreachable      no connection, no answer in time, an answer cut off, a fault of the server
│   ├── BackendBusy             too many requests, also after all retries
│   ├── BackendRefused          the request is not accepted: wrong key, unknown model, wrong path
│   └── BackendAnswer           an answer that is not of the protocol, or breaks the constraint that was sent
├── JobError                 (jobs) an extraction job cannot start or go on
│   ├── ClusterError            Ray is missing or cannot be reached, or its workers keep dying
│   ├── WorkerDied              workers died of one document
│   ├── InputError              one input record cannot be read
│   └── OutputError             one answer is not accepted
├── EvaluationError          data, a metric or the file of an evaluation cannot be used
├── DistillError             an HMM or an attribute cannot be made, or does not fit the model
├── RunError                 a file is not a saved run, or a run does not hold what was asked of it
└── ProgramError             the program itself
    ├── HoleError               a hole is described wrongly
    │   ├── HoleInString        a hole inside an f-string, or joined to a string
    │   └── AmbiguousOptions    an option begins another, and what follows does not tell them apart
    ├── CalibrationError        a Calibrator that is not fitted, or used on other options than it was fitted on
    ├── CascadeError            no step of a cascade gave an answer; `tried` says why
    ├── PartError               p(...) was given what is not text; a TypeError too
    ├── RoleError               roles mixed with plain text, or used in the wrong place
    ├── AttemptsExhausted       no attempt was accepted; `reasons` says why
    ├── NoSample                a decoder that rejects or weighs values was left with none
    │   └── TooManyValues       a decoder that goes through all values cannot go through so many
    ├── NoModel                 nothing says which model to run on
    ├── RunCancelled            the run was cancelled from outside
    ├── SlotError               a slot is asked for, or given a value, that cannot be; no such slot; a file of none
    ├── ScriptError             a scripted answer is not one that the hole allows
    ├── TemplateError           a template cannot be compiled, or asks for what is not there
    ├── ToolError               a function cannot be a tool: no types, async, ...
    └── TuningError             a search for a program's slots cannot start or go on
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .grammars.errors import (
    BudgetError,
    ConstraintError,
    EmptyLanguage,
    InvalidConstraint,
    LmprogError,
    UnsupportedConstraint,
)
from .runtime.errors import (
    ContextOverflow,
    DeadlineExceeded,
    EngineClosed,
    EngineFault,
    ModelMismatch,
    ModelNotFound,
    OutOfSlots,
    QueueFull,
    RequestError,
    RoutineCancelled,
    SamplingError,
)
from .runtime.load_errors import BrokenModel, CacheError, InvalidOption
from .runtime.remote.errors import BackendAnswer, BackendBusy, BackendError, BackendRefused, BackendUnreachable

__all__ = [
    "AmbiguousOptions",
    "AttemptsExhausted",
    "BackendAnswer",
    "BackendBusy",
    "BackendError",
    "BackendRefused",
    "BackendUnreachable",
    "BrokenModel",
    "BudgetError",
    "CacheError",
    "CalibrationError",
    "CascadeError",
    "ConstraintError",
    "ContextOverflow",
    "DeadlineExceeded",
    "DistillError",
    "EmptyLanguage",
    "EngineClosed",
    "EngineFault",
    "EvaluationError",
    "HoleError",
    "HoleInString",
    "InvalidConstraint",
    "InvalidOption",
    "LmprogError",
    "ModelMismatch",
    "ModelNotFound",
    "NoModel",
    "NoSample",
    "OutOfSlots",
    "PartError",
    "ProgramError",
    "QueueFull",
    "RequestError",
    "RoleError",
    "RoutineCancelled",
    "RunCancelled",
    "RunError",
    "SamplingError",
    "ScriptError",
    "SlotError",
    "TemplateError",
    "TooManyValues",
    "ToolError",
    "TuningError",
    "UnsupportedConstraint",
]


class DistillError(LmprogError):
    """An HMM or an attribute cannot be made of what was given, is no file of one, or does not fit the model."""


class EvaluationError(LmprogError):
    """The data, the metric or the file of an evaluation cannot be used, or two are not of the same rows."""


class RunError(LmprogError):
    """A file is not a saved run, or a run does not hold what was asked of it."""


class ProgramError(LmprogError):
    """The program itself is at fault."""


class HoleError(ProgramError):
    """A hole is described wrongly: two language sources, an unknown limit, no options, ..."""


class HoleInString(HoleError):
    """A hole was put into a string, where it would be lost."""


class AmbiguousOptions(HoleError):
    """One option begins another, and the text that follows the hole does not tell them apart."""


class CalibrationError(ProgramError):
    """A Calibrator is not fitted, is used on other options than it was fitted on, or its file is none."""


class CascadeError(ProgramError):
    """No step of a cascade gave an answer. `tried`: what became of each, as in `CascadeRun.tried`."""

    def __init__(self, tried: Sequence[Any]) -> None:
        self.tried = tuple(tried)
        listed = "; ".join([f"{one.name}: {one.error or 'not accepted'}" for one in self.tried])
        super().__init__(f"no step of the cascade gave an answer: {listed}")

    def __reduce__(self) -> tuple[type[CascadeError], tuple[tuple[Any, ...]]]:
        return type(self), (self.tried,)


class PartError(ProgramError, TypeError):
    """p(...) was given what is not text: bytes, a Grammar, half a surrogate pair."""


class RoleError(ProgramError):
    """Chat roles mixed with plain text, or text where no role is open."""


class AttemptsExhausted(ProgramError):
    """No attempt passed its checks (`p.attempts`), or no value of a hole its condition. `reasons`: one for each."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        count = "the only attempt was not" if len(self.reasons) == 1 else f"none of {len(self.reasons)} attempts was"
        listed = "; ".join(f"({n}) {why or 'no reason given'}" for n, why in enumerate(self.reasons, 1))
        super().__init__(f"{count} accepted: {listed}")

    def __reduce__(self) -> tuple[type[AttemptsExhausted], tuple[tuple[str, ...]]]:
        return type(self), (self.reasons,)


class NoSample(ProgramError):
    """A decoder that rejects or weighs values was left with none. `acceptance`: at most that share of what
    the model writes freely is a value, as far as it can tell."""

    def __init__(self, message: str, acceptance: float = 0.0) -> None:
        self.acceptance = acceptance
        super().__init__(message)


class TooManyValues(NoSample):
    """A decoder that goes through all values of a hole cannot go through so many."""


class NoModel(ProgramError):
    """Nothing says which model the program runs on."""


class RunCancelled(ProgramError):
    """The run was cancelled from outside (Ctrl-C during `map`, a cancelled `acall`)."""


class ScriptError(ProgramError):
    """A scripted answer is missing, or is not one that the hole allows."""


class SlotError(ProgramError):
    """A slot is asked for in two ways, given a value that it cannot have, or not there; or a file has no slots."""


class ToolError(ProgramError):
    """A function cannot be a tool: a parameter without a type, an async function, two of the same name, ..."""


class TuningError(ProgramError):
    """A search for a program's slots cannot start or go on: no slots, an impossible budget, another search's state."""


class TemplateError(ProgramError):
    """A template cannot be compiled, or asks for what is not there; `template` and `line` say where (None: unknown)."""

    def __init__(self, message: str, template: str, line: int | None = None) -> None:
        self.template, self.line = template, line
        place = template if line is None else f"{template}, line {line}"
        super().__init__(f"{place}: {message}")
