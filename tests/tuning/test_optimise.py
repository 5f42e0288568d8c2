from __future__ import annotations

import math
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import lmprog as lp
from lmprog.testing import RandomModel, Scripted, TableModel
from lmprog.tuning import SeenRows

MODEL = RandomModel(0)
ROWS = [{"question": f"q{n}", "expected": "ab"[n % 2]} for n in range(12)]
DEMOS: list[list[dict[str, str]]] = [[], *[[{"question": str(n), "answer": "z"}] for n in range(3)]]
SPACE: dict[str, list[Any]] = {
    "instruction": ["base", "i1", "i2"],
    "examples": DEMOS,
    "inner.instruction": ["inner", "j1", "j2"],
    "inner.examples": DEMOS,
}


@lp.program
def inner(p: lp.Prompt, q: str) -> str:
    answer: str = p(lp.slot("instruction", "inner"), " ", lp.examples(), q, lp.gen(regex="[ab]", name="answer"))
    return answer


@lp.program(model=MODEL)
def outer(p: lp.Prompt, question: str) -> str:
    p(lp.slot("instruction", "base"), lp.examples(), question)
    return inner(p, p(lp.gen(regex="[xy]", name="kind")))


def planted(row: dict[str, Any], run: lp.Run[str]) -> float:
    return 0.3 * ("i2" in run.text) + 0.2 * ("j1" in run.text) + 0.5 * ("Q: 1\n" in run.text)


def test_slots_of_two_modules() -> None:
    found = lp.optimise(outer, ROWS, planted, space=SPACE, budget=lp.Budget(evaluations=30))

    assert len(found.trials) == 30
    assert len({str(trial.values) for trial in found.trials}) == 30
    assert found.start.score == 0.0
    assert found.best.score == pytest.approx(1.0)
    assert found.program.values["instruction"] == "i2"
    assert found.program.values["inner.instruction"] == "j1"
    assert planted({}, found.program.run("new")) == pytest.approx(1.0)
    assert outer.values == {}


def test_the_front_of_score_and_cost() -> None:
    found = lp.optimise(outer, ROWS, planted, space=SPACE, budget=lp.Budget(evaluations=40))
    front = [(trial.tokens, trial.score) for trial in found.pareto]

    assert front == sorted(front)
    assert [score for _, score in front] == sorted({score for _, score in front})
    assert front[-1][1] == found.best.score
    for trial in found.trials:
        assert any(t <= trial.tokens and s >= trial.score for t, s in front)


def test_compared_on_other_rows() -> None:
    found = lp.optimise(outer, ROWS, planted, space=SPACE, budget=lp.Budget(evaluations=30))
    result = found.compare([{"question": f"other {n}"} for n in range(10)])

    assert result.difference == pytest.approx(1.0)
    assert result.interval[0] > 0
    assert result.wins == 10


def echo(score: Callable[[str], bool]) -> Any:
    """A program without holes: the metric sees its slot."""

    @lp.program(model=Scripted([]))
    def program(p: lp.Prompt, x: str) -> bool:
        text = lp.slot("text", "start")
        p(text, x)
        return score(text)

    return program


def test_without_a_model_that_writes() -> None:
    found = lp.optimise(
        echo(lambda text: text == "7"), [{"x": "a"}], lambda row, run: run.value, space={"text": [*map(str, range(9))]}
    )

    assert len(found.trials) == 10  # the start is none of the candidates
    assert found.program.values == {"text": "7"}


def test_the_start_may_be_the_best() -> None:
    found = lp.optimise(
        echo(lambda text: text == "start"), [{"x": "a"}], lambda row, run: run.value, space={"text": ["worse"]}
    )

    assert found.best is found.start
    assert found.program == found.original


def test_minibatches() -> None:
    rows = [{"question": f"q{n}"} for n in range(40)]
    found = lp.optimise(outer, rows, planted, space=SPACE, minibatch=4, budget=lp.Budget(evaluations=40))

    assert found.best.full
    assert found.best.score == pytest.approx(1.0)
    assert found.spent.rows < 40 * 40 / 2


def test_instructions_are_proposed_and_demonstrations_bootstrapped() -> None:
    found = lp.optimise(
        outer,
        ROWS * 2,
        lambda row, run: run.value == row["expected"],
        proposer=RandomModel(5),
        budget=lp.Budget(evaluations=12),
        candidates=3,
        demos=2,
    )
    texts = {trial.values.get("instruction", "base") for trial in found.trials}
    demos = [trial.values["examples"] for trial in found.trials[1:]]

    assert len(texts) > 2
    assert all("\n" not in text for text in texts)
    assert {len(some) for some in demos} == {0, 2}
    assert all(demo.keys() == {"question", "kind", "answer"} for some in demos for demo in some)


