"""A disk that gets full: what was done stays, and with room again the job goes on to the same output."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmprog.jobs.outputs import output

from .conftest import environment

JOB = """
import sys
from lmprog.jobs import extract
from lmprog.testing import RandomModel

docs = [f"document {n} " * (n % 5 + 1) for n in range(200)]
schema = {"properties": {"word": {"type": "string", "minLength": 100, "maxLength": 200}}}
extract(RandomModel(4), docs, schema, out=sys.argv[1], resume=True)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def run(out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", JOB, str(out)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.jsonl", "out.duckdb#mine"])
def test_a_full_disk(disk: Path, tmp_path: Path, name: str) -> None:
    full = run(disk / name)
    assert 1 == full.returncode
    assert "JobError: no space left for" in full.stderr
    subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
    done, whole = run(disk / name), run(tmp_path / name)

    assert 0 == done.returncode == whole.returncode, done.stderr
    assert output(tmp_path / name).mark() == output(disk / name).mark()
    assert {name.partition("#")[0], f"{name}.state"} == set(os.listdir(disk))
