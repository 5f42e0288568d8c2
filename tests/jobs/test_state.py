import errno
import json
import os
import resource
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lmprog.jobs import JobError
from lmprog.jobs.errors import JobCancelled
from lmprog.jobs.opening import open_state
from lmprog.jobs.owners import myself
from lmprog.jobs.state import WINDOW, State, state_path

PARTS = {"schema": "s1", "prompt": "p1", "input": "i1", "model": "m1", "settings": {"max_tokens": 9}}


def record(n: int) -> tuple[int, dict[str, Any]]:
    return n, {"id": n, "data": {"word": "ä" * n}, "error": None, "usage": None}


def opened(out: Path, total: int = 3, parts: Any = PARTS, **options: Any) -> State:
    return open_state(out, parts, total, **options)


def claimed(state: State) -> list[int]:
    wants = state.claims()
    return [n for n in range(state.total) if wants(n)]


def held(state: State) -> list[int]:
    return [json.loads(line)["id"] for line in state.lines()]


def lines(out: Path) -> list[int]:
    return [json.loads(line)["id"] for line in out.read_text().splitlines()]


def do_all(state: State) -> None:
    while state.more():
        state.add(record(n) for n in claimed(state))
    state.finish({})
    state.close()


def test_output_is_in_input_order_and_left_alone_when_done(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.jsonl"
    state = opened(out)
    assert [0, 1, 2] == claimed(state)
    assert 2 == state.add([record(2), record(0)])
    assert 1 == state.add([record(1)])
    assert not out.exists()
    state.finish({})
    state.close()

    assert [0, 1, 2] == lines(out)
    assert {"out.jsonl", "out.jsonl.state"} == {path.name for path in out.parent.iterdir()}
    for resume in (False, True):
        again = opened(out, resume=resume)
        assert again.finished
        again.close()


def test_a_result_is_accepted_once(tmp_path: Path) -> None:
    state = opened(tmp_path / "out.jsonl")
    claimed(state)
    changed = (1, {"id": "other", "data": 1, "error": None, "usage": None})

    assert 1 == state.add([record(1)])
    assert 0 == state.add([record(1), changed])
    assert (1, 0) == state.counts()
    assert [1] == held(state)
    state.close()


def test_a_record_that_was_not_claimed_is_not_taken(tmp_path: Path) -> None:
    state = opened(tmp_path / "out.jsonl")

    assert 0 == state.add([record(1)])
    state.close()


def test_two_workers_share_the_records(tmp_path: Path) -> None:
    first = opened(tmp_path / "out.jsonl", 100)
    second = opened(tmp_path / "out.jsonl", 100, resume=True)
    ours, others = first.claims(), second.claims()
    assert ours(0)
    mine = [n for n in range(100) if others(n)]
    theirs = [n for n in range(1, 100) if ours(n)]

    assert list(range(WINDOW, 100)) == mine
    assert list(range(1, WINDOW)) == theirs
    first.add(record(n) for n in range(WINDOW))
    second.close()  # gives its own back
    assert first.more()
    assert mine == claimed(first)
    first.add(record(n) for n in mine)
    first.finish({})
    first.close()
    assert list(range(100)) == lines(tmp_path / "out.jsonl")


def test_leases_of_a_worker_that_is_gone_are_free(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    child = os.fork()
    if not child:
        claimed(opened(out))
        os._exit(0)  # without giving anything back
    os.waitpid(child, 0)
    state = opened(out, resume=True)

    assert state.more()
    assert [0, 1, 2] == claimed(state)
    state.close()


def test_leases_of_a_worker_that_hangs_expire(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    hanging, state = opened(out), opened(out, resume=True)
    assert [0, 1, 2] == claimed(hanging)
    assert [] == claimed(state)
    with state.db.write():
        state.db.execute("UPDATE workers SET expires = ? WHERE id = ?", (time.time() - 1, hanging.owner.id))

    assert state.more()
    assert [0, 1, 2] == claimed(state)
    assert 1 == hanging.add([record(0)])  # it was not lost after all, and comes first
    assert 2 == state.add(record(n) for n in range(3))
    for worker in (hanging, state):
        worker.close()


def test_another_process_with_the_same_number_is_another(tmp_path: Path) -> None:
    me = myself()

    assert me.alive
    assert not type(me)(me.id, me.host, me.pid, "an earlier boot 12", me.expires).alive
    assert type(me)(me.id, "another machine", 1, "", me.expires).alive
    assert not type(me)(me.id, "another machine", 1, "", time.time() - 1).alive


def test_a_run_without_records_leaves_nothing_to_lose(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    opened(out).close()
    for resume in (False, True):
        again = opened(out, parts={**PARTS, "model": "m2"}, resume=resume)
        assert again.blank
        again.close()


def test_what_json_can_say_and_utf8_cannot(tmp_path: Path) -> None:
    state = opened(tmp_path / "out.jsonl", 1)
    claimed(state)
    state.add([(0, {"data": "\ud800", "error": None})])
    state.finish({})
    state.close()

    assert "\ud800" == json.loads((tmp_path / "out.jsonl").read_text())["data"]


@pytest.mark.parametrize("part", PARTS)
def test_resume_of_another_job_is_refused_and_named(tmp_path: Path, part: str) -> None:
    out = tmp_path / "out.jsonl"
    state = opened(out)
    claimed(state)
    state.add([record(0)])
    state.close()
    with pytest.raises(JobError, match=f"was begun with another {part}: --overwrite starts anew"):
        opened(out, parts={**PARTS, part: "other"}, resume=True)
    opened(out, resume=True).close()


def test_an_unfinished_run_is_not_dropped_without_a_word(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    state = opened(out)
    claimed(state)
    state.add([record(0)])
    with pytest.raises(JobError, match=r"another process works on .*: --resume joins it"):
        opened(out)
    with pytest.raises(JobError, match="another process works on"):
        opened(out, overwrite=True)
    state.close()
    with pytest.raises(JobError, match="holds an unfinished run: --resume goes on with it, --overwrite starts anew"):
        opened(out)
    again = opened(out, overwrite=True)

    assert [] == held(again)
    again.close()


def test_other_outputs_are_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("mine\n")
    with pytest.raises(JobError, match="exists and is no output of this job: --overwrite"):
        opened(out, resume=True)
    assert ["out.jsonl"] == [path.name for path in tmp_path.iterdir()]

    state = opened(out, overwrite=True)
    assert out.read_text() == "mine\n"  # kept until there is something to replace it
    do_all(state)
    with pytest.raises(JobError, match="exists and was made with another model: --overwrite replaces it"):
        opened(out, parts={**PARTS, "model": "m2"})
    out.write_text("changed\n")
    with pytest.raises(JobError, match="was changed since"):
        opened(out)


def test_an_output_that_was_deleted_is_written_again(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    do_all(opened(out))
    out.unlink()
    state = opened(out)
    assert state.complete
    state.finish({})
    state.close()

    assert [0, 1, 2] == lines(out)


def test_a_cancelled_job_stops_and_can_be_resumed(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    state = opened(out)
    claimed(state)
    with state.db.write():
        state.db.set(cancelled=True)
    with pytest.raises(JobCancelled, match="1 of 3 records are kept"):
        state.add([record(0)])
    with pytest.raises(JobCancelled):
        state.more()
    state.close()

    do_all(opened(out, resume=True))
    assert [0, 1, 2] == lines(out)


def test_a_file_that_is_no_state_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    state_path(out).write_text("my notes\n" * 100)
    with pytest.raises(JobError, match="is not the state of a job"):
        opened(out, resume=True)
    assert state_path(out).read_text() == "my notes\n" * 100
    do_all(opened(out, overwrite=True))


def test_a_database_of_others_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with closing(sqlite3.connect(state_path(out))) as db:
        db.execute("CREATE TABLE mine (a)")
    before = state_path(out).read_bytes()
    with pytest.raises(JobError, match="is not the state of a job"):
        opened(out, resume=True)

    assert before == state_path(out).read_bytes()
    assert [state_path(out)] == list(tmp_path.iterdir())


@pytest.mark.parametrize("room", [0, 9_000, 60_000, 140_000, 180_000])
def test_full_disk_keeps_what_is_there(tmp_path: Path, room: int) -> None:
    """A child process may write files of at most `room` bytes; then the parent resumes with all the room there is."""
    out = tmp_path / "out.jsonl"
    child = os.fork()
    if not child:  # no assertion of pytest's may run in here
        os._exit(fill(out, room))

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    state = opened(out, 40, resume=True)
    kept = held(state)
    assert list(range(len(kept))) == kept
    assert (room <= 60_000) == (not kept)
    do_all(state)
    assert list(range(40)) == lines(out)


def fill(out: Path, room: int) -> int:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        state = opened(out, 40, resume=True)
        for n in claimed(state):
            state.add([(n, record(n)[1] | {"note": "x" * 3000})])
        state.finish({})
    except JobError as error:
        return 0 if "no space left" in str(error) else 1
    return 2


def test_full_disk_at_the_very_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.jsonl"
    state = opened(out)
    claimed(state)
    state.add(record(n) for n in range(3))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(JobError, match=r"no space left for .*whole; all that was done before is kept"):
            state.finish({})
    state.close()
    assert ["out.jsonl.state"] == [path.name for path in tmp_path.iterdir()]

    again = opened(out, resume=True)
    again.finish({})
    again.close()
    assert [0, 1, 2] == lines(out)


def full(handle: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError, match="cannot write"):
        opened(tmp_path / "file" / "out.jsonl")
    with pytest.raises(JobError, match="is a folder"):
        opened(tmp_path)
