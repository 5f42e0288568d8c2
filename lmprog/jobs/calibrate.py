"""Learning a calibration from labels, and saying how good it is on others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..venn_abers import VennAbers
from .calibration import TIES, Calibration
from .database import Database
from .errors import JobError, TooFewLabels
from .labels import MISSING, Label, labels_of, read_verdicts
from .quality import Figure, auroc, ece, figure
from .state import state_path
from .truth import read_truths

RECORDS = "SELECT result FROM records WHERE result IS NOT NULL ORDER BY number"
LEAST = 30  # labels to learn from, and as many to measure on
OWN = 50  # labels from which a field gets a predictor of its own ...
EACH = 5  # ... if so many of them are right, and so many wrong


@dataclass(frozen=True)
class Quality:
    """Of one field, or of all, on the labels that were held out. `raw` is before calibration.

    own   the field has a predictor of its own
    auroc of the raw confidences; a monotone calibration hardly changes it
    """

    field: str
    learnt: int
    held: int
    right: float
    auroc: Figure
    raw: Figure
    ece: Figure
    own: bool


@dataclass(frozen=True)
class Calibrated:
    """A calibration and its quality: of all fields together first, then field by field."""

    calibration: Calibration
    quality: list[Quality]


def calibrate(
    out: str | Path,
    truth: str | Path | None = None,
    *,
    review: str | Path | None = None,
    truth_field: str = "truth",
    holdout: float = 0.5,
) -> Calibrated:
    """Learn what confidences mean from a finished output with raw confidences, `extract(..., confidence=True)`.

    truth    JSONL with the right answers by id, for instance the input of the job
    review   a review file that somebody has filled in; what it says counts before the truth
    holdout  share of the documents that are not learnt from: the figures come from them

    Raises JobError: the output has no confidences, or calibrated ones; TooFewLabels.
    """
    truths = read_truths(Path(truth), truth_field) if truth is not None else {}
    verdicts = read_verdicts(Path(review)) if review is not None else {}
    path = Path(out)
    if not state_path(path).is_file():
        raise JobError(f"{out} is not the output of a job: there is no {state_path(path)}")
    with closing(Database(state_path(path), create=False)) as db:
        parts = db.get("parts")
        _refuse(path, parts["settings"])
        records = (json.loads(line) for (line,) in db.each(RECORDS))
        labels = [x for record in records for x in labels_of(record, truths.get(record["id"], MISSING), verdicts)]
    return learn(labels, {name: parts[name] for name in TIES}, holdout)


def _refuse(out: Path, settings: Mapping[str, Any]) -> None:
    if "calibration" in settings or "abstain" in settings:
        raise JobError(f"{out} does not hold raw confidences: run the job without --calibration and --abstain")
    if not settings.get("confidence"):
        raise JobError(f"{out} has no confidences: run the job with --confidence")


def learn(labels: Sequence[Label], parts: dict[str, str], holdout: float = 0.5) -> Calibrated:
    """Documents are split by a digest of their ids, so that the same labels give the same calibration."""
    docs = sorted({label.doc for label in labels}, key=lambda doc: hashlib.sha256(repr(doc).encode()).digest())
    held = set(docs[: round(len(docs) * holdout)])
    known = [label for label in labels if label.doc not in held]
    others = [label for label in labels if label.doc in held]
    for what, some in (("learn from", known), ("measure on", others)):
        right = sum(label.right for label in some)
        if len(some) < LEAST or not EACH <= right <= len(some) - EACH:
            raise TooFewLabels(
                f"{len(some)} labels to {what}, {right} of them right: at least {LEAST} are needed, {EACH} right "
                f"and {EACH} wrong (there are {len(labels)} labels in all, of which a share of {holdout} is held out)"
            )
    names = list(dict.fromkeys(label.field for label in labels))
    fields = {name: _fit(mine) for name in names if _enough(mine := [x for x in known if x.field == name])}
    calibration = Calibration(parts, fields, _fit(known))
    quality = [_quality("all", known, others, calibration, own=True)]
    for name in names:
        mine, rest = ([x for x in some if x.field == name] for some in (known, others))
        if rest:
            quality.append(_quality(name, mine, rest, calibration, own=name in fields))
    return Calibrated(calibration, quality)


def _enough(labels: Sequence[Label]) -> bool:
    right = sum(label.right for label in labels)
    return len(labels) >= OWN and EACH <= right <= len(labels) - EACH


def _fit(labels: Sequence[Label]) -> VennAbers:
    return VennAbers.fit([label.confidence for label in labels], [label.right for label in labels])


def _quality(field: str, known: Sequence[Label], held: Sequence[Label], made: Calibration, own: bool) -> Quality:
    right, docs = [label.right for label in held], [label.doc for label in held]
    raw = [label.confidence for label in held]
    calibrated = [made(label.field, label.confidence) for label in held]
    share = sum(right) / len(right)
    return Quality(
        field,
        len(known),
        len(held),
        share,
        figure(auroc, raw, right, docs),
        figure(ece, raw, right, docs),
        figure(ece, calibrated, right, docs),
        own,
    )
