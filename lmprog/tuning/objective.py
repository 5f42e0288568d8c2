"""A configuration on some rows: the program with its values, evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import EvaluationError, TuningError
from ..evaluation import Evaluation, evaluate
from ..evaluation.result import Scored
from ..programs import Program
from ..run import Usage
from .assertions import refused
from .store import Outcome


@dataclass(frozen=True)
class Measure:
    """The program on rows of data by a metric. `how`: the other arguments of `evaluate`."""

    program: Program[..., Any]
    data: list[dict[str, Any]]
    metric: Any
    how: Mapping[str, Any]

    def __call__(self, values: Mapping[str, Any], rows: Sequence[int]) -> list[Outcome]:
        try:
            found = self.evaluation(values, rows)
        except EvaluationError as error:
            if not values:  # the program as it is: what is wrong is not the configuration
                raise
            return [Outcome(row, 0.0, 0, str(error)) for row in rows]
        return [outcome(row) for row in found.rows]

    def evaluation(self, values: Mapping[str, Any], rows: Sequence[int] | None = None) -> Evaluation:
        found = evaluate(self.program.with_(values), self.data, self.metric, rows=rows, **self.how)
        for error in found.errors:
            if error.type in FATAL:
                mend = "; give candidates that fit in space=" if error.type == "SlotError" else ""
                raise TuningError(f"row {error.index}: {error.message}{mend}")
        return found


FATAL = ("SlotError", "NoModel", "EngineClosed", "BackendUnreachable")  # would be the same on every row


def outcome(row: Scored) -> Outcome:
    """`detail` is what its checks refused."""
    error = "" if row.error is None else f"{row.error.type}: {row.error.message}"
    return Outcome(row.index, row.scores[0], tokens(row.usage), error, refused(row))


def tokens(usage: Usage) -> int:
    """Of prompts and values, whether or not the prefix cache had them."""
    return usage.prompt_tokens + usage.sampled_tokens + usage.forced_tokens
