"""Constraints on disk: equal after loading, and nothing but a StoreError for a damaged file."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lmprog.grammars import ConstraintError, Vocabulary, compile, quote, regex
from lmprog.grammars.constraint import Automatic
from lmprog.grammars.expr import ANY_TEXT, Expr, alt, both, chars, concat, negate, options, ref, repeat, text
from lmprog.grammars.store import StoreError, load, save

VOCAB = Vocabulary([*(bytes((i,)) for i in range(256)), b"ab", b"moon", b" the", None], {259})


def nested() -> Expr:
    rule = ref("list")
    item = alt(rule, options(["ab", "moon", "x"]), repeat(chars([(48, 57)]), 1, 5))
    return rule.define(concat(text("["), repeat(concat(item, text(",")), 0, None), item, text("]")))


EXPRS = {
    "words": regex(r"(?i)[a-zé]{2,9}( [a-z]+)*").expr,
    "conjunction": both(repeat(chars([(97, 122)]), 0, 30), negate(concat(ANY_TEXT, text("moon"), ANY_TEXT))),
    "recursive": nested(),
    "quotes": (quote("banana é moon the") + ":" + quote("bandana", max_chars=3)).expr,
    "distinct": regex("[a-c]{1,2}").many_unique(",", low=2).expr,
}


def explored(expr: Expr, seed: int = 0) -> Automatic:
    c, rng = Automatic.of(expr, VOCAB), random.Random(seed)
    for _ in range(5):
        s = c.start(b" ", b"\nend")
        for _ in range(12):
            ids = [i for i in c._rows.ids(c._row(s, None)).tolist() if i not in VOCAB.eos]
            if not ids:
                break
            s = c.advance(s, rng.choice(ids)) or 0
    return c


@pytest.mark.parametrize("name", EXPRS)
def test_a_loaded_constraint_is_the_same(name: str, tmp_path: Path) -> None:
    before = explored(EXPRS[name])
    save(before, tmp_path / "c")
    after = load(tmp_path / "c", VOCAB)
    rng = random.Random(1)
    for prefix, follow in ((b"", b""), (b" ", b"\nend"), (b"x", b"")):
        s, t = before.start(prefix, follow), after.start(prefix, follow)
        for _ in range(15):
            assert np.array_equal(before.mask(s), after.mask(t))
            assert before.distance(s) == after.distance(t)
            assert before.forced(s) == after.forced(t)
            assert before.finished(s) == after.finished(t)
            ids = [i for i in before._rows.ids(before._row(s, None)).tolist() if i not in VOCAB.eos]
            if not ids:
                break
            token = rng.choice(ids)
            s, t = before.advance(s, token) or 0, after.advance(t, token) or 0


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    save(compile(regex("a+"), VOCAB), tmp_path / "c")
    with pytest.raises(StoreError, match="another vocabulary"):
        load(tmp_path / "c", Vocabulary([b"a", None], {1}))


@pytest.mark.parametrize("name", EXPRS)
def test_damaged_arrays_are_an_error_and_never_a_crash(name: str, tmp_path: Path) -> None:
    """Past the check sums of the archive: what a file that was made by hand could hold."""
    save(explored(EXPRS[name]), tmp_path / "c")
    with np.load(tmp_path / "c") as archive:
        arrays = {name: archive[name] for name in archive.files}
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(80):
        damaged = dict(arrays)
        for _ in range(rng.choice([1, 1, 3])):
            part = rng.choice([n for n in damaged if damaged[n].size])
            damaged[part] = harmed(damaged[part], rng)
        np.savez(tmp_path / "d.npz", allow_pickle=False, **damaged)
        try:
            c = load(tmp_path / "d.npz", VOCAB)
        except StoreError:
            refused += 1
            continue
        try:
            for s in (c.start(), c.start(b" ", b"\nend")):
                c.mask(s)  # may differ, may fail, may not crash
                c.forced(s)
        except (ConstraintError, IndexError):
            pass

    assert refused > 30


def harmed(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A bit or a whole number changed, or the end cut off."""
    copy = array.copy()
    flat = copy.reshape(-1).view(np.uint8)
    at = rng.integers(len(flat))
    match rng.integers(3):
        case 0:
            flat[at] ^= np.uint8(1 << rng.integers(8))
        case 1:
            at = at // 4 * 4
            value = np.int32(rng.choice([0, 1, 2, -1, -2, 1 << 30, (1 << 31) - 1, -(1 << 31)]))
            flat[at : at + 4] = np.frombuffer(value.tobytes(), np.uint8)[: len(flat) - at]
        case _:
            return copy[: rng.integers(copy.shape[0])]
    return copy


def test_damaged_files_are_an_error(tmp_path: Path) -> None:
    before = explored(EXPRS["words"])
    save(before, tmp_path / "c")
    whole, rng = (tmp_path / "c").read_bytes(), random.Random(0)
    heads = [i for i in range(len(whole)) if whole.startswith(b"PK", i)]
    refused = 0
    for _ in range(400):
        data = bytearray(whole)
        match rng.randrange(4):
            case 0:
                del data[rng.randrange(len(data)) :]
            case 1:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 2:  # what zipfile and numpy read first
                data[min(rng.choice(heads) + rng.randrange(150), len(data) - 1)] = rng.randrange(256)
            case _:
                at = rng.randrange(len(data))
                del data[at : at + rng.randrange(1, 200)]
        (tmp_path / "d").write_bytes(data)
        try:
            after = load(tmp_path / "d", VOCAB)
        except StoreError:
            refused += 1
        else:  # the damage was where nothing is
            assert np.array_equal(before.mask(before.start()), after.mask(after.start()))

    assert refused > 300


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with zipfile.ZipFile(tmp_path / "zip", "w") as z:
        z.writestr("a.npy", b"nothing")
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("text", "zip", "array.npy"):
        with pytest.raises(StoreError, match="compile it again"):
            load(tmp_path / name, VOCAB)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent", VOCAB)
