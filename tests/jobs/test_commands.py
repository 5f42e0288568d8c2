"""`lmprog jobs`, on a tiny random Llama."""

import json
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lmprog.cli import app
from lmprog.jobs import extract
from lmprog.jobs.errors import JobCancelled
from lmprog.jobs.registry import entries, find, job_id
from lmprog.jobs.state import state_path
from lmprog.jobs.status import cancel, status
from lmprog.testing import RandomModel

Invoke = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("loaded")


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """The command line in an empty folder, with no jobs known."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))

    def run(*args: Any, stdin: str = "") -> Result:
        return CliRunner().invoke(app, [*map(str, args)], input=stdin, catch_exceptions=False)

    return run


class Interrupted(RandomModel):
    """Somebody presses Ctrl-C at the fortieth document."""

    left = 40

    def run(self, routine: Any, **how: Any) -> Any:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return super().run(routine, **how)


DOCS = [f"document {n}" for n in range(60)]
SCHEMA = {"enum": ["one", "two"]}


def half_a_job(out: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        extract(Interrupted(1), DOCS * 5, SCHEMA, out=out)


def test_list_and_show(invoke: Invoke, docs: Path, schema: Path, tiny: Path) -> None:
    assert "no jobs\n" == invoke("jobs", "list").stdout
    invoke("extract", docs, "--schema", schema, "-o", "out.jsonl", "--model", tiny, "--max-tokens", 64)
    extract(RandomModel(1), DOCS, SCHEMA, out="other.jsonl")
    listed = invoke("jobs", "list").stdout
    (name,) = [name for name in entries() if name.startswith("out-")]
    shown = invoke("jobs", "show", name).stdout

    assert re.search(rf"{name}\s*│ done\s*│ 40 of 40 │ 2 ", listed)
    assert re.search(r"other-....\s*│ done\s*│ 60 of 60 │ 0 ", listed)
    assert re.search(r"failed\s*│ 2 .*InputError\s*│ 2 ", shown, re.DOTALL)
    assert f"lmprog extract {docs} --schema={schema} --out=out.jsonl --model={tiny} --max-tokens=64" in shown
    assert shown == invoke("jobs", "show", "out").stdout == invoke("jobs", "show", "out.jsonl").stdout


def test_a_job_whose_state_is_gone_is_shown_once(invoke: Invoke) -> None:
    extract(RandomModel(1), DOCS, SCHEMA, out="out.jsonl")
    state_path(Path("out.jsonl")).unlink()

    assert re.search(r"out-....\s*│ gone", invoke("jobs", "list").stdout)
    assert "no jobs\n" == invoke("jobs", "list").stdout
    gone = invoke("jobs", "show", "out")
    assert (
        2,
        "lmprog: JobError: there is no job 'out': lmprog jobs list shows them; an output's path will do, too\n",
    ) == (
        gone.exit_code,
        gone.stderr,
    )


def test_an_id_that_is_not_one_jobs_alone(invoke: Invoke) -> None:
    for folder in ("a", "b"):
        extract(RandomModel(1), DOCS[:1], SCHEMA, out=f"{folder}/out.jsonl")

    assert "'out' begins the names of 2 jobs" in invoke("jobs", "show", "out").stderr
    assert Path("a/out.jsonl.state").resolve() == find(job_id(Path("a/out.jsonl.state")))


def test_cancel_stops_a_job_and_keeps_what_is_done(tmp_path: Path) -> None:
    out, told = tmp_path / "out.jsonl", threading.Event()

    def watch(now: Any) -> None:
        if not told.is_set():
            cancel(state_path(out))
            told.set()

    with pytest.raises(JobCancelled, match=r"the job was cancelled; [0-9]+ of 600 records are kept"):
        extract(RandomModel(1), DOCS * 10, SCHEMA, out=out, watch=watch)
    stopped = status(state_path(out))
    assert ("cancelled", []) == (stopped.word, stopped.workers)
    assert 0 < stopped.done < 600

    extract(RandomModel(1), DOCS * 10, SCHEMA, out=out, resume=True)
    assert ("done", 600) == (status(state_path(out)).word, status(state_path(out)).done)


def test_cancel_and_resume_by_command(
    invoke: Invoke, docs: Path, schema: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = ["--schema", schema, "--model", tiny, "--max-tokens", 64]
    invoke("extract", docs, *options, "-o", "whole.jsonl")
    shutil.copy("whole.jsonl.state", "part.jsonl.state")  # all of it, then half of it
    undo(Path("part.jsonl.state"))

    assert "part.jsonl cancelled: 20 of 40 records are kept\n" == invoke("jobs", "cancel", "part.jsonl").stderr
    assert re.search(r"state\s*│ cancelled", invoke("jobs", "show", "part.jsonl").stdout)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    done = invoke("jobs", "resume", "../part.jsonl")
    assert 1 == done.exit_code, done.stderr
    assert (tmp_path / "whole.jsonl").read_bytes() == (tmp_path / "part.jsonl").read_bytes()
    assert "part.jsonl is done already\n" == invoke("jobs", "cancel", "part.jsonl").stderr


def undo(path: Path) -> None:
    """Leave half of a finished job."""
    from lmprog.jobs.database import Database

    db = Database(path)
    with db.write():
        db.execute("DELETE FROM records WHERE number % 2 = 1")
        db.execute("DELETE FROM tally")
        db.execute("INSERT INTO tally SELECT iif(state = 'failed', 'InputError', ''), count(*) FROM records GROUP BY 1")
        command = [word.replace("whole", "part") for word in db.get("command")]
        db.set(stage="running", command=command)
    db.close()


def test_standard_input_is_kept_until_the_job_is_done(
    invoke: Invoke, schema: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = "".join(json.dumps(text) + "\n" for text in ["a cat", "the mat", "that", 7])
    options = ["-", "--schema", schema, "--model", tiny, "--max-tokens", 64, "-o"]
    invoke("extract", *options, "whole.jsonl", stdin=texts)
    with monkeypatch.context() as patch:
        patch.setattr("lmprog.jobs.work.Worker.run", interrupt)
        assert 130 == invoke("extract", *options, "part.jsonl", stdin=texts).exit_code
    assert texts == Path("part.jsonl.stdin").read_text()
    done = invoke("jobs", "resume", "part")

    assert 1 == done.exit_code, done.stderr
    assert Path("whole.jsonl").read_bytes() == Path("part.jsonl").read_bytes()
    assert not Path("part.jsonl.stdin").exists()


def interrupt(self: Any, docs: Any, put: Any) -> None:
    raise KeyboardInterrupt


def test_a_job_from_python_is_resumed_in_python(invoke: Invoke) -> None:
    half_a_job(Path("out.jsonl"))

    assert "was begun from Python: run that again with resume=True" in invoke("jobs", "resume", "out").stderr
    assert "stopped" == status(find("out")).word


def test_figures_of_a_running_job(tmp_path: Path) -> None:
    out, seen = tmp_path / "out.jsonl", []

    def watch(now: Any) -> None:
        seen.append(status(state_path(out)))
        time.sleep(0.01)

    extract(RandomModel(1), DOCS * 10, SCHEMA, out=out, watch=watch)
    running = seen[len(seen) // 2]

    assert "running" == running.word
    assert 1 == len(running.workers)
    assert running.tokens_per_second > 0
    assert running.seconds_left is not None
    assert running.seconds_left > 0


def test_export_in_another_format(invoke: Invoke) -> None:
    half_a_job(Path("out.jsonl"))
    kept = status(find("out")).done
    done = invoke("jobs", "export", "out", "-o", "part.sqlite#words")
    extract(RandomModel(1), DOCS * 5, SCHEMA, out="out.jsonl", resume=True)

    assert f"{kept} records: part.sqlite#words\n" == done.stderr
    assert "exists: --overwrite replaces it" in invoke("jobs", "export", "out", "-o", "part.sqlite#words").stderr
    assert 0 == invoke("jobs", "export", "out", "-o", "part.sqlite#words", "--overwrite").exit_code
    assert 0 == invoke("jobs", "export", "out", "-o", "all.jsonl").exit_code
    assert Path("out.jsonl").read_bytes() == Path("all.jsonl").read_bytes()
    with closing(sqlite3.connect("part.sqlite")) as db:
        assert [(300,)] == db.execute("SELECT count(data) FROM words").fetchall()
