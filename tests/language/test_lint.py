"""Lint: a table of programs whose lines say what is to be found on them, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lmprog as lp
from lmprog.cli import app
from lmprog.linting.findings import RULES
from lmprog.linting.targets import targets
from lmprog.testing import RandomModel

HEAD, *PROGRAMS = (Path(__file__).parents[1] / "data" / "lint_programs.txt").read_text().split("---\n")


def expected(text: str) -> list[tuple[int, str]]:
    lines = enumerate(text.splitlines(), start=1)
    return sorted([(n, code) for n, line in lines for code in re.findall(r"LM\d+", line.partition("#!")[2])])


def written(folder: Path, source: str) -> str:
    path = folder / "programs.py"
    path.write_text(HEAD + source)
    return str(path)


def findings(*args: str) -> tuple[int, list[dict[str, Any]]]:
    done = CliRunner().invoke(app, ["lint", *args, "--json"])
    assert done.exit_code in (0, 1), done.output
    return done.exit_code, json.loads(done.stdout)


@pytest.mark.parametrize("source", PROGRAMS, ids=lambda source: source.partition("(")[0])
def test_table(source: str, tmp_path: Path) -> None:
    path = written(tmp_path, source)
    code, found = findings(path)

    want = expected(HEAD + source)
    if "silenced_otherwise" in source:
        want = [(line, rule) for line, rule in want if rule != "LM32"]
    assert want == sorted({(finding["line"], finding["code"]) for finding in found}), found
    assert int(bool(found)) == code
    assert {path} >= {finding["file"] for finding in found}


def test_every_rule_but_the_measured_ones_is_in_the_table() -> None:
    said = set(re.findall(r"LM\d+", "".join(PROGRAMS)))

    assert {"LM10", "LM50"} == RULES.keys() - said


def test_columns_point_at_the_hole(tmp_path: Path) -> None:
    source = '@program\ndef f(p):\n    return p("Größe: ", gen(regex="[a-z ]+"), " and")\n'
    (finding,) = findings(written(tmp_path, source))[1]

    line = (HEAD + source).splitlines()[finding["line"] - 1]
    assert line[finding["column"] - 1 :].startswith('gen(regex="')


def long_prompt(p: lp.Prompt, text: str) -> str:
    value: str = p("Text: ", text, "\nLine: ", lp.gen(max_tokens=30), "\n")
    return value


def test_overflow_names_the_row_and_the_tokens() -> None:
    small = RandomModel(0, context=64)
    rows = [{"text": "x" * n} for n in (1, 40, 20, 60)]
    (finding,) = lp.lint(lp.program(long_prompt), model=small, data=rows)

    tokens = 1 + sum([len(small.vocab.encode(t.encode())) for t in ("Text: ", "x" * 60, "\nLine: ")])
    assert "LM10" == finding.code
    assert f"row 3: {tokens} tokens of text and 30 for the hole (str) make {tokens + 30}" in finding.message
    assert "context of 64 (2 rows in all)" in finding.message
    with pytest.raises(lp.ContextOverflow):
        lp.program(long_prompt)(rows[3]["text"], model=small)
    assert [] == lp.lint(lp.program(long_prompt), model=small, data=rows[:1])
    assert len(lp.program(long_prompt)(rows[2]["text"], model=small)) >= 0


@pytest.mark.parametrize("shorten", [False, True])
def test_slots_that_give_way_do_not_overflow(shorten: bool) -> None:
    @lp.program(model=RandomModel(0, context=64))
    def told(p: lp.Prompt) -> Any:
        p(lp.slot("document", "one word " * 40, shorten=shorten), "\n")
        return p("Line: ", lp.gen(max_tokens=9), "\n")

    assert ([] if shorten else ["LM10"]) == [finding.code for finding in lp.lint(told)]
    assert [] == lp.lint(told.with_(document="short"))


def test_shared_tokens_are_counted_on_the_rows(tmp_path: Path) -> None:
    model = RandomModel(0)
    source = '@program\ndef f(p, a):\n    p("Letter: ", a, LONG)\n    return p("Kind: ", select(["x", "y"]), ".")\n'
    path = written(tmp_path, source)
    ((program, _),) = targets(path)
    (finding,) = lp.lint(program, model=model, data=[{"a": "one\n"}, {"a": "other\n"}])

    long = program.function.__globals__["LONG"]
    first, moved = len(model.vocab.encode(b"Letter: o")), len(model.vocab.encode(long.encode()))
    assert "LM20" == finding.code
    assert f"{moved} tokens of fixed text" in finding.message
    assert f"share {first} tokens at their beginning, and could share {first + moved}" in finding.message


def test_selecting_rules_and_errors(tmp_path: Path) -> None:
    path = written(tmp_path, PROGRAMS[3])
    run = CliRunner().invoke

    assert 0 == run(app, ["lint", path, "--ignore", "LM0"]).exit_code
    assert 1 == run(app, ["lint", f"{path}:ends", "--select", "LM01"]).exit_code
    for bad in (["--select", "LM99"], ["--arg", "nothing=1"], ["--data", "no.jsonl"], ["--arg", "x"]):
        done = run(app, ["lint", path, *bad])
        assert (2, 1) == (done.exit_code, len(done.stderr.splitlines())), done.output
    assert 2 == run(app, ["lint", f"{path}:nobody"]).exit_code
    assert 2 == run(app, ["lint", str(tmp_path / "no.py")]).exit_code


def test_a_template_file(tmp_path: Path) -> None:
    path = tmp_path / "card.j2"
    path.write_text(
        'Topic: {{ topic }}\n{{ gen("a") }}{{ gen("b") }}\n{{ gen("c") }}{{ gen("d") }}{# lmprog: ignore #}\n'
    )
    code, found = findings(str(path))

    assert 1 == code
    assert [("LM03", 2)] == [(finding["code"], finding["line"]) for finding in found]


def test_types_without_a_stand_in_leave_the_source(tmp_path: Path) -> None:
    source = "@program\ndef f(p, task: Path) -> None:\n    x = p(task.name, gen())\n"
    path = written(tmp_path, "from pathlib import Path\n" + source)
    done = CliRunner().invoke(app, ["lint", path])

    assert 1 == done.exit_code
    assert "LM32" in done.stdout
    assert "only its source was read" in done.stderr


ROOT = Path(__file__).parents[2]
MEANT = {("docs/probabilities.md", "LM02")}  # pages that show what is wrong


@pytest.mark.parametrize("page", ["plans", "programs", "tutorial", "templates", "probabilities", "testing"])
def test_docs_are_clean(page: str, tmp_path: Path) -> None:
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / f"{page}.md").read_text(), re.M | re.S))
    path = tmp_path / f"{page}.py"
    path.write_text(code)
    found = findings(str(path))[1]

    assert [] == [f for f in found if (f"docs/{page}.md", f["code"]) not in MEANT]


@pytest.mark.parametrize("name", ["react", "refine", "planner_coder"])
def test_examples_are_clean(name: str) -> None:
    assert (0, []) == findings(str(ROOT / "examples" / f"{name}.py"))


def test_measured_rules_on_the_command_line(tmp_path: Path) -> None:
    program = '@program\ndef f(p, text):\n    return p("Text: ", text, "\\nKind: ", select(["a", "b"]), "\\n")\n'
    path, rows = written(tmp_path, program), tmp_path / "rows.jsonl"
    rows.write_text("".join([json.dumps({"text": f"t{n}", "expected": "ab"[n % 2]}) + "\n" for n in range(6)]))
    measured = ["--data", str(rows), "--model", "random:0", "--formats", "--posix", "--budget", "1.0"]
    done = CliRunner().invoke(app, ["lint", path, *measured])

    assert done.exit_code in (0, 1)
    assert ("LM50" in done.stdout) == bool(done.exit_code)
    assert "64 formats, 384 of 384 evaluations" in done.stdout
    assert "POSIX" in done.stdout
    assert 2 == CliRunner().invoke(app, ["lint", path, "--formats", "--model", "random:0"]).exit_code