def test_bootstrap_is_of_demonstrations_only() -> None:
    found = lp.optimise(
        outer, ROWS * 2, lambda row, run: run.value == row["expected"], method="bootstrap", candidates=2, demos=2
    )

    assert all(trial.values.keys() == {"examples", "inner.examples"} for trial in found.trials[1:])
    assert len(found.trials) == 9


def test_demonstrations_come_from_runs_that_passed() -> None:
    """Those that failed are mended where the label says how."""

    @lp.program(model=RandomModel(2))
    def card(p: lp.Prompt, question: str) -> str:
        answer: str = p(lp.examples(), "Q: ", question, "\nA: ", lp.gen(regex="[abc]", name="answer"), "\n")
        return answer

    rows = [{"question": f"q{n}", "expected": "abc"[n % 3]} for n in range(30)]
    found = lp.optimise(card, rows, "exact", method="bootstrap", budget=lp.Budget(evaluations=4))
    right = {row["question"]: row["expected"] for row in rows}
    seen = [demo for trial in found.trials for demo in trial.values.get("examples", [])]

    assert seen
    assert all(right[demo["question"]] == demo["answer"] for demo in seen)


def informed() -> Any:
    """Its answer follows the input after "good", is the same for all after "same", and is a toss after others."""

    def following(ids: tuple[int, ...]) -> list[float]:
        text = bytes(b for b in ids if b < 256).decode()
        toss = [0.5, 0.5]
        if text.startswith("good"):
            toss = [0.95, 0.05] if "1" in text else [0.05, 0.95]
        elif text.startswith("same"):
            toss = [0.95, 0.05]
        return [toss[(b != ord("a"))] if chr(b) in "ab" else 0.0 for b in range(256)] + [0.0]

    model = TableModel([bytes((b,)) for b in range(256)], following)

    @lp.program(model=model)
    def card(p: lp.Prompt, x: str) -> str:
        kind: str = p(lp.slot("instruction", "toss"), x, lp.select(["a", "b"], name="kind"))
        return kind

    return card


def test_mutual_information_needs_no_labels() -> None:
    space = {"instruction": ["toss", "same", "good"]}
    found = lp.optimise(informed(), [{"x": str(n % 2)} for n in range(8)], space=space, method="mutual-information")
    entropy = -0.95 * math.log(0.95) - 0.05 * math.log(0.05)

    assert found.program.values == {"instruction": "good"}
    assert found.best.score == pytest.approx(math.log(2) - entropy)
    assert [t.score for t in found.trials if t is not found.best] == pytest.approx([0.0, 0.0], abs=1e-9)


def test_likelihood_of_the_right_answers() -> None:
    space = {"instruction": ["toss", "same", "good"]}
    rows = [{"x": str(n % 2), "expected": "ba"[n % 2]} for n in range(8)]
    found = lp.optimise(informed(), rows, space=space, method="likelihood")

    assert found.program.values == {"instruction": "good"}
    assert found.best.score == pytest.approx(math.log(0.95))
    assert found.start.score == pytest.approx(math.log(0.5))


def test_likelihood_of_free_text() -> None:
    @lp.program(model=MODEL)
    def card(p: lp.Prompt, x: str) -> str:
        word: str = p(lp.slot("instruction", "Say"), x, ": ", lp.gen(regex="[a-z]+", max_tokens=4), "\n")
        return word

    rows = [{"x": str(n), "expected": "moon"} for n in range(4)]
    space = {"instruction": ["Say", "Tell", "Name"]}
    found = lp.optimise(card, rows, space=space, method="likelihood")

    for trial in found.trials:
        text = trial.values.get("instruction", "Say")
        scores = [card_score(f"{text}{n}: ") for n in range(4)]
        assert trial.score == pytest.approx(sum(scores) / 4, abs=1e-6)


@lp.program(model=MODEL)
def card_score(p: lp.Prompt, before: str) -> float:
    p(before)
    return p.score(["moon"]).logprobs["moon"]


# -- what cannot be --------------------------------------------------------------------------------------------------


def test_no_slots() -> None:
    @lp.program(model=MODEL)
    def plain(p: lp.Prompt, x: str) -> None:
        p(x)

    with pytest.raises(lp.TuningError, match="plain has no slots"):
        lp.optimise(plain, [{"x": "a"}], lambda row, run: 1)


