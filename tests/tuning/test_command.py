from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmprog.cli import app

PROGRAM = """
import lmprog as lp

@lp.program
def card(p, text):
    p(lp.slot("instruction", "Say."), " ", lp.examples(format="{text}{kind}\\n"))
    return p(text, lp.select(["math", "poem"], name="kind"), "\\n")

def score(row, run):
    return "good" in run.text
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [json.dumps({"text": f"{n}", "expected": ["math", "poem"][n % 2]}) for n in range(12)]
    (tmp_path / "cards.py").write_text(PROGRAM)
    (tmp_path / "train.jsonl").write_text("\n".join(rows))
    (tmp_path / "space.json").write_text(json.dumps({"instruction": ["Say.", "good", "bad"], "examples": [[]]}))
    return tmp_path


def test_values_are_found_and_written(folder: Path) -> None:
    command = (
        "optimise cards.py:card train.jsonl --metric cards.py:score --space space.json --model random:1 --html t.html"
    )
    done = CliRunner().invoke(app, [*command.split(), "--state", "s.sqlite", "--test", "train.jsonl", "-o", "c.toml"])

    assert done.exit_code == 0, done.output
    assert "start 0.000, best 1.000 of 3 trials" in done.stdout
    assert "on train.jsonl: +1.000" in done.stdout
    assert 'instruction = "good"' in (folder / "c.toml").read_text()
    assert (folder / "t.html").read_text().count("<circle") == 3
    assert (folder / "s.sqlite").exists()


def test_candidates_are_made(folder: Path) -> None:
    command = "optimise cards.py:card train.jsonl --metric exact --model random:1 --evaluations 6 -o c.json"
    done = CliRunner().invoke(app, command.split())

    assert done.exit_code == 0, done.output
    assert "of 6 trials" in done.stdout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["cards.py:score", "train.jsonl"], "is not a program"),
        (["cards.py:card", "train.jsonl", "-o", "c.txt"], "a .toml or .json file"),
        (["cards.py:card", "no.jsonl"], "no.jsonl"),
        (["cards.py:card", "train.jsonl", "--metric", "magic"], "no metric 'magic'"),
        (["cards.py:card", "train.jsonl", "--space", "cards.py"], "cards.py is not JSON"),
        (["cards.py:card", "train.jsonl", "--seconds", "-1"], "seconds is a number above 0"),
    ],
)
def test_one_line_says_what_is_wrong(folder: Path, change: list[str], message: str) -> None:
    command = ["optimise", *change, *([] if "-o" in change else ["-o", "c.toml"]), "--model", "random:1"]
    done = CliRunner().invoke(app, [*command, *([] if "--metric" in change else ["--metric", "exact"])])

    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("change", [["-o", "none/c.toml"], ["--html", "none/t.html"], ["--test", "none.jsonl"]])
def test_places_are_looked_at_before_the_search(folder: Path, change: list[str]) -> None:
    command = "optimise cards.py:card train.jsonl --metric exact --model random:1 --state s.sqlite -o c.toml"
    done = CliRunner().invoke(app, [*command.split(), *change])

    assert done.exit_code == 2
    assert "none" in done.output
    assert not (folder / "s.sqlite").exists()
