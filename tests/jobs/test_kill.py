"""Killed at random moments and resumed, a job writes the same file as an undisturbed run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmprog.jobs.journal import beside

from .conftest import ROOT, Run, read

JOB = """
import sys
from lmprog.jobs import extract
from lmprog.testing import RandomModel

docs = [f"document {n} " * (n % 5 + 1) for n in range(150)]
schema = {"properties": {"word": {"type": "string", "maxLength": 30}, "n": {"type": "integer"}}}
extract(RandomModel(4), docs, schema, out=sys.argv[1], resume=True, max_tokens=40)
"""


def records(partial: Path) -> int:
    try:
        return partial.read_bytes().count(b"\n") - 1
    except FileNotFoundError:
        return -1


def run_until(command: list[str], partial: Path, enough: int) -> bool:
    """Start the command and kill it when the partial file has `enough` records; whether it was killed in time."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as job:
        while job.poll() is None:
            if records(partial) >= enough:
                job.send_signal(signal.SIGKILL)
                job.wait()
                return True
            time.sleep(0.002)
    return False


@pytest.mark.slow
def test_sigkill_at_random_moments(tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    subprocess.run([sys.executable, "-c", JOB, str(whole)], check=True)
    rng, kills, partial = random.Random(0), 0, beside(out, "partial")
    for enough in sorted(rng.sample(range(150), 6)):
        kills += run_until([sys.executable, "-c", JOB, str(out)], partial, enough)
        with partial.open("ab") as file:  # what a torn write looks like
            file.write(b'149\t{"id": 150, "da'[: rng.randrange(20)])
    subprocess.run([sys.executable, "-c", JOB, str(out)], check=True)

    assert kills >= 3
    assert whole.read_bytes() == out.read_bytes()
    assert not partial.exists()


def extract_command(tiny: Path, docs: Path, schema: Path, out: Path) -> list[str]:
    options = ["--schema", str(schema), "--model", str(tiny), "--max-tokens", "64", "-o", str(out), "--resume"]
    return [sys.executable, "-m", "lmprog", "extract", str(docs), *options]


@pytest.mark.slow
def test_sigkill_of_the_command(tmp_path: Path, tiny: Path, docs: Path, schema: Path, lmprog: Run) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    killed = run_until(extract_command(tiny, docs, schema, out), beside(out, "partial"), 1)
    done = subprocess.run(extract_command(tiny, docs, schema, out), capture_output=True, text=True, check=False)
    lmprog(*extract_command(tiny, docs, schema, whole)[3:])

    assert killed
    assert 1 == done.returncode
    assert "from an earlier run" in done.stdout
    assert whole.read_bytes() == out.read_bytes()


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done(tmp_path: Path, tiny: Path, docs: Path, schema: Path) -> None:
    out, many = tmp_path / "out.jsonl", tmp_path / "many.jsonl"
    many.write_text(docs.read_text() * 30)
    command = extract_command(tiny, many, schema, out)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        while job.poll() is None and records(beside(out, "partial")) < 1:
            time.sleep(0.01)
        job.send_signal(signal.SIGINT)
        _, stderr = job.communicate(timeout=60)

    assert 130 == job.returncode
    assert "of 1200 records are kept; --resume goes on" in stderr.replace("\n", " ")
    assert "Traceback" not in stderr
    assert 1 <= records(beside(out, "partial")) < 1200


@pytest.mark.slow
def test_a_part_of_the_demo(tmp_path: Path) -> None:
    """With the default model, killed and resumed, and undisturbed."""
    examples, whole, out = ROOT / "examples", tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    part = tmp_path / "part.docs.jsonl"
    part.write_text("".join((examples / "changelogs.jsonl").read_text().splitlines(keepends=True)[:24]))
    command = [sys.executable, "-m", "lmprog", "extract", str(part)]
    command += ["--schema", str(examples / "changelogs.schema.json")]
    command += ["--examples", str(examples / "changelogs.shots.jsonl"), "--resume", "-o"]
    killed = run_until([*command, str(out)], beside(out, "partial"), 3)
    for path in (out, whole):
        subprocess.run([*command, str(path)], check=True, env={**os.environ, "COLUMNS": "200"})

    assert killed
    assert read(whole) == read(out)