def test_unknown_slots_and_wrong_candidates() -> None:
    with pytest.raises(lp.ProgramError, match="no slot 'instructions'"):
        lp.optimise(outer, ROWS, planted, space={"instructions": ["a"]}, budget=lp.Budget(evaluations=3))
    with pytest.raises(lp.TuningError, match="'examples' holds examples"):
        lp.optimise(outer, ROWS, planted, space={"examples": ["text"]})
    with pytest.raises(lp.TuningError, match="needs a metric"):
        lp.optimise(outer, ROWS, space=SPACE)
    with pytest.raises(lp.TuningError, match="method is one of"):
        lp.optimise(outer, ROWS, planted, space=SPACE, method="magic")  # type: ignore[arg-type]
    with pytest.raises(lp.TuningError, match="minibatch is a whole number"):
        lp.optimise(outer, ROWS, planted, space=SPACE, minibatch=0)


def test_too_small_a_budget() -> None:
    with pytest.raises(lp.TuningError, match="give more"):
        lp.optimise(outer, ROWS, planted, space=SPACE, budget=lp.Budget(tokens=1), concurrency=2)


# -- resuming --------------------------------------------------------------------------------------------------------


def search(state: Path, evaluations: int, calls: Path | None = None) -> lp.Optimised:
    """`calls` grows by a byte with every row."""

    def metric(row: dict[str, Any], run: lp.Run[str]) -> float:
        if calls is not None:
            with calls.open("a") as file:
                file.write(".")
        return planted(row, run)

    model, budget = RandomModel(0), lp.Budget(evaluations=evaluations)
    return lp.optimise(outer, ROWS, metric, space=SPACE, model=model, state=state, budget=budget, concurrency=3)


