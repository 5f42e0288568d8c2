"""How documents are read, beyond the schema and the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .calibration import Calibration


@dataclass(frozen=True)
class Reading:
    """confidence   write down how probable each value is
    evidence     also look up where values stand in the text
    calibration  what becomes of confidences
    abstain      the confidence below which a value becomes null, where the schema allows that, and is doubted elsewhere
    """

    confidence: bool = False
    evidence: bool = False
    calibration: Calibration | None = None
    abstain: float | None = None

    def check(self, parts: Mapping[str, Any]) -> None:
        """Raises CalibrationMismatch when the job has other parts than the one that the calibration was learnt on."""
        if self.calibration is not None:
            self.calibration.check(parts)

    @property
    def weighs(self) -> bool:
        """Whether confidences are needed."""
        return self.confidence or self.calibration is not None or self.abstain is not None

    def parts(self) -> dict[str, Any]:
        """What differs from plain reading; the output depends on it."""
        given = {part.name: getattr(self, part.name) for part in fields(self)}
        changed = {name: value for name, value in given.items() if value != getattr(PLAIN, name)}
        return {name: value.digest if isinstance(value, Calibration) else value for name, value in changed.items()}


PLAIN = Reading()
