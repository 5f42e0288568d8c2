from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lmprog as lp
from lmprog import Evaluation, EvaluationError, Run, gen, program, select
from lmprog.testing import RandomModel, Scripted


@program
def card(p: Any, topic: str, tone: str = "calm") -> str:
    kind: str = p("Topic: ", topic, ", ", tone, "\nKind: ", select(["math", "poem"], name="kind"))
    return kind


@program
def fragile(p: Any, topic: str) -> int:
    number: int = p(topic, ": ", gen(int, ge=0, le=9, name="n"))
    if topic == "bad":
        raise LookupError("no such topic")
    return number


ROWS = [{"topic": f"t{n}", "expected": ["poem", "math"][n % 2], "note": n} for n in range(12)]


def test_what_it_runs_is_what_map_runs(model: RandomModel) -> None:
    sampled: dict[str, Any] = {"decoder": lp.Sample(), "seed": 3}
    values = card.map([{"topic": row["topic"]} for row in ROWS], model=model, **sampled)
    result = lp.evaluate(card, ROWS, "exact", model=model, **sampled)

    assert values == [row.run.value for row in result.rows if row.run]
    assert [float(value == row["expected"]) for value, row in zip(values, ROWS, strict=True)] == result.scores
    assert result.mean == sum(result.scores) / 12
    assert ("card", "RandomModel(0)", 3, ("exact",)) == (result.program, result.model, result.seed, result.metrics)
    assert result.usage.sampled_tokens > 0
    assert repr(result).startswith("<card on RandomModel(0): exact ")


def test_some_rows_give_what_they_give_among_all(model: RandomModel) -> None:
    sampled: dict[str, Any] = {"decoder": lp.Sample(), "seed": 5, "model": model}
    every = lp.evaluate(card, ROWS, "exact", **sampled)
    some = lp.evaluate(card, ROWS, "exact", rows=[7, 2, 4], concurrency=1, **sampled)

    assert [2, 4, 7] == [row.index for row in some.rows]
    assert [every.scores[n] for n in (2, 4, 7)] == some.scores


def test_metrics_see_all_of_the_row_and_the_run(model: RandomModel) -> None:
    seen = []

    def metric(row: dict[str, Any], run: Run[Any]) -> bool:
        seen.append((row, run))
        return run.captures["kind"].value == run.value and run.text.endswith(run.value) and row["note"] >= 0

    result = lp.evaluate(card, ROWS, [metric, "exact"], model=model)

    assert 1.0 == result.mean
    assert {"metric", "exact"} == result.columns.keys()
    assert sorted(row["note"] for row, _ in seen) == [*range(12)]
    assert all(run.trace == () for _, run in seen)


def test_errors_stay_with_their_rows(model: RandomModel) -> None:
    data = [{"topic": topic} for topic in ("a", "bad", "c")]

    def metric(row: dict[str, Any], run: Run[Any]) -> float:
        return 1.0 if row["topic"] == "a" else float("nan")

    result = lp.evaluate(fragile, data, metric, model=model)

    assert [1.0, 0.0, 0.0] == result.scores
    run, metric_error = result.errors
    assert (1, "LookupError", "no such topic", "run") == (run.index, run.type, run.message, run.where)
    assert (2, "EvaluationError", "metric") == (metric_error.index, metric_error.type, metric_error.where)
    assert result.rows[1].run is None
    assert result.rows[2].run is not None


def test_a_metric_that_never_works_is_an_error(model: RandomModel) -> None:
    with pytest.raises(EvaluationError, match=r"fails on every row; on row 0: KeyError: 'label'"):
        lp.evaluate(card, ROWS, lambda row, run: row["label"] == run.value, model=model)


