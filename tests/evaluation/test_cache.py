"""Runs that are kept: found again, never stale, and what happens to a damaged file."""

from __future__ import annotations

import enum
import importlib.metadata as metadata
import os
import pickle
import sqlite3
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic
import pytest

import lmprog as lp
from lmprog import EvaluationError, gen, program, select
from lmprog.evaluation.packing import pack, unpack
from lmprog.evaluation.store import BATCH, CacheWarning, Store
from lmprog.testing import RandomModel, Scripted, TableModel

from ..runtime.tiny import llama_folder

ROWS = [{"topic": f"t{n}", "expected": ["poem", "math"][n % 2]} for n in range(8)]
WORD = "Topic"


class Colour(enum.Enum):
    RED = 1


@dataclass
class Pair:
    left: Any
    right: Any


class Item(pydantic.BaseModel):
    name: str


@program
def card(p: Any, topic: str) -> Any:
    kind = p(WORD, ": ", topic, "\nKind: ", select(["math", "poem"], name="kind"))
    return kind if p(gen(regex="[a-z]{3}", name="line")) else ""


@program
def drawn(p: Any, topic: str) -> Any:
    return p(topic, gen(choices=["math", "poem"], temperature=1.0, name="kind"))


@program
def line(p: Any, topic: str) -> Any:
    return p("Topic: ", topic, "\nLine: ", gen(regex="[a-z]{3}", name="line"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache.sqlite"


def cached(result: Any) -> int:
    return sum(row.cached for row in result.rows)


def values(result: Any) -> list[Any]:
    return [row.run and (row.run.value, row.run.text, row.run.captures.all()) for row in result.rows]


def test_the_second_time_nothing_is_run(model: RandomModel, file: Path) -> None:
    first = lp.evaluate(card, ROWS, "exact", model=model, cache=file)
    second = lp.evaluate(card, ROWS, ["f1", "exact"], model=model, cache=str(file))

    assert (0, 8, "") == (cached(first), cached(second), first.uncached)
    assert values(first) == values(second)
    assert first.scores == second.columns["exact"]
    assert ("", "") == (first.uncached, second.uncached)
    assert first.usage == second.cached_usage
    assert lp.Usage() == second.usage == first.cached_usage


@pytest.mark.parametrize(
    "decoder",
    [
        lp.SMC(3, bounds=True),
        lp.Abstain("Topic", "abc"),
        lp.Arithmetic(2),
        lp.BestOf(2),
        lp.Beam(2),
        lp.BestFirst(limit=20),
        lp.MCTS(len, rollouts=4),
        lp.Exhaustive(),
        lp.Consistent(2),
    ],
    ids=lambda decoder: type(decoder).__name__,
)
def test_certificates_are_kept(model: RandomModel, file: Path, decoder: Any) -> None:
    """But for what grows with the particles and with the text."""

    def run() -> lp.Evaluation:
        return lp.evaluate(line, ROWS, lambda row, run: True, model=model, decoder=decoder, seed=0, cache=file)

    (first, fresh), (again, kept) = [(done, [row.run for row in done.rows]) for done in (run(), run())]
    assert first.uncached == again.uncached == ""
    assert all([row.cached for row in again.rows])
    known = [one.captures["line"].certificate for one in fresh if one is not None]
    assert known == [one.captures["line"].certificate for one in kept if one is not None]
    assert all([one is not None and not one.particles and not one.ess for one in known])
    whole = line.run("t0", model=model, decoder=decoder, seed=0).captures["line"].certificate
    assert whole is not None
    assert known[0] is not None
    assert (whole.support is None, whole.logZ is None) == (known[0].support is None, known[0].logZ is None)


def test_only_what_is_new_is_run(model: RandomModel, file: Path) -> None:
    lp.evaluate(card, ROWS, "exact", model=model, cache=file, rows=[1, 5])
    some = lp.evaluate(card, [{"topic": "new", "expected": "x"}, *ROWS], "exact", model=model, cache=file)

    assert [2, 6] == [row.index for row in some.rows if row.cached]
    assert values(some) == values(lp.evaluate(card, [some.rows[0].data, *ROWS], "exact", model=model))


def test_no_cache_unless_asked(model: RandomModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMPROG_CACHE", str(tmp_path / "home"))
    lp.evaluate(card, ROWS, "exact", model=model)
    assert not (tmp_path / "home").exists()
    lp.evaluate(card, ROWS, "exact", model=model, cache=True)
    assert (tmp_path / "home" / "evaluations.sqlite").exists()


def test_never_stale(model: RandomModel, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    how: dict[str, Any] = {"model": model, "cache": file, "decoder": lp.Sample(), "seed": 1}
    lp.evaluate(card, ROWS, "exact", **how)
    assert 8 == cached(lp.evaluate(card, ROWS, "exact", **how))

    changes: list[dict[str, Any]] = [{"seed": 2}, {"decoder": lp.Sample(0.5)}, {"decoder": lp.SMC(2)}]
    with RandomModel(1) as other, RandomModel(0, spread=2.0) as flat:
        for change in [*changes, {"model": other}, {"model": flat}]:
            new = how | change
            assert 0 == cached(result := lp.evaluate(card, ROWS, "exact", **new)), change
            assert values(result) == values(lp.evaluate(card, ROWS, "exact", **(new | {"cache": None}))), change
    monkeypatch.setitem(globals(), "WORD", "Subject")
    assert 0 == cached(result := lp.evaluate(card, ROWS, "exact", **how))
    assert all(row.run is not None and row.run.text.startswith("Subject") for row in result.rows)
    monkeypatch.undo()
    monkeypatch.setattr(lp, "__version__", "0.2")
    assert 0 == cached(lp.evaluate(card, ROWS, "exact", **how))
    monkeypatch.undo()
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "9" if name == "torch" else real(name))
    assert 0 == cached(lp.evaluate(card, ROWS, "exact", **how))
    monkeypatch.undo()
    assert 8 == cached(lp.evaluate(card, ROWS, "exact", **how))


def test_values_of_slots_count(model: RandomModel, file: Path) -> None:
    @program
    def inner(p: Any) -> Any:
        return p(lp.slot("word", "sub"), ": ", gen(regex="[ab]"))

    @program
    def slotted(p: Any, topic: str) -> Any:
        said = lp.slot("instruction", "Say a word.")
        p(said, topic, inner(p), gen(regex="[a-z]{2}", name="line"))
        return said

    variants = [slotted, slotted.with_(instruction="Say it."), slotted.with_({"inner.word": "other"})]
    for variant in variants:
        first, second = [lp.evaluate(variant, ROWS, "exact", model=model, cache=file) for _ in range(2)]
        assert (0, 8, "") == (cached(first), cached(second), second.uncached)
        assert values(first) == values(second)
        assert [row.run and row.run.slots for row in first.rows] == [row.run and row.run.slots for row in second.rows]
    assert second.rows[0].run is not None
    assert {"instruction", "inner.word"} == second.rows[0].run.slots.keys()
    assert "other: " in second.rows[0].run.text


@program
def everything(p: Any, topic: str) -> Any:
    p.system("Be brief.")
    p.user(topic)
    with p.assistant():
        item = p(gen(Item, name="item"))
    with p.assistant():
        return item, p(gen(Colour)), p(gen(list[int], max_tokens=20)), p(gen(choices=["a", "b"]))


@program
def branched(p: Any, topic: str) -> Any:
    p.append(branches := p.fork(lambda q, x: q(x, gen(regex="[ab]")), ["1", "2"]))
    for attempt in p.attempts(2):
        with attempt:
            attempt.check(p(gen(regex="[a-d]")) != "x")
    return [branch.value for branch in branches], p.score(["a", "b"]).best


def test_programs_of_all_kinds(model: RandomModel, file: Path) -> None:
    letter = lp.Template("{{ slot('word', 'Hi') }} {{ topic }} {{ gen('n', int, ge=0, le=5) }}")
    for made in (everything, branched, letter, letter.with_(word="Ho")):
        first, second = [lp.evaluate(made, ROWS, "exact", model=model, cache=file) for _ in range(2)]
        assert (0, 8, "", []) == (cached(first), cached(second), first.uncached, first.errors), made
        assert values(first) == values(second)


def test_rows_of_a_seed_have_places(model: RandomModel, file: Path) -> None:
    how: dict[str, Any] = {"model": model, "cache": file, "decoder": lp.Sample(), "seed": 1}
    lp.evaluate(card, ROWS, "exact", **how)

    assert 0 == cached(lp.evaluate(card, ROWS[1:], "exact", **how))


def test_a_table_counts_by_its_function(file: Path) -> None:
    def table(share: float) -> TableModel:
        return TableModel(["math", "poem"], lambda prefix: [share, 1 - share, 0] if not prefix else [0, 0, 1])

    side = program(lambda p, topic: p(gen(choices=["math", "poem"], name="side")))
    results = [lp.evaluate(side, ROWS, "exact", model=table(share), cache=file) for share in (0.9, 0.9, 0.1)]

    assert [0, 8, 0] == [cached(result) for result in results]
    assert results[0].scores != results[2].scores


def test_the_same_program_in_another_process(file: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, lmprog as lp, helper\nfrom lmprog.testing import RandomModel\n"
        "@lp.program\ndef card(p, topic):\n    return p(helper.WORD, topic, lp.select(['math', 'poem'], name='k'))\n"
        "rows = [{'topic': f't{n}', 'expected': 'poem'} for n in range(4)]\n"
        "result = lp.evaluate(card, rows, 'exact', model=RandomModel(0), cache=sys.argv[1])\n"
        "print(sum(row.cached for row in result.rows), result.uncached, result.rows[0].run.text)\n"
    )
    found = []
    for word in ("'a'", "'a'", "'b'"):
        (tmp_path / "helper.py").write_text(f"WORD = {word}\n")
        command = [sys.executable, "-B", str(script), str(file)]
        root = {"PYTHONPATH": str(Path(lp.__file__).parent.parent)}
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | root, check=True)
        found.append(done.stdout.split()[:2])

    assert [["0", "4", "0"], ["a", "a", "b"]] == [[n for n, _ in found], [text[0] for _, text in found]]


def test_what_is_not_kept_says_why(model: RandomModel, file: Path) -> None:
    function = program(lambda p, topic: (p(gen(regex="[ab]")), lambda: 1))
    scripted: dict[str, Any] = {"model": Scripted(["poem"]), "concurrency": 1, "rows": [0]}
    cases: list[tuple[str, Any, dict[str, Any]]] = [
        ("drawn without a seed", drawn, {}),
        ("'Scripted' does not tell", drawn, scripted),
        ("which does not always give the same", card, {"decoder": lp.ASAp(), "seed": 1}),
        ("its value cannot be kept", function, {}),
    ]
    for reason, made, how in cases:
        options: dict[str, Any] = {"model": model, "cache": file} | how
        result = lp.evaluate(made, ROWS, "json", **options)
        assert reason in result.uncached
    assert 0 == cached(lp.evaluate(drawn, ROWS, "exact", model=model, cache=file))
    assert [] == Store(file).summary()


def test_a_seed_makes_draws_keepable(model: RandomModel, file: Path) -> None:
    results = [lp.evaluate(drawn, ROWS, "exact", model=model, cache=file, seed=4) for _ in range(2)]

    assert 8 == cached(results[1])
    assert values(results[0]) == values(results[1])


def test_draws_of_a_program_that_is_run_inside(model: RandomModel, file: Path) -> None:
    @program
    def outer(p: Any, topic: str) -> Any:
        return p("x", gen(regex="[ab]")) + drawn(topic)

    result = lp.evaluate(outer, ROWS, "exact", model=model, cache=file)

    assert "the hole 'kind' is drawn without a seed: give seed=" == result.uncached


def test_models_of_programs_inside(model: RandomModel, file: Path) -> None:
    @program
    def inner(p: Any) -> Any:
        return p("in ", gen(regex="[a-z]{8}"))

    @program
    def outer(p: Any, topic: str) -> Any:
        return p(topic, gen(regex="[ab]")) + inner()

    lp.evaluate(outer, ROWS, "exact", model=model, cache=file)
    with RandomModel(1) as other, lp.using(other):
        again = lp.evaluate(outer, ROWS, "exact", model=model, cache=file)
        assert (0, values(lp.evaluate(outer, ROWS, "exact", model=model))) == (cached(again), values(again))


def test_cascades_whose_steps_draw(model: RandomModel, file: Path) -> None:
    """Each row has its own seed, also where the cascade has none."""

    @program(model=model, decoder=lp.Sample(seed=1))
    def seeded(p: Any, topic: str) -> Any:
        return p(topic, gen(regex="[a-z]{6}"))

    card = lp.cascade([seeded, seeded], accept=lambda run: run.value > "n")
    rows = [{"topic": "t", "expected": "math"}] * 8
    fresh, first, again = [lp.evaluate(card, rows, "exact", cache=where) for where in (None, file, file)]

    assert [0, 0, 8] == [cached(result) for result in (fresh, first, again)]
    assert values(fresh) == values(first) == values(again)
    assert len({value for value, *_ in values(fresh)}) > 1


def test_programs_that_change_what_they_use(model: RandomModel, file: Path) -> None:
    seen: list[str] = []

    @program
    def counting(p: Any, topic: str) -> Any:
        p.effect(seen.append, topic)
        return len(seen), p(gen(regex="[ab]"))

    assert "changed while it ran" in lp.evaluate(counting, ROWS, "json", model=model, cache=file).uncached
    seen.clear()
    assert 0 == cached(lp.evaluate(counting, ROWS, "json", model=model, cache=file))


def test_failures_are_not_kept(model: RandomModel, file: Path) -> None:
    @program
    def fails(p: Any, topic: str) -> Any:
        return int(p("x", gen(regex="[ab]")))

    for _ in range(2):
        result = lp.evaluate(fails, ROWS, "exact", model=model, cache=file)
        assert (8, 0) == (len(result.errors), cached(result))


# -- models ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return llama_folder(tmp_path / "llama")


def on(folder: Path, file: Path, **how: Any) -> tuple[int, str]:
    with lp.load(folder, **how) as loaded:
        result = lp.evaluate(card, ROWS[:2], "exact", model=loaded, cache=file)
    return cached(result), result.uncached


def test_models_count_by_the_contents_of_their_files(folder: Path, file: Path, tmp_path: Path) -> None:
    assert (0, "") == on(folder, file)
    assert (2, "") == on(folder, file)
    assert (0, "") == on(folder, file, dtype="float64")
    assert (0, "") == on(folder, file, deterministic=True)
    copy = llama_folder(tmp_path / "copy")
    assert (2, "") == on(copy, file)


def test_weights_changed_in_place(folder: Path, file: Path) -> None:
    assert (0, "") == on(folder, file)
    weights = folder / "model.safetensors"
    before = weights.stat()
    with weights.open("r+b") as opened:
        opened.seek(-1, os.SEEK_END)
        last = opened.read(1)
        opened.seek(-1, os.SEEK_END)
        opened.write(bytes([last[0] ^ 1]))
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = weights.stat()

    assert (before.st_size, before.st_mtime_ns, before.st_ino) == (after.st_size, after.st_mtime_ns, after.st_ino)
    assert (0, "") == on(folder, file)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json"])
def test_other_files_count(folder: Path, file: Path, name: str) -> None:
    on(folder, file)
    (folder / name).write_text(f"{(folder / name).read_text()}\n")

    assert (0, "") == on(folder, file)


def test_files_that_changed_after_loading(folder: Path, file: Path) -> None:
    with lp.load(folder) as loaded:
        (folder / "config.json").touch()
        result = lp.evaluate(card, ROWS[:2], "exact", model=loaded, cache=file)

    assert "have changed since it was loaded" in result.uncached


# -- the file --------------------------------------------------------------------------------------------------------


@pytest.fixture
def full(model: RandomModel, file: Path) -> Path:
    lp.evaluate(card, ROWS, "exact", model=model, cache=file)
    return file


def damaged(full: Path, model: RandomModel) -> None:
    """It is made anew, with a warning, and nothing wrong comes of it."""
    right = values(lp.evaluate(card, ROWS, "exact", model=model))
    with pytest.warns(CacheWarning, match="damaged"):
        result = lp.evaluate(card, ROWS, "exact", model=model, cache=full)
    assert right == values(result)
    again = lp.evaluate(card, ROWS, "exact", model=model, cache=full)
    assert (8, right) == (cached(again), values(again))


@pytest.mark.parametrize("kept", [10, 100, 4096, 6000])
def test_truncated(full: Path, model: RandomModel, kept: int) -> None:
    data = full.read_bytes()
    full.write_bytes(data[:kept])
    damaged(full, model)
    assert data[:kept] == full.with_name("cache.sqlite.damaged-1").read_bytes()


@pytest.mark.parametrize(("place", "byte"), [(47, 9), (18, 7)], ids=["format of the schema", "version of writers"])
def test_a_header_of_other_versions_of_sqlite(full: Path, model: RandomModel, place: int, byte: int) -> None:
    data = full.read_bytes()
    full.write_bytes(data[:place] + bytes([byte]) + data[place + 1 :])
    damaged(full, model)


def test_garbage(full: Path, model: RandomModel) -> None:
    full.write_bytes(os.urandom(5000))
    damaged(full, model)
    full.write_text("this is no database at all\n" * 100)
    damaged(full, model)
    assert full.with_name("cache.sqlite.damaged-2").exists()


def test_an_empty_file_is_a_new_one(file: Path, model: RandomModel) -> None:
    file.touch()
    assert 0 == cached(lp.evaluate(card, ROWS, "exact", model=model, cache=file))
    assert 8 == cached(lp.evaluate(card, ROWS, "exact", model=model, cache=file))


def test_a_flipped_bit_in_a_run(full: Path, model: RandomModel) -> None:
    with sqlite3.connect(full) as db:
        key, data = db.execute("SELECT key, data FROM runs").fetchone()
        changed = bytes([*data[:-3], data[-3] ^ 4, *data[-2:]])
        db.execute("UPDATE runs SET data = ? WHERE key = ?", (changed, key))
    db.close()
    damaged(full, model)


def test_any_flipped_byte(full: Path, model: RandomModel) -> None:
    """Whatever it hits, what comes out is right."""
    right, data = values(lp.evaluate(card, ROWS, "exact", model=model)), full.read_bytes()
    for place in range(7, len(data), len(data) // 60):
        full.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CacheWarning)
            result = lp.evaluate(card, ROWS, "exact", model=model, cache=full)
        assert right == values(result), place


def test_a_database_of_another_program_is_left_alone(file: Path, model: RandomModel) -> None:
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE mine (a)")
    db.close()
    before = file.read_bytes()
    with pytest.raises(EvaluationError, match="of another program"):
        lp.evaluate(card, ROWS, "exact", model=model, cache=file)
    assert before == file.read_bytes()


@pytest.mark.parametrize("where", [".", "nowhere/cache.sqlite"])
def test_a_place_where_no_file_can_be(tmp_path: Path, model: RandomModel, where: str) -> None:
    with pytest.raises(EvaluationError, match="a file in a folder that is there"):
        lp.evaluate(card, ROWS, "exact", model=model, cache=tmp_path / where)


@pytest.mark.parametrize("where", ["~nobody-of-this-name/cache", "a\0b", 5])
def test_a_place_that_cannot_be(model: RandomModel, where: Any) -> None:
    with pytest.raises(EvaluationError, match="cache= is True or a file"):
        lp.evaluate(card, ROWS, "exact", model=model, cache=where)


def test_a_place_that_cannot_be_written(model: RandomModel) -> None:
    with pytest.warns(CacheWarning, match="cannot be used, and so nothing is kept"):
        result = lp.evaluate(card, ROWS, "exact", model=model, cache="/proc/cache.sqlite")
    assert 8 == len(result.rows)


def test_no_room(file: Path) -> None:
    store = Store(file)
    assert store._db is not None
    store._db.execute("PRAGMA max_page_count = 1")
    for n in range(BATCH - 1):
        store.put(bytes([n]), os.urandom(9000), "p", "m")
    with pytest.warns(CacheWarning, match="cannot be written, and so nothing more is kept"):
        store.flush()
    store.put(b"more", b"data", "p", "m")
    store.close()


def test_several_processes_share_a_file(file: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom lmprog.evaluation.store import Store\n"
        "store = Store(Path(sys.argv[1]))\nfor n in range(100):\n"
        "    store.put(bytes([n, int(sys.argv[2])]), bytes([n]) * 100, 'p', 'm')\n    store.flush()\nstore.close()\n"
    )
    root = os.environ | {"PYTHONPATH": str(Path(lp.__file__).parent.parent)}
    commands = [[sys.executable, "-W", "error", "-c", code, str(file), str(n)] for n in range(3)]
    running = [subprocess.Popen(command, env=root) for command in commands]

    assert [0, 0, 0] == [process.wait(60) for process in running]
    assert [("p", "m", 300)] == [row[:3] for row in Store(file).summary()]


def test_clear(full: Path) -> None:
    store = Store(full)
    assert [("card", "RandomModel(0)", 8)] == [row[:3] for row in store.summary()]
    assert 8 == store.clear()
    assert [] == store.summary()


# -- packing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [None, ("a", 1), Pair(1, [2.5]), Item(name="x"), Colour.RED, {"a": {1, 2}}, b"x", True, [Pair(Colour.RED, None)]],
    ids=repr,
)
def test_values_come_back(value: Any, model: RandomModel) -> None:
    run = lp.Run(value, "text", lp.Captures(), lp.Usage())
    back, calls = unpack(pack((run, [True, False])))

    assert (value, type(value), "text", [True, False]) == (back.value, type(back.value), back.text, calls)


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


@pytest.mark.parametrize(
    "value", [Evil(), subprocess.Popen, eval, ValueError("x")], ids=["evil", "class", "function", "error"]
)
def test_what_is_no_value_is_neither_written_nor_read(value: Any) -> None:
    run = lp.Run(value, "text", lp.Captures(), lp.Usage())
    with pytest.raises(ValueError, match="no type of values"):
        pack((run, []))
    with pytest.raises(pickle.UnpicklingError, match="no type of values"):
        unpack(pickle.dumps((run, [])))
