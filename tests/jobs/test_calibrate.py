import csv
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmprog.jobs import Calibration, JobError, calibrate, extract
from lmprog.jobs.calibrate import learn
from lmprog.jobs.errors import CalibrationMismatch, TooFewLabels
from lmprog.jobs.labels import MISSING, Label, labels_of
from lmprog.jobs.quality import auroc, ece, figure
from lmprog.testing import RandomModel

from .conftest import Run, read

KINDS = ["math", "poem", "tale"]
SCHEMA = {
    "properties": {"kind": {"enum": [*KINDS, None]}, "age": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["kind", "age"],
}
PARTS = {"schema": "s", "prompt": "p", "model": "m"}
ROWS = [{"id": n, "text": f"document {n}", "truth": {"kind": KINDS[n % 3], "age": n % 3}} for n in range(150)]
SCORED = st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=30)


@given(SCORED)
def test_auroc_counts_pairs(rows: list[tuple[int, bool]]) -> None:
    pairs = [(a > b) + (a == b) / 2 for a, right in rows for b, wrong in rows if right and not wrong]
    found = auroc(np.array([s for s, _ in rows], float), np.array([r for _, r in rows]))

    assert found == pytest.approx(sum(pairs) / len(pairs)) if pairs else math.isnan(found)


@given(SCORED)
def test_ece_compares_bin_by_bin(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([s / 10 for s, _ in rows])
    bins: dict[int, list[float]] = {}
    for s, right in rows:
        bins.setdefault(min(int(s / 10 * 10), 9), []).append(s / 10 - right)

    assert ece(scores, np.array([r for _, r in rows])) == pytest.approx(
        sum(abs(sum(gaps)) for gaps in bins.values()) / len(rows)
    )


def test_the_interval_covers_the_truth() -> None:
    """Of a measure that is known: the mean of Bernoulli variables, in groups of values that are all alike."""
    hits = 0
    for seed in range(40):
        rng = random.Random(seed)
        right = [r for r in (rng.random() < 0.3 for _ in range(60)) for _ in range(5)]
        groups = [i // 5 for i in range(300)]
        found = figure(lambda _, r: float(r.mean()), [0.5] * 300, right, groups)
        hits += found.low <= 0.3 <= found.high

    assert hits >= 34


def labels(n: int, law: Any, seed: int = 0) -> list[Label]:
    rng = random.Random(seed)
    return [Label(i // 2, "/a", round(s, 3), rng.random() < law(s)) for i in range(n) for s in [rng.random()]]


def test_what_is_learnt_is_near_the_truth() -> None:
    made = learn(labels(4000, lambda s: s**3), PARTS)
    calibrated = [made.calibration("/a", s / 20) for s in range(21)]

    assert sorted(calibrated) == calibrated
    assert all(abs(p - (s / 20) ** 3) < 0.12 for s, p in enumerate(calibrated))
    assert made.quality[0].raw.value > 0.2
    assert made.quality[0].ece.value < 0.05
    assert made.quality[0].learnt + made.quality[0].held == 4000
    assert [q.field for q in made.quality] == ["all", "/a"]


def test_fields_with_few_labels_share_a_predictor() -> None:
    some = labels(400, lambda s: s) + [Label(10_000 + i, "/b/*", 0.5, i % 2 == 0) for i in range(20)]
    made = learn(some, PARTS)

    assert ["/a"] == list(made.calibration.fields)
    assert {"all": True, "/a": True, "/b/*": False} == {q.field: q.own for q in made.quality}
    assert made.calibration("/b/7", 0.5) == made.calibration("/c", 0.5)


@pytest.mark.parametrize("some", [labels(40, lambda s: s), labels(500, lambda s: 1.0), labels(500, lambda s: 0.0)])
def test_too_few_labels_are_refused(some: list[Label]) -> None:
    with pytest.raises(TooFewLabels, match=r"labels to learn from, \d+ of them right: at least 30 are needed"):
        learn(some, PARTS)


def test_what_counts_as_a_label() -> None:
    record = {
        "id": 1,
        "data": {"a": "x", "b": [1, 2], "c": None, "d": 5},
        "confidence": {"/a": 0.1, "/b/0": 0.2, "/b/1": 0.3, "/c": 0.4, "/d": 0.5},
    }
    truth = {"a": "x", "b": [1], "d": 7}
    verdicts = {("1", "/d"): {"value": 5, "right": True}, ("1", "/b/0"): {"value": 9, "right": False}}

    assert [
        Label(1, "/a", 0.1, True),
        Label(1, "/b/*", 0.2, True),  # what was said was said of another value
        Label(1, "/b/*", 0.3, False),
        Label(1, "/d", 0.5, True),
    ] == list(labels_of(record, truth, verdicts))
    assert [Label(1, "/c", 0.4, False)] == list(labels_of(record, MISSING, {("1", "/c"): {"value": None, "truth": 3}}))


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_from_labels_to_calibrated_records(tmp_path: Path) -> None:
    docs, out, file = write(tmp_path / "docs.jsonl", ROWS), tmp_path / "out.jsonl", tmp_path / "cal.json"
    extract(RandomModel(1), docs, SCHEMA, out=out, confidence=True)
    made = calibrate(out, docs)
    made.calibration.save(file)
    raw = extract(RandomModel(1), docs, SCHEMA, confidence=True)
    done = extract(RandomModel(1), docs, SCHEMA, calibration=file, out=tmp_path / "calibrated.jsonl")

    assert Calibration.load(file) == made.calibration
    for before, after in zip(raw.records, done.records, strict=True):
        assert before.confidence is not None
        assert after.confidence == {at: float(f"{made.calibration(at, p):.4g}") for at, p in before.confidence.items()}
    with pytest.raises(JobError, match="does not hold raw confidences"):
        calibrate(tmp_path / "calibrated.jsonl", docs)


def test_a_calibration_of_another_job_is_refused(tmp_path: Path) -> None:
    docs, out = write(tmp_path / "docs.jsonl", ROWS), tmp_path / "out.jsonl"
    extract(RandomModel(1), docs, SCHEMA, out=out, confidence=True)
    learnt = calibrate(out, docs).calibration

    for named, model, schema, said in [
        ("model", 2, SCHEMA, None),
        ("schema", 1, {**SCHEMA, "minProperties": 1}, None),
        ("prompt", 1, SCHEMA, "Look."),
    ]:
        with pytest.raises(CalibrationMismatch, match=f"learnt with another {named}:"):
            extract(RandomModel(model), ["a"], schema, instructions=said, calibration=learnt)


def test_abstaining(tmp_path: Path) -> None:
    docs, review = write(tmp_path / "docs.jsonl", ROWS), tmp_path / "review.jsonl"
    raw = extract(RandomModel(1), docs, SCHEMA, confidence=True)
    done = extract(RandomModel(1), docs, SCHEMA, abstain=0.6, evidence=True, review=review)

    for before, after in zip(raw.records, done.records, strict=True):
        sure = {at: p >= 0.6 for at, p in (before.confidence or {}).items()}
        assert before.confidence == after.confidence
        assert before.data["age"] == after.data["age"]  # no null is allowed there
        assert (before.data["kind"] if sure["/kind"] else None) == after.data["kind"]
        assert (not sure["/kind"] and before.data["kind"] is not None) == ("/kind" in (after.abstained or {}))
        assert (not sure["/age"]) == ("/age" in (after.doubted or {}))
    said = next(record.abstained for record in done.records if record.abstained)["/kind"]
    assert said.startswith("confidence 0.")
    assert "is below 0.6, for" in said
    rows = read(review)
    assert 300 == len(rows)
    assert sorted(row["confidence"] for row in rows) == [row["confidence"] for row in rows]


@pytest.mark.parametrize("name", ["review.jsonl", "review.csv"])
def test_a_review_becomes_labels(tmp_path: Path, name: str) -> None:
    docs = [f"document {n}, a tale" for n in range(150)]
    out, review = tmp_path / "out.jsonl", tmp_path / name
    extract(RandomModel(1), docs, SCHEMA, out=out, confidence=True, review=review)
    if name.endswith("csv"):
        with review.open(newline="") as file:
            filled = list(csv.DictReader(file))
        for i, row in enumerate(filled[:250]):
            row["right" if i < 150 else "truth"] = "TRUE" if i < 150 else "7"
        with review.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(filled[0]))
            writer.writeheader()
            writer.writerows(filled)
    else:
        rows = read(review)
        write(
            review,
            [*[{**r, "right": True} for r in rows[:150]], *[{**r, "truth": 7} for r in rows[150:250]], *rows[250:]],
        )
    made = calibrate(out, review=review)

    assert made.quality[0].learnt + made.quality[0].held == 250
    assert made.quality[0].right < 1
    with pytest.raises(TooFewLabels, match="0 labels to learn from"):
        calibrate(out)


def test_the_commands(tmp_path: Path, tiny: Path, lmprog: Run) -> None:
    docs = write(tmp_path / "docs.jsonl", ROWS[:80])
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    again = ("extract", docs, "--schema", schema, "--model", tiny)
    first = lmprog(*again, "-o", "out.jsonl", "--confidence", "--review", "review.csv")
    learnt = lmprog("calibrate", "out.jsonl", "--truth", docs, "-o", "cal.json")
    then = lmprog(*again, "-o", "new.jsonl", "--calibration", "cal.json", "--abstain", 0.9)
    other = lmprog(*again, "-o", "x.jsonl", "--calibration", "cal.json", "--instructions", "Look.")

    assert (0, 0, 0) == (first.returncode, learnt.returncode, then.returncode), learnt.stderr + then.stderr
    assert "AUROC" in learnt.stdout
    assert 161 == len((tmp_path / "review.csv").read_text().splitlines())
    assert all(record["doubted"] for record in read(tmp_path / "new.jsonl") if record["confidence"]["/age"] < 0.9)
    assert 2 == other.returncode
    assert "CalibrationMismatch: the calibration was learnt with another prompt" in other.stderr
