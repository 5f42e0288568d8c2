"""Another attempt after errors of the moment, limits of time, and dead letters."""

import json
from pathlib import Path
from typing import Any

import pytest

from lmprog.jobs import Chunks, Fields, extract, trying
from lmprog.jobs.deadline import within
from lmprog.jobs.letters import letters_path
from lmprog.jobs.trying import TRANSIENT, Trying, wait
from lmprog.runtime.errors import EngineFault
from lmprog.runtime.request import Request
from lmprog.testing import RandomModel

from .conftest import read

DOCS = [f"document {n}" for n in range(60)]
SCHEMA = {"enum": ["one", "two"]}
WHOLE = Chunks(never=True)  # what does not fit is an error


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trying, "FIRST_WAIT", 0.01)


class Flaky(RandomModel):
    """Every k-th request meets a fault of the engine; `times` of them at most."""

    def __init__(self, every: int, times: int = 1000) -> None:
        super().__init__(1, context=4000)
        self.every, self.times, self.started = every, times, 0

    def run(self, routine: Any, **how: Any) -> Any:
        self.started += 1
        if self.started % self.every == 0 and self.times:
            self.times -= 1
            return super().run(faulty(routine), **how)
        return super().run(routine, **how)


def faulty(routine: Any) -> Any:
    next(routine)
    try:
        routine.throw(EngineFault("the engine failed twice at the same place"))
    except StopIteration as stop:
        return stop.value
    yield []


def test_errors_of_the_moment_are_tried_again(tmp_path: Path) -> None:
    calm = extract(RandomModel(1, context=4000), DOCS, SCHEMA)
    done = extract(Flaky(5), DOCS, SCHEMA, out=tmp_path / "out.jsonl", retries=9)
    attempts = [line.get("attempts", 1) for line in read(tmp_path / "out.jsonl")]

    assert [record.data for record in calm.records] == [record.data for record in done.records]
    assert 0 == done.summary.failed
    assert [1, 1, 1, 1, 2] == attempts[:5]
    assert 12 == sum(n > 1 for n in attempts)
    assert not letters_path(tmp_path / "out.jsonl").exists()


def test_attempts_come_to_an_end(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = extract(Flaky(1), DOCS[:3], SCHEMA, out=out, retries=2)

    assert [3, 3, 3] == [record.attempts for record in done.records]
    assert {"EngineFault"} == {(record.error or {})["type"] for record in done.records}
    letters = read(letters_path(out))
    assert [[1, 2, 3], DOCS[:3]] == [[letter[key] for letter in letters] for key in ("id", "text")]
    assert [["EngineFault"] * 2] * 3 == [[each["type"] for each in letter["attempts"]] for letter in letters]


def test_without_retries() -> None:
    done = extract(Flaky(1, times=1), DOCS[:2], SCHEMA, retries=0)

    assert ["EngineFault", None] == [record.error and record.error["type"] for record in done.records]
    assert [None, None] == [record.attempts for record in done.records]


def test_errors_that_come_again_are_not_tried_again() -> None:
    done = extract(model := Flaky(1000), ["a", {"no": "text"}, "x y z " * 3000], SCHEMA, chunks=WHOLE)

    assert [None, "InputError", "ContextOverflow"] == [r.error and r.error["type"] for r in done.records]
    assert 3 == model.started
    assert not Trying(5).again({"error": {"type": "OutputError"}}, 0)
    assert all(Trying(5).again({"error": {"type": kind}}, 4) for kind in TRANSIENT)


def test_waits_grow_to_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    assert [0.5, 2.0, 8.0, 32.0, 60.0, 60.0] == [wait(n) for n in range(1, 7)]


def test_a_retry_outlives_the_process(tmp_path: Path) -> None:
    """What was tried before a stop counts after it."""
    out = tmp_path / "out.jsonl"

    def stop(now: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(Flaky(1), DOCS[:2], SCHEMA, out=out, watch=stop)
    done = extract(RandomModel(1), DOCS[:2], SCHEMA, out=out, resume=True)

    assert [2, 2] == [record.attempts for record in done.records]
    assert 0 == done.summary.failed


def test_dead_letters_are_an_input_again(tmp_path: Path) -> None:
    docs, out = tmp_path / "docs.jsonl", tmp_path / "out.jsonl"
    rows = [{"nr": n, "body": "x y z " * (3000 if n % 2 else 1), "gold": "one"} for n in range(4)]
    docs.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"nr": 4, "bo\n')
    fields = Fields("body", "nr", "gold")
    extract(RandomModel(1, context=4000), docs, SCHEMA, out=out, fields=fields, chunks=WHOLE)
    letters = read(letters_path(out))

    assert [1, 3, 5] == [letter["nr"] for letter in letters]
    assert '{"nr": 4, "bo' == letters[2]["input"]
    assert ["ContextOverflow", "ContextOverflow", "InputError"] == [letter["error"]["type"] for letter in letters]
    again = extract(RandomModel(1, context=40_000), letters_path(out), SCHEMA, fields=fields)
    assert [1, 3] == [record.id for record in again.records[:2]]
    assert [None, None, "InputError"] == [record.error and record.error["type"] for record in again.records]
    assert again.score is not None
    assert 2 == again.score.records


def test_letters_go_when_nothing_fails(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    extract(Flaky(1), DOCS[:2], SCHEMA, out=out, retries=0)
    assert "out.parquet.dead.jsonl" == letters_path(out).name
    assert letters_path(out).exists()
    extract(RandomModel(1), DOCS[:2], SCHEMA, out=out, overwrite=True)

    assert not letters_path(out).exists()


def test_a_document_may_take_so_long(tmp_path: Path) -> None:
    long = {"type": "string", "minLength": 2000}
    done = extract(RandomModel(1), DOCS[:2], long, timeout=0.05, retries=1, max_tokens=3000)

    assert ["DeadlineExceeded"] * 2 == [(record.error or {}).get("type") for record in done.records]
    assert [2, 2] == [record.attempts for record in done.records]


def test_the_limit_is_for_all_requests_of_a_document() -> None:
    def three_rounds() -> Any:
        first = yield [Request([1], 5)]
        second = yield [Request([2], 5), Request([3], 5, timeout=0.001)]
        try:
            yield [Request([4], 5)]
        except EngineFault as error:
            return first, second, str(error)

    routine = within(three_rounds(), 10.0)
    assert 9 < (next(routine)[0].timeout or 0) <= 10
    second = [request.timeout or 0 for request in routine.send(["a"])]  # type: ignore[list-item]
    assert 9 < second[0] < 10
    assert 0.001 == second[1]
    routine.send(["b"])  # type: ignore[list-item]
    with pytest.raises(StopIteration) as stop:
        routine.throw(EngineFault("no"))
    assert (["a"], ["b"], "no") == stop.value.value
