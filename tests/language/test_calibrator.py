from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lmprog as lp
from lmprog import program
from lmprog.testing import RandomModel
from lmprog.venn_abers import VennAbers


def dist(shares: dict[Any, float]) -> lp.Dist:
    logs = {option: math.log(share) if share else -math.inf for option, share in shares.items()}
    return lp.Dist(tuple(shares), logs, logs)


def isotonic(points: list[tuple[float, float]], at: float) -> float:
    """The least-squares non-decreasing fit at a score, by its min-max formula."""
    points = sorted(points)
    values = [(x, y) for x, y in points]
    best = -math.inf
    for a in sorted({x for x, _ in values if x <= at}):
        above = math.inf
        for b in sorted({x for x, _ in values if x >= at}):
            inside = [y for x, y in values if a <= x <= b]
            above = min(above, sum(inside) / len(inside))
        best = max(best, above)
    return best


@pytest.mark.parametrize("seed", range(60))
def test_intervals_are_those_of_the_definition(seed: int) -> None:
    rng = random.Random(seed)
    n = rng.randint(1, 25)
    grid = [i / rng.choice([3, 10, 97]) for i in range(12)]
    scores = [rng.choice(grid) for _ in range(n)]
    labels = [rng.random() < min(0.95, score) for score in scores]
    fitted = VennAbers.fit(scores, labels)
    data = [(score, float(label)) for score, label in zip(scores, labels, strict=True)]

    for new in [*scores, *[rng.random() * 4 for _ in range(5)], -1.0, 99.0]:
        expected = [isotonic([*data, (new, label)], new) for label in (0.0, 1.0)]
        assert expected == pytest.approx(list(fitted.interval(new)))


def test_two_options_have_complementary_intervals() -> None:
    rng = random.Random(0)
    shares = [rng.random() for _ in range(80)]
    labels = ["yes" if rng.random() < share**2 else "no" for share in shares]
    calibrator = lp.Calibrator("venn-abers").fit([dist({"yes": s, "no": 1 - s}) for s in shares], labels)

    for share in (0.05, 0.4, shares[3], 0.97):
        found = calibrator.predict(dist({"yes": share, "no": 1 - share}))
        assert found.intervals is not None
        (low, high), (other_low, other_high) = found.intervals["yes"], found.intervals["no"]
        assert [1 - other_high, 1 - other_low] == pytest.approx([low, high])
        assert low <= found["yes"] <= high
        assert high / (1 - low + high) == pytest.approx(found["yes"])


def log_loss(dists: Sequence[lp.Dist], labels: Sequence[str]) -> float:
    return -float(np.mean([math.log(max(d[label], 1e-9)) for d, label in zip(dists, labels, strict=True)]))


def overconfident(n: int, seed: int) -> tuple[list[lp.Dist], list[str]]:
    """Three classes, with probabilities that are too extreme."""
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet([1, 1, 1], n)
    labels = ["abc"[rng.choice(3, p=row)] for row in truth]
    shown = truth**3 / (truth**3).sum(1, keepdims=True)
    return [dist(dict(zip("abc", row.tolist(), strict=True))) for row in shown], labels


def test_venn_abers_mends_what_is_too_sure_of_itself() -> None:
    calibrator = lp.Calibrator("venn-abers").fit(*overconfident(600, 1))
    fresh, labels = overconfident(400, 2)
    mended = [calibrator.predict(d) for d in fresh]

    assert log_loss(mended, labels) < log_loss(fresh, labels) - 0.2
    assert all(sum(d.values()) == pytest.approx(1) for d in mended)


def test_batch_calibration_divides_by_the_mean() -> None:
    calibrator = lp.Calibrator().fit([dist({"a": 0.9, "b": 0.1}), dist({"a": 0.7, "b": 0.3})])
    found = calibrator.predict(dist({"b": 0.3, "a": 0.7}))

    assert {"a": 0.7 / 0.8, "b": 0.3 / 0.2} == pytest.approx({o: math.exp(s) for o, s in found.scores.items()})
    assert "b" == found.best
    assert found.intervals is None
    assert math.log(0.7) == pytest.approx(found.logprobs["a"])


