"""Constraints on disk: equal after loading, and nothing but a StoreError for a damaged file."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lmprog.grammars import Vocabulary, compile, regex
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


def test_damage_anywhere_is_an_error_and_never_a_crash(tmp_path: Path) -> None:
    save(explored(EXPRS["recursive"]), tmp_path / "c")
    with np.load(tmp_path / "c") as archive:
        arrays = {name: archive[name] for name in archive.files}
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = dict(arrays)
        name = rng.choice([n for n in arrays if arrays[n].size])
        copy = damaged[name] = arrays[name].copy()
        flat = copy.reshape(-1).view(np.uint8)
        flat[rng.integers(len(flat))] ^= np.uint8(1 << rng.integers(8))
        np.savez(tmp_path / "d.npz", **damaged)
        try:
            c = load(tmp_path / "d.npz", VOCAB)
            c.mask(c.start())  # may differ, may fail, may not crash
            c.mask(c.start(b" ", b"\nend"))
        except Exception as error:
            refused += isinstance(error, StoreError)

    assert refused > 20


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with zipfile.ZipFile(tmp_path / "zip", "w") as z:
        z.writestr("a.npy", b"nothing")
    for name in ("text", "zip"):
        with pytest.raises(StoreError, match="compile it again"):
            load(tmp_path / name, VOCAB)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent", VOCAB)
