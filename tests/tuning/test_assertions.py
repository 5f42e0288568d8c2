from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import lmprog as lp
from lmprog.run import Verdict
from lmprog.testing import RandomModel
from lmprog.tuning.assertions import counterexamples
from lmprog.tuning.objective import Measure
from lmprog.tuning.proposing import Brief, instructions
from lmprog.tuning.trials import Trial

MODEL = RandomModel(1)
ROWS = [{"x": f"{n}-", "expected": 0} for n in range(12)]


@lp.program(model=MODEL)
def even(p: lp.Prompt, x: str) -> int:
    p(lp.slot("instruction", "Even."), lp.examples(format="{x}{n}\n"))
    for a in p.attempts(3, otherwise="best"):
        with a:
            n: int = p(x, lp.gen(int, ge=0, le=99, name="n"), "\n")
            a.check(n % 2 == 0, "it is odd")
    return n


def is_even(row: Mapping[str, Any], run: lp.Run[int]) -> bool:
    return run.value % 2 == 0


def test_a_run_keeps_the_verdicts() -> None:
    runs = [even.run(row["x"]) for row in ROWS]
    failed = next(run for run in runs if len(run.verdicts) > 1)
    first, last = failed.verdicts[0], failed.verdicts[-1]

    assert any(len(run.verdicts) == 1 for run in runs)
    assert (first.number, first.passed, first.why) == (0, False, ("it is odd",))
    assert first.text.startswith("0123456789"[int(first.text[0])])
    assert last == Verdict(0, len(failed.verdicts) - 1, True)


def test_verdicts_are_saved(tmp_path: Any) -> None:
    run = even.run("3-")
    run.save(tmp_path / "run.json")

    assert lp.Run.load(tmp_path / "run.json").verdicts == run.verdicts != ()


def test_verdicts_of_branches_and_loops_have_blocks_of_their_own() -> None:
    @lp.program(model=MODEL)
    def several(p: lp.Prompt) -> None:
        def part(q: lp.Prompt, x: str) -> None:
            even(q, x)

        even(p, "0-")
        p.append(p.fork(part, ["1-", "2-"]))
        even(p, "3-")

    run = several.run()

    assert sorted({verdict.block for verdict in run.verdicts}) == [0, 1, 2, 3]
    assert [v.block for v in run.verdicts if v.number == 0] == [0, 1, 2, 3]


def test_with_and_without_backtracking() -> None:
    kept: dict[str, Any] = {"instruction": ["Even.", "Odd."], "examples": [[]]}
    found = lp.optimise(even, ROWS, is_even, space=kept)
    table = {(row.program, row.backtracking): row for row in found.assertions(ROWS)}

    assert len(table) == 4
    for name in ("start", "best"):
        held, bare = table[name, True], table[name, False]
        assert held.first == bare.first == bare.held == bare.score
        assert held.held == held.score > bare.score
        assert held.evaluation.compare(bare.evaluation).difference == pytest.approx(held.score - bare.score)


def test_what_was_refused_is_told() -> None:
    measure = Measure(even, ROWS, is_even, {"model": MODEL})
    trial = Trial(0, {}, None, {o.row: o for o in measure({}, range(12))})
    (said,) = counterexamples([trial], ROWS)

    assert "it is odd" in said
    assert "For x: " in said
    assert "it wrote '" in said


def test_the_proposer_is_shown_the_counterexamples(monkeypatch: pytest.MonkeyPatch) -> None:
    briefs = []

    def spy(model: Any, brief: Brief, count: int, seed: int) -> Any:
        briefs.append(brief)
        return instructions(model, brief, count, seed)

    monkeypatch.setattr("lmprog.tuning.candidates.instructions", spy)
    how: dict[str, Any] = {"space": {"examples": [[]]}, "candidates": 2, "budget": lp.Budget(evaluations=4)}
    lp.optimise(even, ROWS, is_even, **how)
    lp.optimise(even, ROWS, is_even, assertions=True, **how)

    assert [bool(brief.failed) for brief in briefs] == [False, False, True, True]


def test_rows_that_checks_mended_become_demonstrations() -> None:
    found = lp.optimise(even, ROWS * 3, is_even, method="bootstrap", assertions=True, demos=1, candidates=8, seed=2)
    mended = {row["x"] for row in ROWS if len(even.run(row["x"]).verdicts) > 1}
    sets = [trial.values["examples"] for trial in found.trials[1:] if trial.values["examples"]]

    assert sets
    assert 2 * sum(demo["x"] in mended for (demo,) in sets) >= len(sets)
    assert all(int(demo["n"]) % 2 == 0 for (demo,) in sets)