def test_what_was_learnt_is_frozen() -> None:
    calibrator = lp.Calibrator().fit([dist({"a": 0.9, "b": 0.1})] * 3)
    probe = dist({"a": 0.5, "b": 0.5})
    before = dict(calibrator.predict(probe))
    for share in (0.1, 0.2, 0.3):
        calibrator.predict(dist({"a": share, "b": 1 - share}))

    assert before == dict(calibrator.predict(probe))


@pytest.mark.parametrize("method", ["batch", "venn-abers"])
def test_saved_and_loaded(tmp_path: Path, method: Any) -> None:
    dists, labels = overconfident(30, 3)
    calibrator = lp.Calibrator(method).fit(dists, labels, note="made up")
    calibrator.save(tmp_path / "c.json")
    back = lp.Calibrator.load(tmp_path / "c.json")

    assert repr(calibrator) == repr(back)
    assert "30" in back.fitted_on
    assert "(made up)" in back.fitted_on
    assert [dict(calibrator.predict(d)) for d in dists] == [dict(back.predict(d)) for d in dists]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "lmprog run", "version": 1}'])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "c.json").write_text(content)

    with pytest.raises(lp.CalibrationError, match=r"c\.json"):
        lp.Calibrator.load(tmp_path / "c.json")


def test_a_file_says_what_it_holds(tmp_path: Path) -> None:
    lp.Calibrator().fit([dist({"a": 0.9, "b": 0.1})], note="one").save(tmp_path / "c.json")
    data = json.loads((tmp_path / "c.json").read_text())

    assert ("lmprog calibrator", 1, "one", ["a", "b"]) == tuple(
        data[key] for key in ("format", "examples", "note", "options")
    )


def test_mistakes() -> None:
    one = dist({"a": 0.9, "b": 0.1})
    mistakes: list[tuple[str, Any]] = [
        ("method is one of", lambda: lp.Calibrator("platt")),  # type: ignore[arg-type]
        ("not fitted", lambda: lp.Calibrator().predict(one)),
        ("nothing to fit on", lambda: lp.Calibrator().fit([])),
        ("the options are", lambda: lp.Calibrator().fit([one]).predict(dist({"a": 0.5, "c": 0.5}))),
        ("the options are", lambda: lp.Calibrator().fit([one, dist({"a": 1.0})])),
        ("needs the right option", lambda: lp.Calibrator("venn-abers").fit([one])),
        ("none of the options", lambda: lp.Calibrator("venn-abers").fit([one], ["c"])),
        ("every option the probability 0", lambda: lp.Calibrator().fit([dist({"a": 0.0, "b": 0.0})])),
    ]
    for message, mistake in mistakes:
        with pytest.raises(lp.CalibrationError, match=message):
            mistake()


def test_on_what_programs_give(model: RandomModel) -> None:
    @program(model=model)
    def rate(p: lp.Prompt, text: str) -> lp.Dist:
        p(text, "\nStars: ")
        return p.score([1, 2, 3])

    dists = rate.map(["abc", "the moon", "at sea", "math"])
    batch = lp.Calibrator().fit(dists)
    labelled = lp.Calibrator("venn-abers").fit(dists, [1, 3, 2, 2])

    assert {1, 2, 3} == set(batch.predict(dists[0])) == set(labelled.predict(dists[0]))
    means = {n: float(np.mean([d[n] for d in dists])) for n in (1, 2, 3)}
    ratio = {n: dists[0][n] / means[n] for n in (1, 2, 3)}
    assert {n: r / sum(ratio.values()) for n, r in ratio.items()} == pytest.approx(dict(batch.predict(dists[0])))
