from __future__ import annotations

from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.testing import RandomModel, Scripted, TableModel

ask = program(lambda p, hole, *follow: p("question: ", hole, *follow))


@pytest.mark.parametrize(
    ("answer", "hole", "message"),
    [
        ("maths", select(["math", "poem"]), "answer 0, 'maths', is not a value of the hole: after 'math'"),
        ("poe", select(["math", "poem"]), "not complete"),
        ("x", gen(regex="[a-c]"), "after ''"),
        ("two\nlines", gen(), "after 'two\\\\n'"),
    ],
)
def test_a_scripted_answer_must_be_a_value_of_its_hole(answer: str, hole: lp.Hole, message: str) -> None:
    with pytest.raises(lp.ScriptError, match=message) as caught:
        ask(hole, "\n", model=Scripted([answer]))

    assert caught.value.__notes__ == [f"in the hole '0': {hole.kind}"]


def test_a_script_ends() -> None:
    with pytest.raises(lp.ScriptError, match="has 0 answers"):
        ask(gen(), model=Scripted([]))


def test_a_script_remembers_its_prompts() -> None:
    model = Scripted(["a", "b", "c"])
    ask(gen(), model=model)
    ask(select(["b"]), "\n", model=model)

    assert (model.prompts, model.left) == (["question: ", "question: "], 1)


def test_scripts_ignore_budgets_but_keep_stops() -> None:
    assert ask(gen(max_tokens=1), model=Scripted(["many tokens"])) == "many tokens"
    assert ask(gen(stop="\n"), model=Scripted(["a line"])) == "a line"


def test_a_table_is_exact() -> None:
    """P(a) = 0.8 and P(ab) = 0.1 first; P(b) = 0.9 after a."""

    def probs(prefix: tuple[int, ...]) -> list[float]:
        return [0.05, 0.9, 0.0, 0.05] if prefix else [0.8, 0.1, 0.1, 0.0]

    run = program(lambda p: p(gen(max_tokens=2))).run(model=TableModel(["a", "b", "ab"], probs), logprobs=True)

    assert run.value == "ab"
    assert run.captures[0].tokens == (0, 1)
    assert run.captures[0].logprob == pytest.approx(-0.3285, abs=1e-3)  # log(0.8 * 0.9)


def test_a_table_sees_ids_without_the_beginning() -> None:
    seen: list[Any] = []

    def probs(prefix: tuple[int, ...]) -> list[float]:
        seen.append(prefix)
        return [1.0, 1.0]

    program(lambda p: p("aa", gen(max_tokens=1)))(model=TableModel(["a"], probs))

    assert seen == [(0, 0)]


def test_random_models_differ_by_their_seed() -> None:
    values = [ask(gen(max_tokens=8), model=RandomModel(seed)) for seed in (1, 1, 2)]

    assert values[0] == values[1] != values[2]


def test_the_random_vocabulary_is_like_a_real_one() -> None:
    vocab = RandomModel(0).vocab

    assert vocab.complete
    assert vocab.decode(vocab.encode("日本 moon é".encode())) == "日本 moon é".encode()
    assert len(vocab.encode(b" the moon")) == 2
    assert vocab.extendable(b'"')
