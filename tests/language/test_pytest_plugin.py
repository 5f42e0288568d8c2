from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import lmprog.runtime.load
import lmprog.templates
import lmprog.testing  # noqa: F401  # what is imported here is not imported anew by each inner pytest

pytest_plugins = "pytester"

ROOT = Path(__file__).parents[2]
INSTALLED = bool(entry_points(group="pytest11", name="lmprog"))
HEADER = """
import lmprog as lp
from lmprog import gen, program, select

@program
def card(p, topic):
    kind = p("Topic: ", topic, "\\nKind: ", select(["math", "poem"], name="kind"), "\\n")
    return kind, p("line: ", gen(name="line", max_tokens=9), "\\n")
"""


def run(pytester: pytest.Pytester, code: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(HEADER + code)
    loaded = () if INSTALLED else ("-p", "lmprog.pytest_plugin")
    return pytester.runpytest_inprocess(*loaded, "-p", "no:cacheprovider", "-p", "no:randomly", *options)


def test_models_are_fixtures(pytester: pytest.Pytester) -> None:
    code = """
def test_random(lm):
    assert card("cats", model=lm)[0] in ("math", "poem")
    assert card("cats", model=lm) == card("cats", model=lm)

def test_scripts(lm_script):
    assert card("cats", model=lm_script("poem", "purr")) == ("poem", "purr")

def test_default(lm_default):
    assert lm_default.name == "toy"
"""
    pytester.makeconftest("""
import pytest
import importlib
load = importlib.import_module("lmprog.runtime.load")
from lmprog.testing import RandomModel

@pytest.fixture(autouse=True, scope="session")
def a_model_that_is_there():
    def toy():
        model = RandomModel(1)
        model.name = "toy"
        return model
    before, load.load = load.load, toy
    yield
    load.load = before
""")
    run(pytester, code).assert_outcomes(passed=3)


def test_a_missing_default_model_skips(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
import pytest
from lmprog.errors import ModelNotFound
import importlib
load = importlib.import_module("lmprog.runtime.load")

@pytest.fixture(autouse=True, scope="session")
def no_model():
    def missing():
        raise ModelNotFound("install lmprog[demo]")
    before, load.load = load.load, missing
    yield
    load.load = before
""")
    done = run(pytester, "def test_it(lm_default):\n    assert False\n", "-rs")

    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["*the default model is not installed: install lmprog?demo?*"])


def test_answers_must_be_used(pytester: pytest.Pytester) -> None:
    code = """
def test_it(lm_script):
    card("cats", model=lm_script("poem", "purr", "and more"))
"""
    done = run(pytester, code)

    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*1 scripted answers were not used*"])


PLANS = """
import pytest

@pytest.mark.parametrize("topic", ["cats", "a/b c"])
def test_plans(plan_snapshot, topic):
    plan_snapshot(card, topic)
    plan_snapshot(card, topic=topic + "!")
"""


def test_plans_are_compared_with_stored_ones(pytester: pytest.Pytester) -> None:
    done = run(pytester, PLANS)
    done.assert_outcomes(failed=2)
    done.stdout.fnmatch_lines(["*there is no stored plan *pytest --lm-update*", '*"Topic: cats\\nKind: "*'])

    run(pytester, PLANS, "--lm-update").assert_outcomes(passed=2)
    run(pytester, PLANS).assert_outcomes(passed=2)
    stored = sorted(Path(path).name for path in pytester.path.glob("__plans__/*"))
    name = "test_plans_are_compared_with_stored_ones.test_plans"
    assert stored == [f"{name}[{case}].{end}" for case in ("a_b_c", "cats") for end in ("2.txt", "txt")]

    path = pytester.path / "__plans__" / f"{name}[cats].txt"
    path.write_text(path.read_text().replace("Topic", "Subject"))
    done = run(pytester, PLANS)
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(
        ["*the plan is not the one in *cats*--lm-update*", "*-*Subject: cats*", "*+*Topic: cats*"]
    )


def test_the_plugin_is_cheap() -> None:
    """It is imported by every pytest on the machine."""
    code = "import lmprog.pytest_plugin, sys; print({'torch', 'numpy', 'pydantic', 'jinja2'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "set()\n" == done.stdout
