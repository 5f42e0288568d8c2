from __future__ import annotations

import random
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program
from lmprog.testing import RandomModel, Scripted
from lmprog.transcript import Transcript, spell


def test_a_reset_restores_text_captures_and_context(spy: Any) -> None:
    @program(model=spy)
    def twice(p: lp.Prompt) -> list[Any]:
        p("Once upon a time ", gen(max_tokens=5, name="intro"), "\n")
        here = p.mark()
        first = p("a: ", gen(max_tokens=6, name="a"), "\n")
        p.reset(here)
        return [first, p("a: ", gen(max_tokens=6, name="b"), "\n")]

    run = twice.run()
    _, before, after = spy.requests

    assert run.value[0] == run.value[1]  # the same text, so the same answer
    assert list(before.ids) == list(after.ids)
    assert list(run.captures) == ["intro", "b"]
    assert run.text == f"Once upon a time {run.captures['intro'].text}\na: {run.value[1]}\n"
    assert run.usage.requests == 3


def test_a_reset_costs_no_prompt_tokens() -> None:
    @program
    def again(p: lp.Prompt, times: int) -> None:
        p("the sea " * 50)
        here = p.mark()
        for _ in range(times):
            p.reset(here)
            p("and then ", gen(max_tokens=4, regex="[a-z]+"))

    once, often = (again.run(times, model=RandomModel(1)).usage for times in (1, 9))

    assert once.prompt_tokens_computed > 100
    assert often.prompt_tokens_computed - once.prompt_tokens_computed <= 8 * 2  # the last token gives the logits
    assert often.requests == 9


def replayed(events: tuple[lp.Event, ...]) -> str:
    text = ""
    for event in events:
        text = text[: event.span[0]] + event.text
    return text


def test_the_trace_tells_what_was_taken_back() -> None:
    @program
    def undo(p: lp.Prompt) -> None:
        p("keep ")
        here = p.mark()
        p("lose ", gen(), "\n")
        p.reset(here)
        p("more")

    run = undo.run(model=Scripted(["x"]))
    (retract,) = (event for event in run.trace if isinstance(event, lp.Retract))

    assert (retract.removed, retract.span) == ("lose x\n", (5, 5))
    assert replayed(run.trace) == run.text == "keep more"


def test_sampling_draws_anew_after_a_reset(model: RandomModel) -> None:
    @program(model=model)
    def draws(p: lp.Prompt, **hole: Any) -> list[Any]:
        here = p.mark()
        values = []
        for _ in range(4):
            values.append(p("n = ", gen(regex="[a-z]{12}", temperature=3, **hole)))
            p.reset(here)
        return values

    for hole in ({}, {"seed": 7}):
        values = draws(decoder=lp.Sample(seed=3), **hole)

        assert len(set(values)) == 4
        assert draws(decoder=lp.Sample(seed=3), **hole) == values


def test_chats_go_back_too(spy: Any) -> None:
    @program(model=spy)
    def chat(p: lp.Prompt) -> None:
        p.user("Why?")
        here = p.mark()
        for question in ("How?", "When?"):
            p.reset(here)
            with p.assistant():
                p(gen(max_tokens=5))
            p.user(question)
        with p.assistant():
            p("Well ", gen(max_tokens=5))

    run = chat.run()
    first, second, third = (list(request.ids) for request in spy.requests)

    assert first == second
    assert third[: len(first)] == first
    assert [m["content"] for m in run.messages][2] == "When?"
    assert [m["role"] for m in run.messages] == ["user", "assistant", "user", "assistant"]
    assert replayed(run.trace) == run.text


def test_a_mark_inside_of_a_turn() -> None:
    @program
    def turn(p: lp.Prompt) -> None:
        p.user("x")
        with p.assistant():
            p("a ")
            here = p.mark()
            p(gen(), "\n")
            p.reset(here)
            p(gen(), ".")

    run = turn.run(model=Scripted(["no", "yes"]))

    assert run.messages[1]["content"] == "a yes."


def test_after_a_reset_a_run_may_become_a_chat() -> None:
    @program
    def changes(p: lp.Prompt) -> None:
        here = p.mark()
        p("plain")
        p.reset(here)
        p.user("x")

    assert changes.run(model=Scripted([])).messages == ({"role": "user", "content": "x"},)


def _other(p: lp.Prompt) -> None:
    kept: list[Any] = []
    program(lambda q: kept.append(q.mark())).run(model=Scripted([]))
    p.reset(kept[0])


def _taken_back(p: lp.Prompt) -> None:
    here = p.mark()
    p("a")
    later = p.mark()
    p.reset(here)
    p("b")
    p.reset(later)


def _out_of_role(p: lp.Prompt) -> None:
    with p.assistant():
        here = p.mark()
    p.reset(here)


def _into_another_role(p: lp.Prompt) -> None:
    with p.assistant():
        here = p.mark()
    with p.assistant():
        p.reset(here)


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (_other, lp.ProgramError, "of another prompt"),
        (_taken_back, lp.ProgramError, "taken back since"),
        (_out_of_role, lp.RoleError, "set in the assistant role, but p.reset.* outside of roles"),
        (_into_another_role, lp.RoleError, "both belong into one block"),
    ],
)
def test_marks_that_are_not_valid(body: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        program(body)(model=Scripted([]))


def test_a_hole_that_fails_leaves_nothing(model: RandomModel) -> None:
    def refuse(text: str) -> Any:
        raise ValueError("not today")

    refusing = lp.Grammar(lp.regex("[a-z]+").expr, refuse)

    @program(model=model)
    def goes_on(p: lp.Prompt) -> Any:
        p("a ")
        with pytest.raises(ValueError, match="not today"):
            p(gen(grammar=refusing, max_tokens=4))
        return p(gen(regex="[A-Z]{3}"))

    run = goes_on.run()

    assert run.text == f"a {run.value}"
    assert [type(event) for event in run.trace] == [lp.Text, lp.Open, lp.Retract, lp.Open, lp.Close]
    assert replayed(run.trace) == run.text


def test_outlines_go_back() -> None:
    @program
    def outlined(p: lp.Prompt) -> None:
        here = p.mark()
        p("a", gen())
        p.reset(here)
        p("b", gen())

    assert outlined.prompt() == "b⟨0: str⟩"


@pytest.mark.parametrize("seed", range(200))
def test_text_taken_over_from_another_transcript_keeps_its_spelling(seed: int, model: RandomModel) -> None:
    """Whatever comes before: the bytes are right, and behind the border the tokens are those of the other one."""
    rng = random.Random(seed)
    vocab = model.vocab
    words = ["the", " sea", ": ", "\n\n", "日本", "🙂", "a", " ", "tion"]

    def some(most: int) -> str:
        return "".join(rng.choices(words, k=rng.randint(0, most)))

    tail = some(2)
    here, there = Transcript(vocab, [258]), Transcript(vocab, [258])
    here.append(some(4) + tail)
    there.append(some(4) + tail)
    if rng.random() < 0.5:
        there.settle()
    begin = there.place()
    came = some(2)
    there.append(came)
    ids, backed = there.border()
    value = some(3)
    prefix = spell(vocab, ids[len(ids) - backed :])
    generated = vocab.encode(prefix + value.encode())
    there.filled(ids[: len(ids) - backed], generated, len(prefix) + len(value.encode()))
    rest = some(1)
    there.append(rest)
    before = spell(vocab, here.ids) + here.pending

    here.take_over(begin, there.place())

    assert spell(vocab, here.ids) + here.pending == before + (came + value + rest).encode()
    if len(value) > 2 and not here.pending:
        assert here.ids[-1] == there.ids[-1]
