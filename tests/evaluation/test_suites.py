"""`lmprog test`, and the same suites under pytest."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lmprog import EvaluationError
from lmprog.cli import app
from lmprog.evaluation.suites import read

pytest_plugins = "pytester"
INSTALLED = bool(entry_points(group="pytest11", name="lmprog"))
CARDS = """
import lmprog as lp
from lmprog import gen, program, select

@program
def card(p, topic, last="x"):
    kind = p("Topic: ", topic, "\\nKind: ", select(["math", "poem"], name="kind"))
    if topic == "bad":
        raise LookupError("no such topic")
    return f"{topic}: {kind}, {last}"

@program
def draw(p):
    return p(gen(regex="[a-z]{8}", temperature=1.0))

@program
def rows(p):
    return {"a": [1, 2], "n": p(gen(int, ge=5, le=5))}

def long(row, run):
    return len(run.value) / row.get("expected", 10)
"""
GOOD = """\
program: cards.py:card
model: random:0
seed: 1
cases:
  - name: cats
    args: {topic: cats}
    expect:
      contains: [cats, ", x"]
      lacks: dogs
      regex: "^cats: (math|poem)"
  - args:
      topic: bad
    expect: {error: LookupError}
  - args: {topic: a, last: "7"}
    expect:
      metric: cards.py:long
      expected: 5
      threshold: 1.5
  - args: {topic: b}
    expect: {metric: f1, expected: "b math x", threshold: 0.6}
