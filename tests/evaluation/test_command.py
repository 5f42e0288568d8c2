"""`lmprog eval` and `lmprog cache`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lmprog as lp
from lmprog.cli import app

CARDS = """
import lmprog as lp
from lmprog import gen, program, select

@program
def card(p, topic):
    return p(lp.slot("instruction", "Choose."), topic, select(["math", "poem"], name="kind"))

@program
def other(p, topic):
    return p(topic, " is ", select(["poem", "math"], name="kind"))

@program
def broken(p, topic):
    raise LookupError("[red]no")

def short(row, run):
    return len(run.value) / 10

number = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMPROG_CACHE", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    Path("cards.py").write_text(CARDS)
    rows = [{"topic": f"t{n}", "expected": "poem", "label": "math"} for n in range(6)]
    Path("data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def run(*args: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["eval", *args])
    assert code == result.exit_code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


BASE = ("cards.py:card", "data.jsonl", "--model", "random:0")


def test_the_figures() -> None:
    said = run(*BASE, "--metric", "exact", "--metric", "cards.py:short").stdout
    for part in (
        "card on RandomModel(0)",
        "exact",
        "(Wilson)",
        "short",
        "0.400",
        "100.0% (6 of 6)",
        "0 from the cache",
    ):
        assert part in said, part
    assert "6 from the cache" in run(*BASE, "--metric", "f1").stdout
    assert "0 from the cache" in run(*BASE, "--no-cache").stdout


def test_json_and_files(folder: Path) -> None:
    done = run(*BASE, "--json", "--html", "page.html", "--save", "r.json", "--limit", "4", "--seed", "3")
    figures = json.loads(done.stdout)

    assert (4, 0, 3, "exact") == (figures["rows"], figures["failed"], figures["seed"], *figures["metrics"])
    assert figures["metrics"]["exact"]["mean"] == lp.Evaluation.load("r.json").mean
    assert "<title>card: exact</title>" in Path("page.html").read_text()
    assert "progress" not in done.stderr


def test_against_a_program_and_a_file_of_slots() -> None:
    card = lp.program(lambda p: p(lp.slot("instruction", "")))
    card.with_(instruction="Take one.").save("better.json")
    others = ("--against", "cards.py:other", "--against", "better.json")
    said = run(*BASE, *others).stdout
    found = json.loads(run(*BASE, *others, "--json").stdout)

    assert 2 == said.count("exact McNemar")
    assert ["other", "card"] == [one["program"] for one in found["against"]]
    assert 6 == sum(found["against"][0]["compared"][name] for name in ("wins", "losses", "ties"))
    changed = json.loads(run(*BASE, "--slots", "better.json", "--json").stdout)
    assert 6 == changed["cached"]  # it ran as the second variant
    assert changed["metrics"] == found["against"][1]["metrics"]


def test_another_label() -> None:
    one, two = [json.loads(run(*BASE, "--json", *more).stdout)["metrics"] for more in ((), ("--expected", "label"))]

    assert 1.0 == pytest.approx(one["exact"]["mean"] + two["exact"]["mean"])


def test_exit_codes() -> None:
    mean = json.loads(run(*BASE, "--json").stdout)["metrics"]["exact"]["mean"]
    run(*BASE, "--at-least", str(mean))
    assert "below" in run(*BASE, "--at-least", str(mean + 0.01), code=1).stderr
    failed = run("cards.py:broken", "data.jsonl", "--model", "random:0", code=1)
    assert "every row failed" in failed.stderr
    assert "row 0: LookupError: [red]no" in failed.stdout
    assert "and 1 more rows that failed" in failed.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("cards.py:nothing", "data.jsonl"), "JobError: cards.py has no 'nothing'"),
        (("cards.py:number", "data.jsonl"), "ProgramError: cards.py:number is not a program"),
        (("nowhere.py:card", "data.jsonl"), "JobError: cannot import nowhere.py"),
        (("cards.py:card", "nowhere.jsonl"), "FileNotFoundError"),
        (("cards.py:card", "cards.py"), "EvaluationError: data are rows or a .jsonl or .csv file"),
        ((*BASE, "--metric", "exactly"), "EvaluationError: there is no metric 'exactly'"),
        ((*BASE, "--metric", "cards.py:number"), "EvaluationError: cards.py:number is not a function"),
        ((*BASE, "--metric", "cards.py:none"), "JobError: cards.py has no 'none'"),
        ((*BASE, "--expected", "gold"), "row 0 has no field 'gold'; it has topic, expected, label"),
        ((*BASE, "--slots", "nowhere.toml"), "nowhere.toml"),
        ((*BASE, "--against", "cards.py:none"), "JobError: cards.py has no 'none'"),
        ((*BASE, "--cache", "nowhere/c.sqlite"), "EvaluationError: the cache is a file in a folder that is there"),
        ((*BASE, "--html", "nowhere/page.html"), "FileNotFoundError"),
    ],
)
def test_errors_are_a_line(args: tuple[str, ...], message: str) -> None:
    said = run(*args, code=2).stderr

    assert message in said
    assert 1 == len([line for line in said.splitlines() if line.startswith("lmprog: ")])


def test_a_damaged_cache_is_told() -> None:
    run(*BASE, "--cache", "c.sqlite")
    Path("c.sqlite").write_bytes(b"x" * 5000)
    assert "lmprog: c.sqlite was damaged: it is kept as c.sqlite.damaged-1" in run(*BASE, "--cache", "c.sqlite").stderr


def test_tables_is_still_there(folder: Path) -> None:
    Path("out.jsonl").write_text('{"id": 1, "data": [{"a": 1}], "error": null}\n')
    Path("truth.jsonl").write_text('{"id": 1, "truth": [{"a": 1}]}\n')

    assert "100.0%" in run("tables", "out.jsonl", "--truth", "truth.jsonl").stdout
    assert "--metric" in run("program", "--help").stdout
    assert "tables" in run("--help").stdout
    assert "Missing argument 'data'" in run("cards.py:card", code=2).stderr


def test_the_cache() -> None:
    runner = CliRunner()
    assert "there is no cache at" in runner.invoke(app, ["cache", "show"]).stderr
    run(*BASE)
    shown = runner.invoke(app, ["cache", "show"])
    assert (0, True) == (shown.exit_code, "card" in shown.stdout and "RandomModel(0)" in shown.stdout)
    assert "6 runs forgotten" in runner.invoke(app, ["cache", "clear"]).stdout
    assert "card" not in runner.invoke(app, ["cache", "show"]).stdout
    assert "0 from the cache" in run(*BASE).stdout
