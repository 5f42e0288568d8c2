"""`lmprog serve` as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from .serving import until

PROGRAM = """
from lmprog import gen, program
@program
def card(p, topic: str) -> str:
    return p(topic, gen(regex="[a-z]{3}"))
"""


@contextmanager
def running(*options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "lmprog", "serve", "--model", "random:0", "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        while "lmprog serves" not in line:
            assert line, "it ended"
            line = process.stderr.readline()
        url = re.search(r"http://\S+(?=/v1)", line)
        assert url
        until(lambda: _is_up(url[0]))
        yield process, url[0]
    finally:
        process.kill()
        process.communicate()


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_it_serves_and_stops(tmp_path: Path) -> None:
    file, keys = tmp_path / "some.py", tmp_path / "keys"
    file.write_text(PROGRAM)
    keys.write_text("# ours\nfrom-file\n")
    options = ["--program", f"{file}:card", "--name", "tiny", "--api-key", "given", "--api-key-file", str(keys)]
    with running(*options, LMPROG_API_KEY="of-environment") as (process, url):
        for key in ("given", "from-file", "of-environment"):
            header = {"Authorization": f"Bearer {key}"}
            answer = httpx.post(f"{url}/programs/card", json={"topic": "x"}, headers=header, timeout=60)
            assert re.fullmatch("[a-z]{3}", answer.json()["value"])
        assert 401 == httpx.get(f"{url}/v1/models").status_code
        assert "tiny" == httpx.get(f"{url}/v1/models", headers=header).json()["data"][0]["id"]
        body = {"prompt": "x", "guided_regex": "[ab]{100}", "max_tokens": 100, "stream": True}
        with httpx.stream("POST", f"{url}/v1/completions", json=body, headers=header, timeout=60) as stream:
            lines = stream.iter_lines()
            next(lines)
            process.send_signal(signal.SIGTERM)
            rest = list(lines)
        assert "data: [DONE]" in rest  # it was allowed to end
        assert process.stderr is not None
        log = process.stderr.read()
        process.wait(60)

    entries = [json.loads(line) for line in log.splitlines() if line.startswith('{"time"')]
    assert {"client", "method", "path", "status", "seconds"} <= entries[-1].keys()
    assert 200 == entries[-1]["status"]
    assert 30 < entries[-1]["completion_tokens"] <= 100
    assert "given" not in log
    assert "from-file" not in log


def test_requests_that_do_not_end_in_time_are_cancelled() -> None:
    with running("--grace", "1") as (process, url):
        body = {"prompt": "x", "guided_regex": "[ab]{4000}", "max_tokens": 4000, "stream": True, "n": 8}
        with httpx.stream("POST", f"{url}/v1/completions", json=body, timeout=60) as stream:
            next(stream.iter_lines())
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def test_a_public_address_without_a_key_is_warned_of() -> None:
    command = [sys.executable, "-m", "lmprog", "serve", "--model", "random:0", "--port", "0", "--host", "0.0.0.0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        assert "can be reached from elsewhere" in process.stderr.readline()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--program", "nothing.py:card"], "nothing.py"),
        (["--program", "json:dumps"], "not a program"),
        (["--api-key", ""], "a key is"),
        (["--api-key-file", "/nowhere"], "nowhere"),
        (["--host", "256.0.0.1"], "cannot listen"),
        (["--model", "/nowhere"], "no model"),
    ],
)
def test_what_keeps_it_from_starting(options: list[str], message: str) -> None:
    command = [sys.executable, "-m", "lmprog", "serve", "--model", "random:0", "--port", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (2, 1) == (done.returncode, len(done.stderr.splitlines())), done.stderr
    assert message in done.stderr


def test_a_port_that_is_taken() -> None:
    with running() as (_, url):
        command = [sys.executable, "-m", "lmprog", "serve", "--model", "random:0", "--port", url.rpartition(":")[2]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 2 == done.returncode
    assert "cannot listen" in done.stderr
