"""The examples run: with answers that are given, and (slow) with the default model."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from lmprog.testing import Scripted

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str) -> Any:
    """A namespace; the functions of a dataclass need their module to be there."""
    module = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name=f"examples_{name}")
    return type(name, (), {key: staticmethod(value) if callable(value) else value for key, value in module.items()})


def test_react() -> None:
    answers = [
        "I must know how many legs an ant has.",
        '{"name":"look_up","arguments":{"animal":"ant"}}',
        "I must multiply.",
        '{"name":"calculate","arguments":{"expression":"2 * 6"}}',
        "I know.",
        '{"name":"answer","arguments":{"text":"12"}}',
    ]
    run = example("react").react.run("How many legs do 2 ants have?", model=Scripted(answers))

    assert "12" == run.value
    assert "Observation: An ant has 6 legs" in run.text
    assert "Observation: 12.0\n" in run.text


def test_react_must_answer_in_the_end() -> None:
    answers = [
        "Hm.",
        '{"name":"look_up","arguments":{"animal":"cow"}}',
        "Well.",
        '{"name":"answer","arguments":{"text":"8"}}',
    ]

    assert "8" == example("react").react("?", steps=2, model=Scripted(answers))


def test_reviews() -> None:
    review = example("reviews").review
    loaded = review.load(EXAMPLES / "reviews.toml")

    assert "negative" == review("It broke.", model=Scripted(["negative"]))
    assert review.prompt("It broke.").startswith(
        "Is the review positive or negative?\n\nReview: It broke.\nThe review is ⟨"
    )
    assert loaded.prompt("It broke.").startswith("People say what they think of things they bought.\nPositive: ")
    assert "Review: I would buy it again at once.\nThe review is positive.\n\nReview: It" in loaded.prompt("It broke.")


def test_refine() -> None:
    module = example("refine")
    model = Scripted(['{"item":"coffee","count":11,"size":"large"}', '{"item":"juice","count":3,"size":"small"}'])
    done = module.refine.map(module.DRAFTS, model=model, concurrency=1)

    assert [(0, True), (3, False), (8, False)] == [(one.edits, one.valid) for one in done]
    assert "small" == done[2].value.size


@pytest.mark.parametrize(("code", "wrong"), [
    ("def total(numbers):\n    return sum(numbers)\n", ""),
    ("def total(numbers):\n    return 6\n", "AssertionError"),
    ("def total(numbers):\n    return numbers.total\n", "AttributeError: 'list' object has no attribute 'total'"),
])  # fmt: skip
def test_code_is_run(code: str, wrong: str) -> None:
    module = example("planner_coder")

    assert wrong == module.run_tests(code, module.TOTAL.tests)


def test_code_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    run_tests = example("planner_coder").run_tests
    monkeypatch.setitem(run_tests.__globals__, "SECONDS", 0.5)

    assert "it takes more than 0.5 seconds" == run_tests("while True: pass", ())


def test_the_coder_tries_again() -> None:
    module = example("planner_coder")
    answers = ["Add them.", "def total(numbers):\n    return 6\n", "def total(numbers):\n    return sum(numbers)\n"]
    run = module.solve.run(module.TOTAL, model=(model := Scripted(answers)))

    assert {"plan": "Add them.", "code": answers[2], "wrong": ""} == run.value
    assert "# Wrong: AssertionError. Once more:" in model.prompts[-1]
    assert "return 6" not in run.text


def test_the_best_try_is_told() -> None:
    module = example("planner_coder")
    wrong = [f"def total(numbers):\n    return {i}\n" for i in range(2)]
    found = module.solve(module.TOTAL, tries=2, model=Scripted(["Add them.", *wrong]))

    assert (found["code"] in wrong, found["wrong"]) == (True, "AssertionError")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["react", "planner_coder"])
def test_with_the_default_model(name: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")], env=environment, capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stderr
    assert done.stdout.strip()


def test_orders_are_made_by_their_script(tmp_path: Path) -> None:
    subprocess.run([sys.executable, EXAMPLES / "make_orders.py", "24", "11", tmp_path], check=True)

    for name in ("orders.jsonl", "orders.shots.jsonl"):
        assert (EXAMPLES / name).read_text() == (tmp_path / name).read_text()


def test_orders_tell_their_tables() -> None:
    """Whatever a table says stands in its text, in the form of its schema."""
    make, schema = example("make_orders"), runpy.run_path(str(EXAMPLES / "orders.py"))["Orders"]
    docs = make.documents(300, 3)

    for doc in docs:
        rows = TypeAdapter(schema).validate_python(doc["truth"])
        for row in rows:
            said = [str(row.count), make.WORDS[row.count] if row.count < len(make.WORDS) else ""]
            assert row.customer in doc["text"]
            assert row.item in doc["text"]
            assert any(word and word in doc["text"].lower() for word in said)
            assert row.price is None or f"{row.price:g}" in doc["text"]
    assert any(doc["truth"] == [] for doc in docs)
    assert len({doc["text"] for doc in docs}) > 280