"""
HEAD = "program: cards.py:card\ncases:\n"
BAD = """\
program: cards.py:card
model: random:0
cases:
  - name: "[red]wrong"
    args: {topic: cats}
    expect: dogs
  - args: {topic: bad}
    expect: {contains: x}
  - args: {topic: cats}
    expect: {error: LookupError}
  - args: {topic: cats}
    expect: {contains: cats, lacks: cats, captures: {kind: neither}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    Path("cards.py").write_text(CARDS)
    return tmp_path


def suite(text: str, name: str = "a.lmtest.yaml") -> Path:
    Path(name).write_text(text)
    return Path(name)


def run(*args: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["test", *args])
    assert code == result.exit_code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_what_passes() -> None:
    suite(GOOD)
    said = run().stdout

    assert "4 passed, 0 failed" in said
    assert ["5", "11", "14", "19"] == re.findall(r"passed +(\d+)", said)
    assert "topic='bad'" in said


def test_what_fails() -> None:
    suite(GOOD)
    suite(BAD, "b.lmtest.yml")
    said = run("--junit", "out.xml", code=1).stdout

    assert "4 passed, 4 failed" in said
    for part in ("[red]wrong", "not 'dogs'", "it ended with LookupError: no such topic", "not with LookupError"):
        assert part in said, part
    root = ET.parse("out.xml").getroot()
    assert [("4", "0"), ("4", "4")] == [(one.get("tests"), one.get("failures")) for one in root]
    failed = root.findall(".//failure")
    assert "'cats' is in" in str(failed[3].text)
    assert "kind is" in str(failed[3].text)
    assert ["4", "7", "9", "11"] == [case.get("line") for case in root[1]]


def test_values_that_are_no_text() -> None:
    suite(
        "program: cards.py:rows\nmodel: random:0\ncases:\n  - expect: {json: {n: 5.0, a: [1, 2]}, captures: {'0': 5}}\n"
    )
    run()


def test_any_of_a_list() -> None:
    text = "program: cards.py:draw\nmodel: random:0\ncases:\n  - seed: 1\n    expect: "
    suite(f"{text}x\n")
    (value,) = re.findall(r"the value is '(\w+)'", run(code=1).stdout)
    suite(f"{text}[other, {value}]\n")
    run()


def test_seeds() -> None:
    text = "program: cards.py:draw\nmodel: random:0\ncases:\n"
    suite(text + "".join(f"  - seed: {seed}\n    expect: x\n" for seed in (1, 2, 1)))
    values = re.findall(r"the value is '(\w+)'", run(code=1).stdout)

    assert values[0] == values[2] != values[1]
    assert [values[1]] == re.findall(
        r"the value is '(\w+)'", run(str(suite(f"{text}  - expect: x\n    seed: 2\n", "b.lmtest.yaml")), code=1).stdout
    )


def test_another_model_and_folders(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "cards.py").write_text(CARDS.replace('"[a-z]{8}"', '"b{8}"'))
    suite("program: cards.py:draw\ncases:\n  - expect: bbbbbbbb\n    seed: 0\n", "sub/a.lmtest.yaml")

    assert "1 passed, 0 failed" in run("sub", "--model", "random:3").stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: a suite says program: and cases:"),
        ("program: [", "line 1: "),
        ("program: cards.py:card\ncases:\n  - args: {a: 1}\n   expect: x", "line 4: "),
        ("program: cards.py:card\nprogramme: x\ncases: []", "line 2: 'programme' is none of program, model"),
        ("program: cards.py:card\ncases: []", "line 2: there are no cases"),
        ("program: cards.py:card\ncases: 3", "line 2: cases is a list, not 3"),
        ("cases:\n  - expect: x", "line 1: program: is missing"),
        (f"{HEAD}  - args: {{topic: a}}", "line 3: expect: is missing"),
        ("program: cards.py:card\ncases:\n  - just text", "case 1 is not a mapping"),
        (f"{HEAD}  - expect: {{has: x}}", "line 3: 'has' is none of equals"),
        (f"{HEAD}  - expect:\n      regex: '('", "line 4: '\\(' is no regex"),
        (f"{HEAD}  - expect:\n      threshold: 1", "line 3: expect says nothing"),
        (
            f"{HEAD}  - expect:\n      equals: 1\n      threshold: 1",
            "line 5: threshold is that",
        ),
        (
            f"{HEAD}  - expect:\n      equals: 1\n      equals: 2",
            "line 5: 'equals' comes twice",
        ),
        ("program: cards.py:card\nseed: x\ncases: []", "line 2: seed is a whole number, not 'x'"),
        ("program: cards.py:card\n1: x\ncases: []", "line 2: a name is a text, not 1"),
    ],
)
def test_errors_name_the_line(text: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        read(suite(text))
    assert 1 == len(run(code=2).stderr.strip().splitlines())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("cards.py:card", "cards.py:none"), "has no 'none'"),
        (GOOD.replace("topic: cats", "subject: cats"), "line 5: cats does not fit card: "),
        (GOOD.replace("cards.py:long", "cards.py:none"), "has no 'none'"),
        (GOOD.replace("cards.py:long", "exactly"), "line 14: there is no metric 'exactly'"),
        (GOOD.replace("random:0", "no/such/model"), "ModelNotFound"),
    ],
)
def test_suites_that_cannot_run(text: str, message: str) -> None:
    suite(text)
    assert message in run(code=2).stderr


def test_nothing_to_run() -> None:
    assert "there are no suites" in run(code=2).stderr
    assert "there is no suite nowhere" in run("nowhere", code=2).stderr


def test_under_pytest(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(cards=CARDS)
    for name, text in (("a.lmtest.yaml", GOOD), ("b.lmtest.yaml", BAD), ("c.lmtest.yaml", "program: 3\n")):
        (pytester.path / name).write_text(text)
    (pytester.path / "other.yaml").write_text("no suite")
    loaded = () if INSTALLED else ("-p", "lmprog.pytest_plugin")
    options = (*loaded, "-p", "no:cacheprovider", "-p", "no:randomly")
    result = pytester.runpytest_inprocess(*options, "a.lmtest.yaml", "b.lmtest.yaml")
    result.assert_outcomes(passed=4, failed=4)
    result.stdout.fnmatch_lines(["*b.lmtest.yaml:4: ?red?wrong", "the value is 'cats: *', not 'dogs'"])

    pytester.runpytest_inprocess(*options, "a.lmtest.yaml", "-k", "cats").assert_outcomes(passed=1, deselected=3)
    pytester.runpytest_inprocess(*options).stdout.fnmatch_lines(["*c.lmtest.yaml, line 1: program is a text, not 3*"])
