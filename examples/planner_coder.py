"""A planner and a coder: plan, write a function under the grammar of Python, run its tests, try again with what failed.

python examples/planner_coder.py
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import cache

import lmprog as lp
from lmprog import gen
from lmprog.grammars import Grammar, library, regex

SECONDS = 5  # that the tests may take


@dataclass(frozen=True)
class Task:
    """`tests`: statements that fail by an exception."""

    name: str
    parameter: str
    about: str
    tests: tuple[str, ...]


TOTAL = Task(
    "total", "numbers", "the sum of a list of numbers", ("assert total([1, 2, 3]) == 6", "assert total([]) == 0")
)
EXAMPLE = """\
Task: largest(numbers) returns the largest of a list of numbers
Plan: Use the function max.
Code:
def largest(numbers):
    return max(numbers)

Task: half(number) returns the half of a number
Plan: Divide by two.
Code:
def half(number):
    return number / 2

"""


@cache
def function(name: str, parameter: str) -> Grammar:
    """Python code of one function, with at most four lines of 60 characters."""
    return library("python") & regex(rf"def {name}\({parameter}\):\n(    [^\n]{{1,60}}\n){{1,4}}")


def run_tests(code: str, tests: tuple[str, ...]) -> str:
    """The last line of what Python says, in a process of its own; empty when all tests pass."""
    program = "\n".join([code, *tests])
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it takes more than {SECONDS} seconds"
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it ends by a signal"])[-1]


@lp.program
def solve(p: lp.Prompt, task: Task, tries: int = 4) -> dict[str, str]:
    """The code, and what is wrong with it: nothing, if one of the tries passed."""
    p(EXAMPLE, f"Task: {task.name}({task.parameter}) returns {task.about}\n")
    plan = p("Plan: ", gen(regex=r"[A-Z][^\n.]*\.", max_tokens=24, name="plan"), "\nCode:\n")
    code = wrong = ""
    for attempt in p.attempts(tries, otherwise="best", note="# Wrong: {why}. Once more:"):
        with attempt:
            code = p(gen(grammar=function(task.name, task.parameter), max_tokens=80, name="code"), "\n")
            wrong = run_tests(code, task.tests)
            attempt.check(not wrong, wrong)
    return {"plan": plan, "code": code, "wrong": wrong}


if __name__ == "__main__":
    found = solve(TOTAL, model=lp.load())
    print(found["code"], found["wrong"] or "All tests pass.", sep="\n")
