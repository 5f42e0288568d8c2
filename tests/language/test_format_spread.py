"""Formats that mean the same, the bandit that finds the best and the worst, and POSIX."""

from __future__ import annotations

import math
import zlib
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import lmprog as lp
from lmprog import gen, program, select
from lmprog.linting.bandit import Bandit
from lmprog.linting.formats import Format, formats, styled
from lmprog.runtime.request import Request, asks_of
from lmprog.testing import RandomModel, TableModel

MODEL = RandomModel(0)
ROWS: list[dict[str, Any]] = [
    {"text": f"letter {i}\nFrom: {i}", "expected": ["bill", "other"][i % 2]} for i in range(40)
]


@program(model=MODEL)
def sort(p: lp.Prompt, text: str) -> str:
    p("Sort the letters.\n1. bill\n2. other\n- be short\n\n")
    p("Letter: ", text, "\n")
    kind: str = p("Kind: ", select(["bill", "other"], name="kind"), "\nNote:")
    return kind


# -- formats -----------------------------------------------------------------------------------------------------------


def test_a_format_changes_what_the_program_writes_and_nothing_else() -> None:
    format = Format(separator=" - ", case="upper", before="## ", number="({}) ", bullet="* ")
    changed = styled(sort, format, frozenset({"Letter", "Kind", "Note", "From"}))

    assert changed.prompt("a\nFrom: b\n1. c") == (
        "Sort the letters.\n(1) bill\n(2) other\n* be short\n\n"
        "## LETTER - a\nFrom: b\n1. c\n"
        "## KIND - ⟨kind: one of 'bill', 'other'⟩\n## NOTE - "
    )
    assert changed.run("a").value == changed.run("a", preview=False).value
    assert changed.run("a").text.startswith("Sort the letters.\n(1)")


@pytest.mark.parametrize(
    ("format", "text", "want"),
    [
        (Format(), "Topic: a\nKind:b", "Topic: a\nKind:b"),
        (Format(separator=":\n"), "Topic: a\nKind:b", "Topic:\na\nKind:\nb"),
        (Format(separator=" = "), "Topic:\nmany\n", "Topic =\nmany\n"),
        (Format(before="\n"), "Topic: a\nTopic: b", "Topic: a\n\nTopic: b"),
        (Format(case="lower"), "Topic: a, Kind: b\nsee Topic: c", "topic: a, Kind: b\nsee Topic: c"),
        (Format(separator="="), "Topic://a", "Topic://a"),
        (Format(number="{}) ", bullet="* "), "1. a\n10. b\na) c\n- d\n1.5 e", "1) a\n10) b\na) c\n* d\n1.5 e"),
    ],
)
def test_apply(format: Format, text: str, want: str) -> None:
    assert want == format.apply(text, frozenset({"Topic", "Kind"}))


def test_all_formats_of_a_program_are_different_and_the_first_is_the_program() -> None:
    calls = [{"text": row["text"]} for row in ROWS]
    found, labels = formats(sort, calls, 100_000, 0)

    assert frozenset({"Letter", "Kind", "Note"}) == labels
    assert Format() == found[0]
    texts = [styled(sort, format, labels).prompt(**calls[0]) for format in found[:300]]
    assert len(texts) == len({*texts})
    assert sort.prompt(**calls[0]) == texts[0]
    few, _ = formats(sort, calls, 10, 0)
    assert (10, Format()) == (len(few), few[0])


def test_templates_chats_and_slots_have_formats() -> None:
    card = lp.Template('Topic: {{ topic }}\nKind: {{ select("kind", ["a", "b"]) }}\n', model=MODEL)
    format, labels = Format(separator=" = "), frozenset({"Topic", "Kind", "Rules"})

    assert "Topic = cats\nKind = ⟨kind: one of 'a', 'b'⟩" in styled(card, format, labels).prompt(topic="cats")

    @program(model=MODEL)
    def chat(p: lp.Prompt, topic: str) -> Any:
        p.user(lp.slot("rules", "Rules: none\n"), "Topic: ", topic)
        return p.assistant("Kind: ", select(["a", "b"]))

    run = styled(chat, format, labels).run("cats")
    assert "Rules = none\nTopic = cats" in run.text
    assert "Kind = " in run.text
    assert "Rules = none\n" == run.text[slice(*run.slots["rules"][0])]
    other = styled(chat.with_(rules="Rules: some\n"), format, labels).run("cats")
    assert "Rules = some\n" in other.text


