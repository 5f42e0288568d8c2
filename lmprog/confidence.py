"""How sure a run is of its answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .calibrator import Calibrator
from .dist import hashable
from .errors import ProgramError
from .run import Capture, Run


@dataclass(frozen=True)
class Confidence:
    """A number from 0 to 1 for a run: `lp.Confidence("mood")(run)`, the product over captures of how probable each was.

    A capture that was a choice has the share of the option that was chosen; any other the probability of its tokens,
    for which the run must have been asked with `logprobs=True` (a cascade's steps are). Long texts are improbable: what
    the number means for them, `lp.fit_cascade` finds out.

    names        of the captures that count; none: all of them
    calibrator   corrects the shares first, and says what they are worth: then all must be choices over its options

    Raises ProgramError, when it is used, for a run without such a capture or without probabilities.
    """

    names: str | Sequence[str] = ()
    calibrator: Calibrator | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", (self.names,) if isinstance(self.names, str) else tuple(self.names))

    def __call__(self, run: Run[Any]) -> float:
        captures = [c for name in self.names for c in run.captures.all(name)] or run.captures.all()
        if missing := [name for name in self.names if name not in run.captures]:
            raise ProgramError(f"there is no hole {missing[0]!r} to be sure of; the run has {', '.join(run.captures)}")
        if not captures:
            raise ProgramError("the run has no holes, and so nothing to be sure of: give accept= a function of the run")
        return math.prod([self._of(capture) for capture in captures])

    def _of(self, capture: Capture) -> float:
        if capture.choice is not None:
            dist = capture.dist if self.calibrator is None else self.calibrator.predict(capture.dist)
            share = dist.probs[capture.value if hashable(capture.value) else capture.text]
            return 0.0 if math.isnan(share) else min(share, 1.0)
        if self.calibrator is not None:
            raise ProgramError(f"the hole {capture.name!r} was no choice: a calibrator is fitted on choices")
        if capture.logprob is None:
            raise ProgramError(f"nothing tells how probable the value of {capture.name!r} was: use logprobs=True")
        return min(1.0, math.exp(capture.logprob))
