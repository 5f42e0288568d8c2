"""What confidences mean, learnt from labels: how often values of such a confidence were right."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..venn_abers import VennAbers
from .errors import CalibrationMismatch, JobError

FORMAT, VERSION = "lmprog calibration", 1
TIES = ("schema", "prompt", "model")  # parts of a job that confidences depend on


def kind(pointer: str) -> str:
    """The field of a value, whatever its place in lists.

    >>> kind("/items/12/price")
    '/items/*/price'
    """
    return re.sub(r"/\d+(?=/|$)", "/*", pointer)


@dataclass(frozen=True)
class Calibration:
    """Inductive Venn–Abers predictors (venn_abers.py) from raw confidences; monotone.

    parts   of the job that it was learnt on, by name
    fields  for fields with enough labels of their own, by `kind`
    pooled  from all labels, for the others
    """

    parts: Mapping[str, str]
    fields: Mapping[str, VennAbers]
    pooled: VennAbers

    def __call__(self, pointer: str, confidence: float) -> float:
        """The calibrated confidence of a value: p1 / (1 - p0 + p1), the one best under log loss."""
        low, high = self.fields.get(kind(pointer), self.pooled).interval(float(f"{confidence:.4g}"))
        return high / (1 - low + high)

    def check(self, parts: Mapping[str, Any]) -> None:
        """Raises CalibrationMismatch when it was learnt on a job with other parts."""
        others = [name for name in TIES if self.parts[name] != parts[name]]
        if others:
            raise CalibrationMismatch(
                f"the calibration was learnt with another {' and '.join(others)}: its probabilities would mean nothing "
                "here; learn one with lmprog calibrate"
            )

    def json(self) -> str:
        data = {"format": FORMAT, "version": VERSION, "parts": self.parts, "pooled": asdict(self.pooled)}
        fields = {name: asdict(expert) for name, expert in self.fields.items()}
        return json.dumps({**data, "fields": fields}, indent=1) + "\n"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.json().encode()).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write it as JSON. Raises OSError."""
        Path(path).write_text(self.json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read one that `save` wrote. Raises JobError for anything else, OSError."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            if (data["format"], data["version"]) != (FORMAT, VERSION):
                raise JobError(f"{path} has another format or version: {data['format']} {data['version']}")
            parts = {name: data["parts"][name] for name in TIES}
            fields = {name: VennAbers(**expert) for name, expert in data["fields"].items()}
            return cls(parts, fields, VennAbers(**data["pooled"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise JobError(f"{path} is not a saved calibration: {error!r}") from None