# -- the bandit --------------------------------------------------------------------------------------------------------


def landscape(seed: int, arms: int, rows: int) -> tuple[NDArray[np.float64], int, int]:
    """Scores of 0 and 1, means between 0.35 and 0.65 but for one arm of 0.95 and one of 0.05, on rows of different
    difficulty."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(0.35, 0.65, arms)
    best, worst = rng.choice(arms, 2, replace=False)
    mean[best], mean[worst] = 0.95, 0.05
    logits = np.log(mean / (1 - mean))[:, None] + rng.normal(0, 0.7, rows)
    return (rng.random((arms, rows)) < 1 / (1 + np.exp(-logits))).astype(float), int(best), int(worst)


def search(scores: NDArray[np.float64], budget: int, seed: int) -> tuple[int, int]:
    bandit = Bandit(len(scores), scores.shape[1], seed)
    looked = 0
    for looks in bandit.search(budget):
        looked += len(looks)
        for arm, row in looks:
            bandit.tell(arm, row, float(scores[arm, row]))
    assert budget == looked
    return bandit.ends()


@pytest.mark.parametrize(("arms", "rows", "least"), [(40, 50, 17), (120, 60, 18)])
def test_planted_ends_are_found_at_a_fifth_of_the_cost(arms: int, rows: int, least: int) -> None:
    found = 0
    for seed in range(20):
        scores, best, worst = landscape(seed, arms, rows)
        found += search(scores, arms * rows // 5, seed) == (best, worst)

    assert found >= least


def test_scores_that_do_not_vary_by_row_need_two_looks() -> None:
    for seed in range(10):
        means = np.random.default_rng(seed).uniform(0.4, 0.6, 200)
        means[[7, 11]] = 0.65, 0.35
        assert (7, 11) == search(np.repeat(means[:, None], 50, axis=1), 2000, seed)


def test_scores_of_the_format_alone_tell_the_closest_apart() -> None:
    for seed in range(6):
        means = np.random.default_rng(seed).uniform(0.0, 0.99, 100)
        means[[7, 11]] = 1.0, -0.01
        assert (7, 11) == search(np.repeat(means[:, None], 20, axis=1), 400, seed)


def test_nothing_is_looked_at_twice_and_all_of_it_in_the_end() -> None:
    bandit, all_looks = Bandit(5, 7, 0), []
    for looks in bandit.search(1000):
        for arm, row in looks:
            bandit.tell(arm, row, 0.0)
        all_looks += looks

    assert sorted(product(range(5), range(7))) == sorted(all_looks)


# -- a program's spread ------------------------------------------------------------------------------------------------


def planted(row: dict[str, Any], run: lp.Run[Any]) -> float:
    """By the format alone: "KIND - " is right, "kind = " wrong, others half of the time."""
    if "\n## KIND - " in run.text:
        return 1.0
    if "\n- kind = " in run.text:
        return 0.0
    return float(zlib.crc32(f"{row['text']} {run.text}".encode()) % 2)


def test_planted_formats_of_a_program_are_found() -> None:
    @program(model=MODEL)
    def short(p: lp.Prompt, text: str) -> Any:
        return p("Letter: ", text, "\nKind: ", select(["bill", "other"]), "\n")

    result = lp.format_spread(short, ROWS, planted, formats=1000)

    assert (1.0, 0.0) == (result.best.mean, result.worst.mean) == (result.interval[1], result.interval[0])
    assert Format(" - ", "upper", "## ") == result.best.format
    assert Format(" = ", "lower", "- ") == result.worst.format
    assert result.certain
    assert result.evaluations == round(0.2 * result.possible) == sum([len(one.scores) for one in result.formats])
    assert "as it is" in str(result)


def test_chance_alone_is_not_certain() -> None:
    """Of 64 formats that differ in nothing, some look better and some worse."""

    def coin(row: dict[str, Any], run: lp.Run[Any]) -> float:
        return float(zlib.crc32(f"{row['text']} {run.text}".encode()) >> 3 & 1)

    results = [lp.format_spread(sort, ROWS, coin, formats=64, seed=seed) for seed in range(3)]

    assert all([result.spread > 0.2 for result in results])
    assert not any([result.certain or result.finding() for result in results])


def test_spread_is_reproducible_and_counts_tokens() -> None:
    runs = [lp.format_spread(sort, ROWS, "exact", formats=8, seed=3, concurrency=n) for n in (1, 16)]

    assert runs[0].formats == runs[1].formats
    short = lp.format_spread(sort, ROWS, "exact", formats=8, budget=1.0, tokens=1)
    assert 8 * 2 <= short.evaluations < short.possible
    assert short.usage.sampled_tokens + short.usage.forced_tokens > 0


def test_errors_of_the_spread() -> None:
    @program(model=MODEL)
    def plain(p: lp.Prompt, text: str) -> Any:
        return p("say ", text, gen(max_tokens=2))

    for wrong in (
        lambda: lp.format_spread(plain, ROWS, "exact"),
        lambda: lp.format_spread(sort, ROWS, "exact", budget=0),
        lambda: lp.format_spread(sort, ROWS, "exact", formats=1),
        lambda: lp.format_spread(sort, ROWS, lambda row, run: row["none"]),
        lambda: lp.format_spread(sort, [{"other": 1}], "exact"),
    ):
        with pytest.raises(lp.EvaluationError):
            wrong()
    with pytest.raises(lp.ProgramError):
        lp.posix(plain, ROWS)


# -- POSIX -------------------------------------------------------------------------------------------------------------


def asker(prompt: str) -> lp.Program[Any, Any]:
    @program(boundary="token")
    def ask(p: lp.Prompt, word: str) -> Any:
        return p(word, prompt, gen(regex="[xy]{3}", name="answer"), gen(regex="[xy]"))

    return ask


def test_posix_is_what_its_definition_says() -> None:
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.ones(5), 5)
    model = TableModel(["a", "b", "x", "y"], lambda ids: table[sum(ids) % 5 if ids else 0])

    def logprob(prompt: str, answer: str) -> float:
        ids = ["abxy".index(c) for c in prompt + answer]
        return sum([math.log(table[sum(ids[:n]) % 5 if n else 0][ids[n]]) for n in range(len(prompt), len(ids))])

    prompts, words = ["a", "bb", "ab"], ["a", "b", "ba"]
    found = lp.posix(
        [asker(prompt) for prompt in prompts], [{"word": word} for word in words], model=model, hole="answer"
    )

    for word, value, answers in zip(words, found.rows, found.answers, strict=True):
        pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
        gaps = [
            abs(logprob(word + prompts[i], answers[j]) - logprob(word + prompts[j], answers[j])) / 3 for i, j in pairs
        ]
        assert value == pytest.approx(sum(gaps) / 6)
    assert found.index == pytest.approx(sum(found.rows) / 3)


def test_posix_agrees_with_asks_of_the_runtime() -> None:
    first, second = styled(sort, Format(separator=":"), frozenset({"Kind"})), sort
    found = lp.posix([first, second], ROWS[:2])

    def logprob(program: lp.Program[Any, Any], text: str, answer: str) -> tuple[float, int]:
        before = program.run(text).text.partition("\nNote:")[0]
        before = before[: len(before) - len(program.run(text).value)]
        ids = MODEL.vocab.encode(before.encode())
        own = MODEL.vocab.encode(answer.encode())
        whole = [MODEL.bos or 0, *ids, *own]
        result = MODEL.submit(Request(whole, 0, asks=asks_of(whole, 1 + len(ids))))
        return sum([float(one[0]) for one in result.result().answers]), len(own)

    token = [program(boundary="token", model=MODEL)(one.function) for one in (first, second)]
    exact = lp.posix(token, ROWS[:2])
    for row, value, answers in zip(ROWS, exact.rows, exact.answers, strict=False):
        gaps = []
        for j, i in ((0, 1), (1, 0)):
            own, size = logprob(token[j], row["text"], answers[j])
            gaps.append(abs(logprob(token[i], row["text"], answers[j])[0] - own) / size)
        assert value == pytest.approx(sum(gaps) / 2)
    assert found.index > 0


def test_posix_of_equal_prompts_is_exactly_zero() -> None:
    again = program(model=MODEL)(sort.function)

    assert 0.0 == lp.posix([sort, again, sort], ROWS[:5]).index
    assert [0.0] * 5 == list(lp.posix([sort, again], ROWS[:5], decoder=lp.Sample(seed=1)).rows)


def test_posix_of_formats() -> None:
    found = lp.posix(sort, ROWS[:4], formats=5)

    assert (5, 4) == (len(found.prompts), len(found.rows))
    assert found.index > 0
    assert 0 <= found.agreement <= 1
    with pytest.raises(lp.ProgramError, match="no hole 'none'"):
        lp.posix(sort, ROWS[:1], hole="none")
