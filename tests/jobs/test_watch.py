"""A watched folder or file: what comes is done, in the order in which it came, and the output grows."""

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lmprog.jobs import Fields, JobError, extract
from lmprog.jobs.appending import Appender
from lmprog.jobs.extract import Job
from lmprog.jobs.follow import follow
from lmprog.jobs.inbox import Inbox
from lmprog.jobs.layout import layout
from lmprog.jobs.letters import letters_path
from lmprog.jobs.opening import open_state
from lmprog.jobs.target import target
from lmprog.testing import RandomModel

from .conftest import read

SCHEMA = {"enum": ["one", "two"]}


def watched(path: Path, out: Path, during: Callable[[Any], None] | None = None, until_idle: float = 0.3) -> None:
    inbox, goal, model = Inbox(path, Fields()), target(SCHEMA), RandomModel(1)
    job = Job(inbox.source(), goal, layout(SCHEMA))
    with closing(open_state(out, job.parts(model.name), 0, resume=True)) as state:
        inbox.db = state.db
        follow(job, inbox, job.worker(model), state, during, until_idle)


def put(path: Path, text: str) -> None:
    """A file that was written a while ago."""
    path.write_text(text)
    os.utime(path, (time.time() - 5, time.time() - 5))


def ids(out: Path) -> list[Any]:
    return [record["id"] for record in read(out)]


def test_a_folder(tmp_path: Path) -> None:
    inbox, out = tmp_path / "in", tmp_path / "out.jsonl"
    inbox.mkdir()
    put(inbox / "b.txt", "text b")
    put(inbox / "d.txt", "text d")

    def more(now: Any) -> None:
        if not (inbox / "a.txt").exists():
            put(inbox / "a.txt", "text a")
            put(inbox / "c.pdf", "no pdf")

    watched(inbox, out, more)
    assert ["b.txt", "d.txt", "a.txt", "c.pdf"] == ids(out)
    put(inbox / "aa.txt", "text aa")
    watched(inbox, out)

    assert ["b.txt", "d.txt", "a.txt", "c.pdf", "aa.txt"] == ids(out)
    assert ["c.pdf"] == [letter["id"] for letter in read(letters_path(out))]


def test_the_output_is_there_before_the_end(tmp_path: Path) -> None:
    docs, out, seen = tmp_path / "docs.jsonl", tmp_path / "out.jsonl", []
    docs.write_text('"one"\n')
    watcher = threading.Thread(target=watched, args=(docs, out, None, 2.0))
    watcher.start()
    for _ in range(1000):
        if out.exists() and out.stat().st_size:
            seen.append(ids(out))
            break
        time.sleep(0.01)
    assert watcher.is_alive()
    watcher.join()

    assert [[1]] == seen


def test_a_file_that_is_being_written_waits(tmp_path: Path) -> None:
    inbox, out = tmp_path / "in", tmp_path / "out.jsonl"
    inbox.mkdir()
    (inbox / "new.txt").write_text("half of it")
    os.utime(inbox / "new.txt", (time.time() + 60, time.time() + 60))
    put(inbox / "old.txt", "text")
    watched(inbox, out)

    assert ["old.txt"] == ids(out)


def test_a_file_that_grows(tmp_path: Path) -> None:
    docs, out = tmp_path / "docs.jsonl", tmp_path / "out.jsonl"
    docs.write_text('"one"\n\n{"id": "x", "text": "two"}\n{"id": "y", "te')
    watched(docs, out)
    assert [1, "x"] == ids(out)
    with docs.open("a") as file:
        file.write('xt": "three"}\nbroken\n"five"\n')
    watched(docs, out)

    assert [1, "x", "y", 5, 6] == ids(out)
    assert "docs.jsonl, line 5: not JSON" in read(out)[3]["error"]["message"]
    docs.write_text('"one"\n')
    with pytest.raises(JobError, match="became shorter while it was watched"):
        watched(docs, out)


def test_the_output_is_that_of_a_job_on_all_of_it(tmp_path: Path) -> None:
    docs, out = tmp_path / "docs.jsonl", tmp_path / "out.jsonl"
    lines = [json.dumps(f"document {n}") + "\n" for n in range(300)]
    docs.write_text("".join(lines[:100]))
    added = threading.Timer(0.2, lambda: docs.write_text("".join(lines)))
    added.start()
    watched(docs, out, until_idle=1.0)
    extract(RandomModel(1), docs, SCHEMA, out=tmp_path / "whole.jsonl")

    assert (tmp_path / "whole.jsonl").read_bytes() == out.read_bytes()


def test_what_a_kill_left_behind_the_end_is_cut_off(tmp_path: Path) -> None:
    docs, out = tmp_path / "docs.jsonl", tmp_path / "out.jsonl"
    docs.write_text('"one"\n"two"\n')
    watched(docs, out)
    whole = out.read_bytes()
    out.write_bytes(whole + b'{"id": 3, "da')
    watched(docs, out)

    assert whole == out.read_bytes()
    out.write_bytes(whole[:-1])
    with pytest.raises(JobError, match="became shorter than this job wrote it"):
        watched(docs, out)


def test_nothing_comes(tmp_path: Path) -> None:
    """An output without records would look like another job's."""
    docs, out = tmp_path / "docs.jsonl", tmp_path / "out.jsonl"
    docs.write_text("")
    watched(docs, out, until_idle=0.0)
    assert not out.exists()
    docs.write_text('"one"\n')
    watched(docs, out)

    assert [1] == ids(out)


def test_what_cannot_be_watched(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n")
    with pytest.raises(JobError, match=r"only a folder or a JSONL file can be watched, and .*a\.csv is neither"):
        Inbox(tmp_path / "a.csv", Fields())
    with pytest.raises(JobError, match="has to be a JSONL file"):
        Appender(tmp_path / "out.parquet", None)  # type: ignore[arg-type]
