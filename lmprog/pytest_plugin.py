"""The pytest plugin `lmprog`: models as fixtures, and plans of programs that are compared with stored ones.

    lm              a RandomModel, one for the whole session
    lm_script       makes a Scripted of answers; at the test's end all of them must have been used
    lm_default      the default model; the test is skipped where it is not installed
    plan_snapshot   plan_snapshot(card, "cats") compares the plan of a call with the one in __plans__ beside the test;
                    `pytest --lm-update` writes it

Files called *.lmtest.yaml are collected, a test for each of their cases: see `lmprog.evaluation.suites`.

What is imported here is imported by every pytest on a machine with lmprog, so fixtures import what they need.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .runtime.model import Model
    from .testing import RandomModel, Scripted

FOLDER = "__plans__"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lmprog", "language model programs")
    group.addoption("--lm-update", action="store_true", help="write the plans that plan_snapshot compares with")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if not file_path.name.endswith((".lmtest.yaml", ".lmtest.yml")):
        return None
    from .evaluation.collecting import SuiteFile

    suites: pytest.Collector = SuiteFile.from_parent(parent, path=file_path)
    return suites


@pytest.fixture(scope="session")
def lm() -> Iterator[RandomModel]:
    """A model with random weights, the same in every session."""
    from .testing import RandomModel

    with RandomModel(0) as model:
        yield model


@pytest.fixture
def lm_script(request: pytest.FixtureRequest) -> Iterator[Callable[..., Scripted]]:
    """`lm_script("first answer", "second")`: a model that gives these answers, which the test must use up."""
    from .testing import Scripted

    made: list[Scripted] = []

    def script(*answers: str) -> Scripted:
        made.append(Scripted(answers))
        return made[-1]

    yield script
    left = sum(model.left for model in made)
    assert not left, f"{left} scripted answers were not used"


@pytest.fixture(scope="session")
def lm_default() -> Iterator[Model]:
    """The default model, loaded once; tests are skipped where it is not installed."""
    from .runtime.errors import ModelNotFound
    from .runtime.load import load

    try:
        model = load()
    except ModelNotFound as error:
        pytest.skip(f"the default model is not installed: {error}")
    with model:
        yield model


@pytest.fixture
def plan_snapshot(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`plan_snapshot(card, *args, **kwargs)`: the plan of this call is the stored one."""
    files = _files(request.node)
    update = request.config.getoption("--lm-update")

    def compare(card: Any, *args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        path, text = next(files), f"{card.plan(*args, **kwargs)}\n"
        if update:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
        elif not path.exists():
            pytest.fail(
                f"there is no stored plan {path}: look at the plan, and store it by pytest --lm-update\n\n{text}"
            )
        elif (stored := path.read_text("utf-8")) != text:
            pytest.fail(
                f"the plan is not the one in {path}; pytest --lm-update stores it\n\n{_difference(stored, text)}"
            )

    return compare


def _files(test: pytest.Item) -> Iterator[Path]:
    """One for each comparison of a test, named after it."""
    name = re.sub(r"[^\w.\-\[\]]+", "_", f"{test.path.stem}.{test.name}")
    number = 1
    while True:
        yield test.path.parent / FOLDER / (f"{name}.txt" if number == 1 else f"{name}.{number}.txt")
        number += 1


def _difference(stored: str, now: str) -> str:
    lines = difflib.unified_diff(stored.splitlines(), now.splitlines(), "stored", "now", lineterm="")
    return "\n".join(lines)
