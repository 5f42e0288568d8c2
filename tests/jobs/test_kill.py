"""Killed at random moments and resumed, a job writes the same file as an undisturbed run."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from lmprog.jobs.state import state_path

from .conftest import ROOT, Run, environment, read
from .kills import PATHS


def records(out: Path) -> int:
    """How many the state holds."""
    try:
        with closing(sqlite3.connect(f"{state_path(out).as_uri()}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT total(n) FROM tally").fetchone()[0])
    except sqlite3.OperationalError:  # there is none yet
        return -1


def start(*command: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, env=environment()
    )


def run_until(command: list[str], out: Path, enough: int) -> bool:
    """Start the command and kill it when `enough` records are done; whether it was killed in time."""
    with start(*command) as job:
        while job.poll() is None:
            if records(out) >= enough:
                job.send_signal(signal.SIGKILL)
                job.wait()
                return True
            time.sleep(0.002)
    return False


@pytest.mark.slow
def test_sigkill_at_random_moments() -> None:
    """On every path of the state, LMPROG_KILLS times each; see kills.py."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.jobs.kills", "--rounds", os.environ.get("LMPROG_KILLS", "2")],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert len(PATHS) == done.stdout.count("outputs, all the same"), done.stdout


def run(*command: str) -> None:
    subprocess.run([sys.executable, *command], check=True, env=environment(), capture_output=True)


def extract_command(tiny: Path, docs: Path, schema: Path, out: Path) -> list[str]:
    options = ["--schema", str(schema), "--model", str(tiny), "--max-tokens", "64", "-o", str(out), "--resume"]
    return ["-m", "lmprog", "extract", str(docs), *options]


@pytest.mark.slow
def test_sigkill_of_the_command(tmp_path: Path, tiny: Path, docs: Path, schema: Path, lmprog: Run) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    killed = run_until(extract_command(tiny, docs, schema, out), out, 1)
    done = lmprog(*extract_command(tiny, docs, schema, out)[2:])
    lmprog(*extract_command(tiny, docs, schema, whole)[2:])

    assert killed
    assert 1 == done.returncode
    assert "by other runs" in done.stdout
    assert whole.read_bytes() == out.read_bytes()


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done(tmp_path: Path, tiny: Path, docs: Path, schema: Path) -> None:
    out, many = tmp_path / "out.jsonl", tmp_path / "many.jsonl"
    many.write_text(docs.read_text() * 30)
    command = extract_command(tiny, many, schema, out)
    with start(*command) as job:
        while job.poll() is None and records(out) < 1:
            time.sleep(0.01)
        job.send_signal(signal.SIGINT)
        _, stderr = job.communicate(timeout=60)

    assert 130 == job.returncode
    assert "of 1200 records are kept; --resume goes on" in stderr.replace("\n", " ")
    assert "Traceback" not in stderr
    assert 1 <= records(out) < 1200


@pytest.mark.slow
def test_a_part_of_the_demo(tmp_path: Path) -> None:
    """With the default model, killed and resumed, and undisturbed."""
    examples, whole, out = ROOT / "examples", tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    part = tmp_path / "part.docs.jsonl"
    part.write_text("".join((examples / "changelogs.jsonl").read_text().splitlines(keepends=True)[:24]))
    command = ["-m", "lmprog", "extract", str(part)]
    command += ["--schema", str(examples / "changelogs.schema.json")]
    command += ["--examples", str(examples / "changelogs.shots.jsonl"), "--resume", "-o"]
    killed = run_until([*command, str(out)], out, 3)
    for path in (out, whole):
        run(*command, str(path))

    assert killed
    assert read(whole) == read(out)