def killed(state: Path, calls: Path, rows: int) -> bool:
    """A process that searches, killed after so many rows."""
    calls.write_text("")
    child = os.fork()
    if not child:
        try:
            search(state, 12, calls)
        finally:
            os._exit(0)
    patience = time.monotonic() + 60
    while len(calls.read_text()) < rows and time.monotonic() < patience:
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def test_killed_at_any_time(tmp_path: Path) -> None:
    """Rows that were kept are never run again, and the outcome is that of a search without kills."""
    state, calls, kept = tmp_path / "state.sqlite", tmp_path / "calls", 0
    for rows in (5, 17, 1, 30, 2):
        assert killed(state, calls, rows)
        with closing(sqlite3.connect(state)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            count = db.execute("SELECT count(*) FROM outcomes").fetchone()[0]
        assert count >= kept + rows - 3  # those of the batch under way may be lost
        kept = count
    calls.write_text("")
    found, whole = search(state, 12, calls), search(tmp_path / "other.sqlite", 12)

    assert len(calls.read_text()) == 12 * 12 - kept
    assert [(t.values, t.score, t.tokens) for t in found.trials] == [
        (t.values, t.score, t.tokens) for t in whole.trials
    ]
    assert (found.spent.tokens, found.spent.rows) == (whole.spent.tokens, whole.spent.rows)


def test_a_state_is_of_one_search(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    search(state, 3)
    with pytest.raises(lp.TuningError, match="another metric and data"):
        lp.optimise(outer, ROWS[1:], planted, space=SPACE, state=state)
    (tmp_path / "text").write_text("no database" * 100)
    with pytest.raises(lp.TuningError, match="text as the state"):
        search(tmp_path / "text", 3)
    with pytest.raises(lp.TuningError, match="state"):
        search(tmp_path / "no folder" / "state", 3)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    from lmprog.tuning.store import Store

    with closing(Store(tmp_path / "state")), pytest.raises(lp.TuningError, match="another process"):
        search(tmp_path / "state", 3)


def test_page(tmp_path: Path) -> None:
    kept = {name: values[:1] for name, values in SPACE.items()}
    found = lp.optimise(outer, ROWS, planted, space=kept | {"instruction": ["</pre><i>", "i2"]})
    text = found.html(tmp_path / "page.html")

    assert text == (tmp_path / "page.html").read_text()
    assert "</pre><i>" not in text
    assert text.count("<circle") == len(found.trials) == 3


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    lp.optimise(outer, ROWS, planted, space=SPACE, budget=lp.Budget(evaluations=3), progress=True)

    assert "3 trials" in capsys.readouterr().err


def test_what_is_no_program() -> None:
    with pytest.raises(lp.TuningError, match="takes a program"):
        lp.optimise(len, ROWS, planted)  # type: ignore[arg-type]


def test_a_state_knows_templates_and_what_functions_call(tmp_path: Path) -> None:
    def template(text: str) -> lp.Template:
        return lp.Template(
            text + '{{ slot("instruction", "Say") }} {{ x }} {{ select("kind", ["a", "b"]) }}', model=MODEL
        )

    rows, space, state = [{"x": "1"}, {"x": "2"}], {"instruction": ["Say", "Tell"]}, tmp_path / "state"
    first = lp.optimise(template("A"), rows, lambda row, run: 1, space=space, state=state)
    with pytest.raises(lp.TuningError, match="another program"):
        lp.optimise(template("B"), rows, lambda row, run: 1, space=space, state=state)
    again = lp.optimise(template("A"), rows, lambda row, run: 1, space=space, state=state)

    assert [t.outcomes for t in first.trials] == [t.outcomes for t in again.trials]


def test_a_model_that_cannot_write_instructions() -> None:
    with pytest.raises(lp.TuningError, match="give the slot candidates in space=, or a model as proposer="):
        lp.optimise(echo(bool), [{"x": "a"}], lambda row, run: 1)


def test_nothing_is_proposed_beyond_the_budget() -> None:
    spent = lp.optimise(
        outer, ROWS, lambda row, run: run.value == row["expected"], budget=lp.Budget(tokens=150), concurrency=2
    ).spent

    assert 150 <= spent.tokens < 400


def test_a_search_in_time_is_found_again_as_it_was(tmp_path: Path) -> None:
    how: dict[str, Any] = {"state": tmp_path / "state", "budget": lp.Budget(seconds=2), "candidates": 2, "demos": 1}
    first = lp.optimise(outer, ROWS, lambda row, run: run.value == row["expected"], **how)
    again = lp.optimise(outer, ROWS, lambda row, run: run.value == row["expected"], **how)

    assert [(t.values, t.score) for t in first.trials] == [(t.values, t.score) for t in again.trials]
    assert first.spent == again.spent


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"budget": 5}, "budget is an lp.Budget"),
        ({"space": [1]}, "space is a dict"),
        ({"seed": -1}, "seed is a whole number"),
        ({"seed": None}, "seed is a whole number"),
        ({"threshold": "high"}, "threshold is a number"),
        ({"state": 3}, "state is the path"),
        ({"model": "gpt"}, "model is a model"),
        ({"proposer": "gpt"}, "proposer is a model"),
        ({"teacher": "gpt"}, "teacher is a model"),
    ],
)
def test_arguments_of_another_kind(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(lp.TuningError, match=message):
        lp.optimise(outer, ROWS, planted, **wrong)


def test_a_cascade_needs_a_proposer() -> None:
    tossed = lp.cascade([RandomModel(1), RandomModel(2)], program=echo(bool), accept=0.5)
    with pytest.raises(lp.TuningError, match="proposer="):
        lp.optimise(tossed, [{"x": "a"}], lambda row, run: 1)
    how: dict[str, Any] = {"model": tossed.model, "proposer": RandomModel(3), "budget": lp.Budget(evaluations=3)}

    assert len(lp.optimise(tossed, [{"x": "a"}], lambda row, run: 1, **how).trials) == 3


def test_the_prompt_that_is_least_perplexing() -> None:
    """Against the log-probability of the text, asked for by itself."""
    rows, space = [{"x": "12"}, {"x": "3"}], {"instruction": ["Say it. ", "qzx. "]}

    @lp.program(model=MODEL)
    def card(p: lp.Prompt, x: str) -> str:
        kind: str = p(lp.slot("instruction", "What? "), x, ": ", lp.select(["a", "b"], name="kind"))
        return kind

    found = lp.optimise(card, rows, method="perplexity", space=space)

    for trial in found.trials:
        texts = [card.with_(trial.values).run(**row) for row in rows]
        before = [run.text[: run.captures[-1].span[0]] for run in texts]
        assert trial.score == pytest.approx(sum(map(familiar, before)) / 2, abs=1e-6)
    assert found.best.score == max(trial.score for trial in found.trials)


def familiar(text: str) -> float:
    @lp.program(model=MODEL)
    def whole(p: lp.Prompt) -> lp.Dist:
        return p.score([text], norm="mean")

    return whole().scores[text]


def test_compared_on_rows_of_the_search() -> None:
    found = lp.optimise(outer, ROWS, planted, space=SPACE, budget=lp.Budget(evaluations=2))
    with pytest.warns(SeenRows, match="3 of 4 rows are rows of the search"):
        found.compare([*ROWS[:3], {"question": "new"}])


def test_another_teacher_makes_other_demonstrations(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}"} for n in range(9)]
    how: dict[str, Any] = {"budget": lp.Budget(evaluations=3), "demos": 1}
    space = {name: SPACE[name][:1] for name in SPACE if name != "examples"}

    def search(seed: int, state: Path | None) -> list[Any]:
        found = lp.optimise(outer, rows, lambda row, run: 1, space=space, teacher=RandomModel(seed), state=state, **how)
        return [trial.values for trial in found.trials]

    search(5, tmp_path / "state")
    assert search(6, tmp_path / "state") == search(6, None) != search(5, None)
