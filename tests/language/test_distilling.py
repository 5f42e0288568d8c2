from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lmprog as lp
from lmprog.baum_welch import baum_welch
from lmprog.distilling import fit
from lmprog.hmm import HMM
from lmprog.testing import RandomModel, TableModel


def two_moods(rng: np.random.Generator) -> HMM:
    return HMM.dense([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.4, 0.02, 0.08], [0.02, 0.1, 0.8, 0.08]])


def drawn(hmm: HMM, rng: np.random.Generator, texts: int) -> list[list[int]]:
    found = []
    for _ in range(texts):
        belief, ids = hmm.start, list[int]()
        while len(ids) < 30 and (not ids or ids[-1] != 3):
            ids.append(int(rng.choice(4, p=hmm.next(belief))))
            belief = hmm.after(belief, ids[-1])
        found.append(ids)
    return found


def test_each_round_makes_the_texts_more_probable_and_finds_what_is_there() -> None:
    rng = np.random.default_rng(0)
    truth = two_moods(rng)
    texts, held_out = drawn(truth, rng, 400), drawn(truth, rng, 200)
    found = baum_welch(texts, 2, 4, rounds=60, enough=1e-7)
    hmm = HMM.dense(found.start, found.move, found.emit)
    size = sum(map(len, held_out))
    ours, best = [sum(one.logprob(ids) for ids in held_out) / size for one in (hmm, truth)]
    alone = baum_welch(texts, 1, 4)
    unigram = sum(HMM.dense(alone.start, alone.move, alone.emit).logprob(ids) for ids in held_out) / size

    assert np.all(np.diff(found.loglik) > -1e-4)
    assert best - ours < 0.01 < best - unigram


def test_the_likelihood_is_that_of_the_forward_algorithm() -> None:
    rng = np.random.default_rng(1)
    texts = drawn(two_moods(rng), rng, 20)
    found = baum_welch(texts, 3, 4, rounds=3, enough=-1.0)
    again = baum_welch(texts, 3, 4, rounds=4, enough=-1.0)
    hmm = HMM.dense(found.start, found.move, found.emit)

    assert again.loglik[3] == pytest.approx(sum(hmm.logprob(ids) for ids in texts) / sum(map(len, texts)))


def test_a_model_is_distilled_once(model: RandomModel, tmp_path: Path) -> None:
    small: dict[str, Any] = {"states": 4, "samples": 40, "tokens": 8, "rounds": 5, "folder": tmp_path}
    first = lp.distill(model, **small)
    before = model.engine.stats.requests
    second = lp.distill(model, **small)
    (place,) = tmp_path.iterdir()

    assert model.engine.stats.requests == before
    assert np.allclose(first.emit, second.emit, atol=1e-6)
    assert first.note == second.note

    samples = place / "samples.jsonl"
    lines = samples.read_text().splitlines()
    samples.write_text("\n".join(lines[:33]) + "\n" + lines[33][:4])  # it was killed
    (place / "hmm-4-40-5.npz").unlink()
    lp.distill(model, **small)

    assert samples.read_text().splitlines() == lines
    assert len(lines) == 40
    assert np.allclose(first.next(first.start).sum(), 1.0)


def test_what_never_came_is_one_class(model: RandomModel) -> None:
    texts = [[1, 2, 3, 2], [2, 5, 2], [2, 2]]
    hmm = fit(texts, model, 2, rounds=5)
    row = hmm.next(hmm.start)

    assert hmm.emit.shape == (2, 4 + len(model.vocab.eos) + 1)
    assert row[7] == row[8] > 0
    assert row.sum() == pytest.approx(1.0)


def test_attributes() -> None:
    with TableModel(["a", "b", "ab"], lambda ids: [1, 1, 1, 1]) as model:
        some = lp.Attribute.of(model, {"ab": 2.0})
        fitted = lp.Attribute.fit(model, ["aab", "bbb", "ababab"], [0.0, 1.0, 0.0])
        with pytest.raises(lp.DistillError, match="is no token"):
            lp.Attribute.of(model, {"xy": 1.0})
        with pytest.raises(lp.DistillError, match="scores"):
            lp.Attribute.fit(model, ["a"], [0.5])

    assert some.weights.tolist() == [0.0, 0.0, 2.0, 0.0]
    assert fitted.weights[1] > 0 > fitted.weights[2]
    assert ((some * fitted) ** 2).weights[2] == pytest.approx(2 * (2 + fitted.weights[2]))


def test_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(b"not an archive")

    with pytest.raises(lp.DistillError, match="no saved HMM"):
        HMM.load(path)
    with pytest.raises(lp.DistillError, match="sum to 1"):
        HMM.dense([0.5, 0.4], np.eye(2), np.eye(2))
