"""Every code block of the README and the docs runs: Python one after the other, shell line by line."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_docs(page: Path) -> None:
    names: dict[str, Any] = {"__name__": page.stem}
    for code in blocks("python", page.read_text()):
        exec(compile(code, page.name, "exec"), names)


@pytest.mark.slow
def test_python_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "readme"}
    for code in blocks("python"):
        exec(compile(code, "README.md", "exec"), names)

    assert names["run"].value["home"] in ("a house", "the sea", "the air", "a forest")
    assert 0 <= names["run"].value["legs"] <= 9
    assert [None, None] == [record.error for record in names["done"].records]
    assert capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("command", "".join(blocks("sh")).splitlines())
def test_shell_commands(command: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stderr
    if command == "make demo":
        schema = json.loads((ROOT / "examples" / "changelogs.schema.json").read_text())
        answers = [json.loads(line) for line in (ROOT / "out" / "demo.jsonl").read_text().splitlines()]
        assert 96 == len(answers)
        assert all(jsonschema_rs.is_valid(schema, answer["data"]) for answer in answers)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_every_file_that_is_named_exists(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text())

    assert [] == [target for target in targets if not (page.parent / target).exists()]