def test_files(model: RandomModel, tmp_path: Path) -> None:
    lines, table = tmp_path / "data.jsonl", tmp_path / "data.csv"
    lines.write_text('\ufeff{"topic": "ä", "expected": "poem"}\n\n{"topic": "b", "expected": "math"}\n', "utf-8")
    table.write_text('topic,expected\nä,poem\n"b",math\n', "utf-8")
    one, two = [lp.evaluate(card, path, "exact", model=model) for path in (lines, str(table))]

    assert [row.data for row in one.rows] == [row.data for row in two.rows]
    assert one.compare(two).ties == 2


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"topic": "a"}\n{"topic": ', "line 2 is not JSON"),
        ("a.jsonl", "[1]\n", "line 1 is not a dict"),
        ("a.jsonl", "\n", "has no rows"),
        ("a.csv", "topic,expected\na\n", "line 2 does not have the columns"),
        ("a.txt", "a", "not '.*a.txt'"),
    ],
)
def test_bad_files(model: RandomModel, tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(EvaluationError, match=message):
        lp.evaluate(card, tmp_path / name, "exact", model=model)


@pytest.mark.parametrize(
    ("data", "how", "message"),
    [
        ([], {}, "no rows"),
        ([1], {}, "row 0 is not a dict"),
        ([{"topic": "a"}], {}, "row 0 has no 'expected', with which exact compares; it has topic"),
        ([{"subject": "a", "expected": "b"}], {}, "row 0 does not fit card: .*'topic'.*; it has subject, expected"),
        (ROWS, {"rows": [12]}, "0 to 11"),
        (ROWS, {"rows": [1, 1]}, "each once"),
        (ROWS, {"rows": []}, "names some"),
    ],
)
def test_bad_data(model: RandomModel, data: Any, how: Any, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        lp.evaluate(card, data, "exact", model=model, **how)


@pytest.mark.parametrize(("program", "how"), [(42, {}), (len, {}), (card, {"cache": 3})])
def test_what_is_no_program_or_no_cache(model: RandomModel, program: Any, how: Any) -> None:
    with pytest.raises(EvaluationError, match=r"not (42|<built-in function len>|3)$"):
        lp.evaluate(program, ROWS, "exact", model=model, **how)


def test_a_comparison() -> None:
    data = [{"topic": "t", "expected": "poem"}] * 6
    good = lp.evaluate(card, data, "exact", model=Scripted(["poem"] * 6), concurrency=1)
    worse = lp.evaluate(card, data, "exact", model=Scripted(["poem", "math"] * 3), concurrency=1)
    found = good.compare(worse)

    assert (0.5, 3, 0, 3) == (found.difference, found.wins, found.losses, found.ties)
    assert (0.25, "exact McNemar", "Newcombe") == (found.p_value, found.test, found.interval.kind)
    assert found.interval.low < 0.5 < found.interval.high
    assert -0.5 == worse.compare(good).difference
    assert "+0.500 [" in str(found)


def test_only_what_is_of_the_same_rows_is_compared(model: RandomModel) -> None:
    base = lp.evaluate(card, ROWS, "exact", model=model)
    others = [
        lp.evaluate(card, ROWS, "f1", model=model),
        lp.evaluate(card, ROWS, "exact", model=model, rows=[0, 1]),
        lp.evaluate(card, [*ROWS[:11], {**ROWS[11], "note": -1}], "exact", model=model),
    ]
    for other, message in zip(others, ["of exact and of f1", "12 rows, the other 2", "row 11"], strict=True):
        with pytest.raises(EvaluationError, match=message):
            base.compare(other)


def test_a_template() -> None:
    letter = lp.Template("Dear {{ name }}, {{ gen('mood', regex='[a-z]+') }}", name="letter")
    data = [{"name": "Ann", "expected": {"mood": "calm"}}]

    assert [1.0] == lp.evaluate(letter, data, "json", model=Scripted(["calm"])).scores


def test_saved_and_loaded(model: RandomModel, tmp_path: Path) -> None:
    result = lp.evaluate(
        fragile, [{"topic": t, "expected": 4} for t in ("a", "bad", "c")], ["exact", "f1"], model=model
    )
    result.save(tmp_path / "r.json")
    loaded = Evaluation.load(tmp_path / "r.json")

    assert result == loaded
    assert result.interval.kind == loaded.interval.kind
    assert 3 == loaded.compare(result).ties


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "lmprog evaluation", "version": 1}', '{"format": "x", "version": 1}']
)
def test_what_is_no_saved_evaluation(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(EvaluationError, match=r"r.json is no saved evaluation"):
        Evaluation.load(tmp_path / "r.json")
