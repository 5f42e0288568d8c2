"""Checks of `p.attempts` as a source of learning, as in DSPy Assertions (Singhvi et al. 2023, "DSPy Assertions:
Computational Constraints for Self-Refining Language Model Pipelines"): what they refused is told to the proposer of
instructions, rows on which a later attempt passed are preferred as demonstrations, and programs are compared with
backtracking and without."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..evaluation.result import Evaluation, Scored
from ..programs import Program
from ..run import Verdict
from .trials import Trial

CUT = 120  # characters of an input and of what was written, in a counter-example


@dataclass(frozen=True)
class Assertions:
    """One line of the comparison.

    program       "start" or "best"
    backtracking  False: every first attempt was accepted, whatever its checks said
    first         share of rows on which every first attempt passed
    held          share of rows on which every loop of attempts was passed in the end
    evaluation    the scores; `mean`, `interval`, and `compare` with another line's
    """

    program: str
    backtracking: bool
    first: float
    held: float
    evaluation: Evaluation = field(repr=False)

    @property
    def score(self) -> float:
        return self.evaluation.mean


def line(name: str, backtracking: bool, found: Evaluation) -> Assertions:
    rows = [(row.run.verdicts if row.run is not None else None) for row in found.rows]
    first = [verdicts is not None and all(v.passed for v in verdicts if v.number == 0) for verdicts in rows]
    held = [verdicts is not None and _held(verdicts) for verdicts in rows]
    return Assertions(name, backtracking, sum(first) / len(rows), sum(held) / len(rows), found)


def _held(verdicts: Sequence[Verdict]) -> bool:
    return {v.block for v in verdicts} == {v.block for v in verdicts if v.passed}


def without(program: Program[..., Any]) -> Program[..., Any]:
    """The same program, whose first attempts are accepted."""
    changed = copy.copy(program)
    changed.options = replace(program.options, backtracking=False)
    return changed


def refused(row: Scored) -> list[list[str]] | None:
    """What checks refused in a row, each with why; None where there was nothing."""
    if row.run is not None:
        failed = [[v.text[:CUT], "; ".join(v.why)] for v in row.run.verdicts if not v.passed]
        return failed or None
    exhausted = row.error is not None and row.error.type == "AttemptsExhausted"
    return [["", row.error.message]] if exhausted and row.error is not None else None


def mended(row: Scored) -> bool:
    """A later attempt passed where an earlier one did not."""
    return row.run is not None and refused(row) is not None and _held(row.run.verdicts)


def counterexamples(trials: Iterable[Trial], data: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was refused in the trials, one of each reason, the most frequent reasons first: input, value, reason."""
    counts: Counter[str] = Counter()
    shown: dict[str, str] = {}
    for trial in trials:
        for outcome in trial.outcomes.values():
            for text, why in outcome.detail if isinstance(outcome.detail, list) else ():
                counts[why] += 1
                shown.setdefault(why, _said(data[outcome.row], text, why))
    return [shown[why] for why, _ in counts.most_common()]


def _said(row: Mapping[str, Any], text: str, why: str) -> str:
    given = "; ".join([f"{name}: {str(value)[:CUT]}" for name, value in row.items()])
    written = f" it wrote {text.strip()!r}," if text.strip() else ""
    return f"For {given},{written} which is wrong: {why or 'a check failed'}".replace("\n", " ")
