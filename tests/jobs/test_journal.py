import errno
import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from lmprog.jobs import JobError
from lmprog.jobs.journal import Journal, beside, finished, open_journal

PARTS = {"schema": "s1", "prompt": "p1", "input": "i1", "model": "m1", "settings": {"max_tokens": 9}}


def record(n: int) -> tuple[int, dict[str, Any]]:
    return n, {"id": n, "data": {"word": "ä" * n}, "error": None, "usage": None}


def opened(out: Path, **options: bool) -> Journal:
    journal = open_journal(out, PARTS, **options)
    assert journal is not None
    return journal


def lines(out: Path) -> list[int]:
    return [json.loads(line)["id"] for line in out.read_text().splitlines()]


def test_output_is_in_input_order_and_left_alone_when_done(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.jsonl"
    journal = opened(out)
    journal.add([record(2), record(0)])
    journal.add([record(1)])
    assert not out.exists()
    journal.finish({})
    journal.close()

    assert [0, 1, 2] == lines(out)
    assert {"out.jsonl", "out.jsonl.job"} == {path.name for path in out.parent.iterdir()}
    assert open_journal(out, PARTS) is None
    assert open_journal(out, PARTS, resume=True) is None
    assert finished(out, PARTS)


def test_every_prefix_of_the_partial_file_can_be_resumed(tmp_path: Path) -> None:
    """A kill or a power cut leaves some prefix of what was written."""
    out = tmp_path / "out.jsonl"
    journal = opened(out)
    for n in (1, 0, 2):
        journal.add([record(n)])
    journal.close()
    whole = journal.path.read_bytes()
    for length in range(len(whole) + 1):
        journal.path.write_bytes(whole[:length])
        again = opened(out, resume=True)
        kept = whole[:length].count(b"\n") - 1
        assert set([1, 0, 2][: max(kept, 0)]) == again.held()
        again.add(record(n) for n in range(3) if n not in again.held())
        assert [record(n)[1] for n in range(3)] == [json.loads(line) for line in again.lines()]
        again.close()


def test_a_run_without_records_leaves_nothing_to_lose(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    opened(out).close()
    for resume in (False, True):
        again = open_journal(out, {**PARTS, "model": "m2"}, resume=resume)
        assert again is not None
        assert set() == again.held()
        again.close()


def test_garbage_at_the_end_is_dropped(tmp_path: Path) -> None:
    journal = opened(tmp_path / "out.jsonl")
    journal.add([record(0)])
    journal.close()
    with journal.path.open("ab") as file:
        file.write(b"\0" * 50 + b"\n1\tnull\n")
    again = opened(tmp_path / "out.jsonl", resume=True)
    again.close()

    assert {0} == again.held()


def test_what_json_can_say_and_utf8_cannot(tmp_path: Path) -> None:
    journal = opened(tmp_path / "out.jsonl")
    journal.add([(0, {"data": "\ud800"})])
    journal.finish({})
    journal.close()

    assert {"data": "\ud800"} == json.loads((tmp_path / "out.jsonl").read_text())


@pytest.mark.parametrize("part", PARTS)
def test_resume_of_another_job_is_refused_and_named(tmp_path: Path, part: str) -> None:
    out = tmp_path / "out.jsonl"
    journal = opened(out)
    journal.add([record(0)])
    journal.close()
    with pytest.raises(JobError, match=f"was begun with another {part}: --overwrite starts anew"):
        open_journal(out, {**PARTS, part: "other"}, resume=True)
    opened(out, resume=True).close()


def test_an_unfinished_run_is_not_dropped_without_a_word(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    journal = opened(out)
    journal.add([record(0)])
    journal.close()
    with pytest.raises(JobError, match="holds an unfinished run: --resume goes on with it, --overwrite starts anew"):
        open_journal(out, PARTS)
    again = opened(out, overwrite=True)
    again.close()

    assert set() == again.held()


def test_other_outputs_are_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("mine\n")
    with pytest.raises(JobError, match="exists and is no output of this job, or was changed since: --overwrite"):
        open_journal(out, PARTS, resume=True)
    assert ["out.jsonl"] == [path.name for path in tmp_path.iterdir()]

    journal = opened(out, overwrite=True)
    assert out.read_text() == "mine\n"  # kept until there is something to replace it
    journal.finish({})
    journal.close()
    with pytest.raises(JobError, match="exists and was made with another model: --overwrite replaces it"):
        open_journal(out, {**PARTS, "model": "m2"})
    out.write_text("changed\n")
    with pytest.raises(JobError, match="or was changed since"):
        open_journal(out, PARTS)


def test_two_processes_cannot_write_the_same_output(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    journal = opened(out)
    with pytest.raises(JobError, match="another process is writing"):
        open_journal(out, PARTS, resume=True)
    journal.add([record(0)])
    journal.close()
    opened(out, resume=True).close()


def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    beside(out, "partial").write_text("my notes\n")
    with pytest.raises(JobError, match="not the partial output of a job"):
        open_journal(out, PARTS, resume=True)
    assert beside(out, "partial").read_text() == "my notes\n"


@pytest.mark.parametrize("room", [150, 400, 1000, 2500])
def test_full_disk_keeps_what_is_there(tmp_path: Path, room: int) -> None:
    """A child process may write files of at most `room` bytes; then the parent resumes with all the room there is."""
    out = tmp_path / "out.jsonl"
    child = os.fork()
    if not child:  # no assertion of pytest's may run in here
        os._exit(fill(out, room))

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    journal = opened(out, resume=True)
    held = journal.held()
    journal.add(record(n) for n in range(40) if n not in held)
    journal.finish({})
    journal.close()
    assert len(held) < 40
    assert (room == 150) == (not held)
    assert list(range(40)) == lines(out)


def test_full_disk_at_the_very_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.jsonl"
    journal = opened(out)
    journal.add([record(0), record(1)])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(JobError, match=r"no space left for .*whole; what .*partial holds is valid"):
            journal.finish({})
    journal.close()
    assert ["out.jsonl.partial"] == [path.name for path in tmp_path.iterdir()]

    again = opened(out, resume=True)
    again.finish({})
    again.close()
    assert [0, 1] == lines(out)


def full(handle: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill(out: Path, room: int) -> int:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        journal = open_journal(out, PARTS, resume=True)
        assert journal is not None
        for n in range(40):
            journal.add([record(n)])
        journal.finish({})
    except JobError as error:
        return 0 if "no space left" in str(error) else 1
    return 2


def test_an_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError, match="cannot write"):
        open_journal(tmp_path / "file" / "out.jsonl", PARTS)
    with pytest.raises(JobError, match="is a folder"):
        open_journal(tmp_path, PARTS)
