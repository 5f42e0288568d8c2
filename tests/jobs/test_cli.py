"""The command line in this process, on a tiny random Llama."""

import json
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import lmprog as lp
from lmprog.cli import app

from .conftest import read

Run = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("loaded")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Path) -> Run:
    """`lmprog extract` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*args: Any, model: str | Path = tiny, tokens: int = 100, stdin: str = "") -> Result:
        command = ["extract", *map(str, args), "--model", str(model), "--max-tokens", str(tokens)]
        return CliRunner().invoke(app, command, input=stdin, catch_exceptions=False)

    return invoke


def test_a_job(run: Run, docs: Path, schema: Path) -> None:
    done = run(docs, "--schema", schema, "-o", "new/out.jsonl")
    records = read(Path("new/out.jsonl"))

    assert 1 == done.exit_code  # two lines are broken
    assert [f"d{i}" if i not in (7, 23) else i + 1 for i in range(40)] == [record["id"] for record in records]
    assert [8, 24] == [record["error"]["line"] for record in records if record["error"]]
    assert '{"id": "d7", "text":' == records[7]["error"]["input"].strip()
    good = [record for record in records if not record["error"]]
    assert all(re.fullmatch("[a-z]{6,12}", record["data"]["word"]) for record in good)
    assert all({"prompt_tokens", "output_tokens"} == record["usage"].keys() for record in good)
    assert re.search(r"records\s*│ 40 .*valid\s*│ 38 .*failed\s*│ 2 ", done.stdout, re.DOTALL)
    assert re.search(r"prefix-cache hit rate\s*│ \d+\.\d%.*masks' share of time\s*│ \d", done.stdout, re.DOTALL)
    assert done.stderr.strip().endswith("done: new/out.jsonl")


def test_running_it_again(run: Run, docs: Path, schema: Path) -> None:
    first = run(docs, "--schema", schema, "-o", "out.jsonl")
    written = Path("out.jsonl").stat().st_mtime_ns
    again = run(docs, "--schema", schema, "-o", "out.jsonl")
    resumed = run(docs, "--schema", schema, "-o", "out.jsonl", "--resume")

    assert 1 == first.exit_code == again.exit_code == resumed.exit_code
    assert written == Path("out.jsonl").stat().st_mtime_ns
    assert "done already: out.jsonl" in again.stderr
    assert first.stdout == again.stdout == resumed.stdout


def test_another_job_does_not_overwrite(run: Run, docs: Path, schema: Path) -> None:
    run(docs, "--schema", schema, "-o", "out.jsonl")
    before = Path("out.jsonl").read_bytes()
    other = run(docs, "--schema", schema, "-o", "out.jsonl", "--instructions", "Do it.")

    assert 2 == other.exit_code
    assert (
        "lmprog: JobError: out.jsonl exists and was made with another prompt: --overwrite replaces it\n" == other.stderr
    )
    assert before == Path("out.jsonl").read_bytes()
    assert 1 == run(docs, "--schema", schema, "-o", "out.jsonl", "--instructions", "Do it.", "--overwrite").exit_code
    assert before != Path("out.jsonl").read_bytes()


def test_standard_input_and_csv_and_folder_give_the_same(run: Run, schema: Path) -> None:
    texts = ["a cat", "the mat", "that"]
    Path("texts").mkdir()
    for n, text in enumerate(texts):
        (Path("texts") / f"{n}.txt").write_text(text)
    Path("texts.csv").write_text("text\n" + "\n".join(texts) + "\n")
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    codes = [
        run("texts", "--schema", schema, "-o", "1.jsonl").exit_code,
        run("texts.csv", "--schema", schema, "-o", "2.jsonl").exit_code,
        run("-", "--schema", schema, "-o", "3.jsonl", stdin=lines).exit_code,
        run("-", "--schema", schema, "-o", "4.jsonl", "--format", "lines", stdin="\n".join(texts)).exit_code,
    ]
    answers = [[record["data"] for record in read(Path(f"{n}.jsonl"))] for n in (1, 2, 3, 4)]

    assert [0, 0, 0, 0] == codes
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert ["0.txt", "1.txt", "2.txt"] == [record["id"] for record in read(Path("1.jsonl"))]


def test_truth_in_the_documents_and_beside_them(run: Run, schema: Path) -> None:
    rows = [{"id": n, "text": "cat " * n, "truth": {"kind": "math", "word": "mat"}} for n in range(1, 5)]
    Path("docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("bare.jsonl").write_text("".join(json.dumps({"id": r["id"], "text": r["text"]}) + "\n" for r in rows))
    inside = run("docs.jsonl", "--schema", schema, "-o", "1.jsonl")
    beside = run("bare.jsonl", "--schema", schema, "-o", "2.jsonl", "--truth", "docs.jsonl")
    own = run("bare.jsonl", "--schema", schema, "-o", "3.jsonl", "--truth", "1.jsonl")

    assert re.search(r"word\s*│\s*0\.0%  \(most frequent value: 100\.0%\)", inside.stdout)
    assert re.search(r"word\s*│\s*0\.0%  \(most frequent value: 100\.0%\)", beside.stdout)
    assert re.search(r"all fields right\s*│\s*100\.0%  \(4 of 4\)", own.stdout)
    assert "field accuracy" not in run("bare.jsonl", "--schema", schema, "-o", "2.jsonl").stdout


def test_examples_are_part_of_the_prompt(run: Run, docs: Path, schema: Path) -> None:
    Path("few.jsonl").write_text('{"text": "see the cat", "truth": {"kind": "tale", "word": "catcat"}}\n')
    run(docs, "--schema", schema, "-o", "1.jsonl")
    run(docs, "--schema", schema, "-o", "2.jsonl", "--examples", "few.jsonl")

    assert read(Path("1.jsonl"))[0]["usage"]["prompt_tokens"] < read(Path("2.jsonl"))[0]["usage"]["prompt_tokens"]


def test_longer_than_the_context(run: Run, schema: Path) -> None:
    Path("docs.jsonl").write_text(json.dumps("z" * 5000) + "\n" + json.dumps("cat") + "\n")
    done = run("docs.jsonl", "--schema", schema, "-o", "out.jsonl", "--chunks", "never")
    first, second = read(Path("out.jsonl"))

    assert 1 == done.exit_code
    assert "ContextOverflow" == first["error"]["type"]
    assert second["error"] is None


USAGE = [
    (["no.jsonl"], "JobError: there is no input at no.jsonl"),
    (
        ["docs.jsonl", "--schema", "no.json"],
        "JobError: there is no schema at no.json (a JSON Schema file, or module:Name",
    ),
    (["docs.jsonl", "--schema", "broken.json"], "InvalidConstraint: "),
    (["docs.jsonl", "--schema", "broken.json"], "/properties/a/type"),
    (
        ["docs.jsonl", "--examples", "docs.jsonl"],
        "JobError: docs.jsonl, line 1: an example needs its answer as 'truth'",
    ),
    (["docs.jsonl", "--truth", "no.jsonl"], "JobError: cannot read no.jsonl: No such file or directory"),
    (["docs.jsonl", "--truth", "docs.jsonl"], "JobError: docs.jsonl is not JSONL of objects with id and 'truth'"),
    (["docs.jsonl", "--temperature", "nan"], "SamplingError: temperature must be a finite number"),
    (["docs.jsonl", "--model", "no/such/model"], "ModelNotFound: no model 'no/such/model'"),
    (["docs.jsonl", "--dtype", "int3"], "InvalidOption: dtype must be one of"),
    (["docs.jsonl", "--max-tokens", "3"], "JobError: no answer fits in max_tokens=3"),
]


@pytest.mark.parametrize(("args", "message"), USAGE, ids=[" ".join(args) for args, _ in USAGE])
def test_mistakes_are_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Path, schema: Path, args: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("docs.jsonl").write_text('{"text": "cat"}\n')
    Path("broken.json").write_text('{"properties": {"a": {"type": "strin"}}}')
    options = {"--model": str(tiny), "--schema": str(schema), "-o": "out.jsonl"}
    options |= dict(zip(args[1::2], args[2::2], strict=True))
    done = CliRunner().invoke(app, ["extract", args[0], *chain(*options.items())], catch_exceptions=False)

    assert 2 == done.exit_code
    assert message in done.stderr
    assert 1 == done.stderr.strip().count("\n") + 1
    assert not Path("out.jsonl").exists()


def test_help_and_version() -> None:
    version = CliRunner().invoke(app, ["--version"])
    commands = CliRunner().invoke(app, ["--help"])
    extract = CliRunner().invoke(app, ["extract", "--help"])

    assert f"lmprog {lp.__version__}\n" == version.stdout
    assert "extract" in commands.stdout
    assert all(option in extract.stdout for option in ("--schema", "--resume", "--overwrite", "Exit code"))
