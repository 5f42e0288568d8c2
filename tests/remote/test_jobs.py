"""Extraction jobs on models behind servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lmprog as lp
from lmprog.jobs.target import target
from lmprog.testing import RandomModel

from .server import Server, serving

SCHEMA = {
    "type": "object",
    "properties": {"size": {"enum": ["small", "large"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["size", "count"],
}
DOCS = [f"order {n}" for n in range(8)]


@pytest.fixture
def server(random_model: RandomModel) -> Iterator[Server]:
    with serving(random_model) as server:
        yield server


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "docs.jsonl").write_text("".join([json.dumps({"text": text}) + "\n" for text in DOCS]))
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    return tmp_path / "docs.jsonl", tmp_path / "schema.json"


def command(server: Server, files: tuple[Path, Path], *more: str, key: str = "") -> subprocess.CompletedProcess[str]:
    docs, schema = files
    args = ["extract", str(docs), "--schema", str(schema), "-o", str(docs.parent / "out.jsonl"), "--model", server.url]
    env = {**os.environ, "OPENAI_API_KEY": key}
    return subprocess.run([sys.executable, "-m", "lmprog", *args, *more], env=env, capture_output=True, text=True)


@pytest.mark.parametrize("kind", ["vllm", "llama.cpp", "openai"])
def test_a_job_on_a_server(random_model: RandomModel, kind: str) -> None:
    with serving(random_model, kind) as server, lp.connect(server.url) as model:
        before = len(server.bodies)
        done = lp.extract(model, [*DOCS, ""], SCHEMA)

        for record in done.records:
            assert record.error is None
            target(SCHEMA).read(json.dumps(record.data))
            assert record.usage is not None
            assert record.usage["output_tokens"] > 0
        assert done.summary.output_tokens >= 9
        assert len(server.bodies) >= before + 9


def test_records_have_seeds_of_their_own(server: Server) -> None:
    with lp.connect(server.url) as model:
        sampling = lp.Sample(seed=5).sampling()
        first, again = (lp.extract(model, DOCS, SCHEMA, sampling=sampling).records for _ in range(2))

    assert [record.data for record in first] == [record.data for record in again]
    assert [*range(5, 13)] == sorted(body["seed"] for body in server.bodies[1:9])


def test_what_is_wrong_with_a_document_is_its_error(server: Server) -> None:
    with lp.connect(server.url, retries=0, concurrency=1) as model:
        server.faults += [500, "html"]
        errors = [record.error for record in lp.extract(model, DOCS, SCHEMA, retries=0).records]

    assert [error and error["type"] for error in errors].count(None) == 6
    assert {"BackendUnreachable", "BackendAnswer"} == {error["type"] for error in errors if error}


def test_errors_of_the_moment_pass(server: Server) -> None:
    with lp.connect(server.url, retries=0, concurrency=1) as model:
        server.faults += [500, "html"]
        records = lp.extract(model, DOCS, SCHEMA, retries=1).records

    assert [None] * len(DOCS) == [record.error for record in records]


def test_an_outage_ends_the_job(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with lp.connect(server.url, retries=0, concurrency=1) as model:
        server.faults += [None, None, 429, *[429] * 20]
        with pytest.raises(lp.BackendBusy):
            lp.extract(model, DOCS, SCHEMA, out=out)
        server.faults.clear()
        done = lp.extract(model, DOCS, SCHEMA, out=out, resume=True)

    assert all(record.error is None for record in done.records)
    assert done.summary.resumed >= 1


def test_long_documents_are_read_in_pieces(server: Server) -> None:
    with lp.connect(server.url) as model:
        record = lp.extract(model, ["an order, " * 40], SCHEMA, chunks=lp.Chunks(100, 10)).records[0]

    assert record.error is None
    target(SCHEMA).read(json.dumps(record.data))
    assert record.chunks is not None
    assert record.chunks > 3


def test_quotes_need_the_model_here(server: Server) -> None:
    quote = {"type": "string", "x-quote": True}
    with lp.connect(server.url) as model, pytest.raises(lp.JobError, match="cannot be held to quotes"):
        lp.extract(model, DOCS, quote)


def test_confidence_needs_the_model_here(server: Server) -> None:
    with lp.connect(server.url) as model, pytest.raises(lp.JobError, match="does not tell the probabilities"):
        lp.extract(model, DOCS, SCHEMA, confidence=True)


def test_the_command(server: Server, files: tuple[Path, Path]) -> None:
    server.key = "s3cret"
    done = command(server, files, key="s3cret")
    assert (0, "") == (done.returncode, done.stderr if done.returncode else "")

    lines = (files[0].parent / "out.jsonl").read_text().splitlines()
    assert len(DOCS) == len(lines)
    assert all(json.loads(line)["error"] is None for line in lines)
    again = command(server, files, "--resume", key="s3cret")
    assert "done already" in again.stderr
    for path in files[0].parent.iterdir():
        assert b"s3cret" not in path.read_bytes()

    refused = command(server, files, "--overwrite", key="wrong")
    assert refused.returncode == 2
    assert "refuses (401)" in refused.stderr
    assert "Traceback" not in refused.stderr
