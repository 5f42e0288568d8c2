"""How documents are read, beyond the schema and the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .calibration import Calibration


@dataclass(frozen=True)
class Chunks:
    """How long documents are read: in pieces of at most `tokens`, or as many as there is room for, of which `overlap`
    are shared by neighbours (None: an eighth). never: what does not fit is an error."""

    tokens: int | None = None
    overlap: int | None = None
    never: bool = False

    def shared(self, most: int) -> int:
        """The overlap of pieces of `most` tokens, at most half of them."""
        return min(most // 8 if self.overlap is None else self.overlap, most // 2)


@dataclass(frozen=True)
class Reading:
    """confidence   write down how probable each value is
    evidence     also look up where values stand in the text
    calibration  what becomes of confidences
    abstain      the confidence below which a value becomes null, where the schema allows that, and is doubted elsewhere
    chunks       how documents are read that are too long
    """

    confidence: bool = False
    evidence: bool = False
    calibration: Calibration | None = None
    abstain: float | None = None
    chunks: Chunks = field(default_factory=Chunks)

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
        return {name: _said(value) for name, value in changed.items()}


def _said(value: Any) -> Any:
    if isinstance(value, Calibration):
        return value.digest
    return asdict(value) if isinstance(value, Chunks) else value


PLAIN = Reading()
