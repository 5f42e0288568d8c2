from __future__ import annotations

import contextlib
import itertools
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.testing import RandomModel, Scripted

from .test_checkpoints import replayed


@program
def naming(p: lp.Prompt, taken: list[str], **options: Any) -> str:
    p("The cat and the dog.\n")
    name = ""
    for a in p.attempts(3, **options):
        with a:
            name = p("Name: ", gen(max_tokens=8, name="name"), "\n")
            a.check(name not in taken, f"{name} is taken")
    p("Done.")
    return name


def test_hidden_feedback_is_shown_to_the_model_alone() -> None:
    model = Scripted(["Ann", "Bob", "Eve"])
    run = naming.run(["Ann", "Bob"], model=model)

    assert (run.value, run.text) == ("Eve", "The cat and the dog.\nName: Eve\nDone.")
    assert [(c.name, c.text) for c in run.captures.all()] == [("name", "Eve")]
    assert model.prompts[1] == "The cat and the dog.\nName: Ann\n(Not accepted: Ann is taken)\nName: "
    assert model.prompts[2] == model.prompts[1] + "Bob\n(Not accepted: Bob is taken)\nName: "
    assert replayed(run.trace) == run.text
    assert [e.reason for e in run.trace if isinstance(e, lp.Retract)] == ["Ann is taken", "Bob is taken"]


def test_visible_feedback_stays_in_the_text() -> None:
    model = Scripted(["Ann", "Eve"])
    run = naming.run(["Ann"], feedback="visible", note="[{why}!]", model=model)

    assert run.text == "The cat and the dog.\nName: Ann\n[Ann is taken!]\nName: Eve\nDone."
    assert model.prompts[1] == run.text.removesuffix("Eve\nDone.")
    assert len(run.captures.all()) == 1
    assert replayed(run.trace) == run.text


def test_without_feedback_the_prompt_is_the_same() -> None:
    model = Scripted(["Ann", "Eve"])
    run = naming.run(["Ann"], feedback="none", model=model)

    assert run.text == "The cat and the dog.\nName: Eve\nDone."
    assert model.prompts[0] == model.prompts[1]


def test_the_last_line_comes_again_where_the_loop_began_in_it() -> None:
    @program
    def inline(p: lp.Prompt) -> None:
        p("A\nB: ")
        for a in p.attempts(2):
            with a:
                a.check(p(gen()) == "y", "no")

    model = Scripted(["x", "y"])
    run = inline.run(model=model)

    assert model.prompts[1] == "A\nB: x\n(Not accepted: no)\nB: "
    assert run.text == "A\nB: y"


def test_hidden_feedback_is_gone_from_later_prompts(spy: Any) -> None:
    @program(model=spy)
    def two(p: lp.Prompt) -> None:
        p("The sea and the moon ")
        for a in p.attempts(3):
            with a:
                p(gen(max_tokens=6, regex="[a-z ]+", name="a"), "\n")
                a.check(a.number == 2, "not yet")
        p("More: ", gen(max_tokens=3))

    run = two.run()
    *_, third, last = spy.requests
    shown, sent = (spy.vocab.decode(request.ids).decode() for request in (third, last))

    assert shown.count("not yet") == 2
    assert "not yet" not in sent
    assert run.text.startswith(sent)
    tokens = list(run.captures["a"].tokens)
    assert any(list(last.ids[i : i + len(tokens)]) == tokens for i in range(len(last.ids)))  # as it was spelt


def test_a_failed_value_is_excluded_under_argmax(model: RandomModel) -> None:
    @program(model=model)
    def until(p: lp.Prompt, hole: lp.Hole, wanted: Any) -> list[Any]:
        seen: list[Any] = []
        p("The value is ")
        for a in p.attempts(10, feedback="none"):
            with a:
                seen.append(p(hole))
                a.check(seen[-1] == wanted)
        return seen

    numbers = [until(gen(int, ge=1, le=5), wanted) for wanted in range(1, 6)]

    assert all(seen[-1] == wanted for wanted, seen in enumerate(numbers, 1))
    assert all(len(set(seen)) == len(seen) for seen in numbers)
    assert [1, 2, 3, 4, 5] in [sorted(seen) for seen in numbers]
    with pytest.raises(lp.AttemptsExhausted, match="no other value is left") as caught:
        until(select(["red", "blue"]), "green")
    assert len(caught.value.reasons) == 3


def test_free_text_differs_in_more_than_blanks(model: RandomModel) -> None:
    @program(model=model)
    def texts(p: lp.Prompt) -> list[str]:
        seen: list[str] = []
        for a in p.attempts(8, feedback="none", otherwise="last"):
            with a:
                seen.append(p("Say: ", gen(max_tokens=4), "\n"))
                a.check(False)
        return seen

    seen = [text.strip() for text in texts()]

    assert len(set(seen)) == 8


def test_the_search_goes_back_to_earlier_holes(model: RandomModel) -> None:
    """With the last hole's values used up, the one before it changes: all pairs are tried, none twice."""

    seen: list[Any] = []

    @program(model=model)
    def again(p: lp.Prompt) -> None:
        for a in p.attempts(30, feedback="none"):
            with a:
                seen.append((p("a: ", select([1, 2, 3]), "\n"), p("b: ", select(["x", "y"]), "\n")))
                a.check(False)

    with pytest.raises(lp.AttemptsExhausted):
        again()
    assert sorted(seen) == list(itertools.product([1, 2, 3], ["x", "y"]))


def test_a_check_may_name_the_hole_at_fault(model: RandomModel) -> None:
    @program(model=model)
    def blaming(p: lp.Prompt) -> list[Any]:
        seen: list[Any] = []
        for a in p.attempts(4, feedback="none"):
            with a:
                first = p("a: ", select([1, 2, 3, 4], name="first"), "\n")
                p("b: ", select(["x", "y", "z"], name="second"), "\n")
                seen.append(first)
                a.check(len(seen) == 4, hole="first")
        return seen

    assert sorted(blaming()) == [1, 2, 3, 4]
    with pytest.raises(lp.ProgramError, match="no hole named 'third'"):
        program(lambda p: [a.check(False, hole="third") for a in p.attempts(1) if a.__enter__()])(model=model)


def test_sampling_draws_anew(model: RandomModel) -> None:
    @program(model=model, decoder=lp.Sample(temperature=3, seed=5))
    def draws(p: lp.Prompt) -> list[str]:
        seen: list[str] = []
        for a in p.attempts(5, feedback="none"):
            with a:
                seen.append(p(gen(regex="[a-z]{8}")))
                a.check(a.number == 4)
        return seen

    assert len(set(draws())) == 5
    assert draws() == draws()


def test_retries_compute_no_prompt_anew() -> None:
    @program
    def long(p: lp.Prompt, tries: int, feedback: Any) -> None:
        p("the sea and the moon\n" * 40)
        for a in p.attempts(tries, feedback=feedback):
            with a:
                p("word: ", gen(regex="[a-z]+", max_tokens=5), "\n")
                a.check(a.number == tries - 1, "no")

    once = long.run(1, "none", model=RandomModel(2)).usage
    for feedback, most in (("none", 3), ("hidden", 30), ("visible", 30)):
        often = long.run(8, feedback, model=RandomModel(2)).usage

        assert often.requests == 8
        assert often.prompt_tokens_computed - once.prompt_tokens_computed <= 7 * most
    assert once.prompt_tokens_computed > 150


@pytest.mark.parametrize(
    ("otherwise", "expected"),
    [("raise", "b"), ("best", "b"), ("last", "c")],
)
def test_suggestions_are_content_with_the_best(otherwise: Any, expected: str) -> None:
    @program
    def suggesting(p: lp.Prompt) -> str:
        value = ""
        for a in p.attempts(3, otherwise=otherwise):
            with a:
                value = p("v: ", gen(), "\n")
                a.suggest(value == "d", "not d")
                a.suggest(value == "b", "not b", weight=0.5)
        p("then ", gen())
        return value

    model = Scripted(["a", "b", "c", "end"])
    run = suggesting.run(model=model)

    assert (run.value, run.text) == (expected, f"v: {expected}\nthen end")
    assert run.captures[0].text == expected
    assert model.prompts[-1] == f"v: {expected}\nthen "
    assert replayed(run.trace) == run.text


def test_best_prefers_fewer_failed_checks_and_runs_the_rest_of_the_body() -> None:
    @program
    def best(p: lp.Prompt) -> list[str]:
        words: list[str] = []
        for a in p.attempts(3, otherwise="best"):
            with a:
                words = [p(gen(), " ")]
                a.suggest(words[0] == "b", weight=2)
                a.check(False, "never")
                words.append(p(gen(), "\n"))
        return words

    run = best.run(model=Scripted(["a", "b", "c", "rest"]))

    assert (run.value, run.text) == (["b", "rest"], "b rest\n")


def test_effects_are_not_repeated_for_the_best() -> None:
    done: list[str] = []

    def happen(word: str) -> str:
        done.append(word)
        return f"did {word}"

    @program
    def best(p: lp.Prompt) -> Any:
        value = ""
        for a in p.attempts(2, otherwise="best", feedback="none"):
            with a:
                word = p(gen(), " ")
                value = p.effect(happen, word)
                p(value, "\n")
                a.suggest(False, weight=1 + a.number)
        return value

    run = best.run(model=Scripted("ab"))

    assert (run.value, run.text, done) == ("did a", "a did a\n", ["a", "b"])


def test_the_last_attempt_is_taken_as_it_is() -> None:
    @program
    def last(p: lp.Prompt) -> list[str]:
        words: list[str] = []
        for a in p.attempts(2, otherwise="last"):
            with a:
                words = [p(gen(), " ")]
                a.check(False, "never")
                words.append(p(gen(), "\n"))
        return words

    assert last(model=Scripted(["a", "b", "c"])) == ["b", "c"]


def test_exhaustion_leaves_the_run_as_it_was() -> None:
    @program
    def goes_on(p: lp.Prompt) -> tuple[str, ...]:
        p("begin ")
        try:
            naming(p, ["Ann", "Bob", "Eve"])
        except lp.AttemptsExhausted as error:
            p("again ", gen())
            return error.reasons
        return ()

    for feedback in ("hidden", "visible", "none"):

        @program
        def loop(p: lp.Prompt, feedback: Any = feedback) -> tuple[str, ...]:
            p("begin ")
            try:
                for a in p.attempts(2, feedback=feedback):
                    with a:
                        a.check(p(gen(), "\n") == "x", "not x")
            except lp.AttemptsExhausted as error:
                p("again ", gen())
                return error.reasons
            return ()

        model = Scripted(["a", "b", "c"])
        run = loop.run(model=model)

        assert (run.text, run.value) == ("begin again c", ("not x", "not x"))
        assert model.prompts[-1] == "begin again "
    with pytest.raises(lp.AttemptsExhausted, match=r"none of 3 attempts was accepted: \(1\) Ann is taken; \(2\)"):
        naming(["Ann", "Bob", "Eve"], model=Scripted(["Ann", "Bob", "Eve"]))


def test_inner_exhaustion_fails_the_outer_attempt() -> None:
    @program
    def nested(p: lp.Prompt) -> list[Any]:
        log: list[Any] = []
        for a in p.attempts(3, feedback="none"):
            with a:
                outer = p("o: ", gen(), "\n")
                for b in p.attempts(2, feedback="none"):
                    with b:
                        inner = p("i: ", gen(), "\n")
                        log.append((outer, inner))
                        b.check(inner == "good" and outer == "fine")
        return log

    model = Scripted(["bad", "1", "2", "fine", "3", "good"])
    run = nested.run(model=model)

    assert run.value == [("bad", "1"), ("bad", "2"), ("fine", "3"), ("fine", "good")]
    assert run.text == "o: fine\ni: good\n"


def test_an_outer_check_inside_of_an_inner_block_fails_the_outer_attempt() -> None:
    @program
    def outer_check(p: lp.Prompt) -> str:
        value = ""
        for a in p.attempts(2, feedback="none"):
            with a:
                for b in p.attempts(5):
                    with b:
                        value = p(gen())
                        a.check(value == "y")
        return value

    assert outer_check.run(model=Scripted(["x", "y"])).text == "y"


def test_exceptions_of_the_program_pass_through() -> None:
    @program
    def raises(p: lp.Prompt, **options: Any) -> int:
        for a in p.attempts(3, **options):
            with a:
                return int(p("n: ", gen(), "\n"))
        return -1

    with pytest.raises(ValueError, match="invalid literal"):
        raises(model=Scripted(["x"]))
    model = Scripted(["x", "7"])
    assert raises(retry_on=(ValueError,), model=model) == 7
    assert "(Not accepted: invalid literal for int() with base 10: 'x')" in model.prompts[1]
    with pytest.raises(lp.AttemptsExhausted) as caught:
        raises(retry_on=(ValueError,), otherwise="last", model=Scripted(["x", "y", "z"]))
    assert isinstance(caught.value.__cause__, ValueError)


def test_after_an_exception_the_hidden_feedback_is_gone() -> None:
    @program
    def caught(p: lp.Prompt) -> None:
        with contextlib.suppress(KeyError):
            for a in p.attempts(3):
                with a:
                    a.check(p(gen(), "\n") != "x", "x")
                    raise KeyError
        p("on: ", gen())

    model = Scripted(["x", "y", "z"])

    assert caught.run(model=model).text == "y\non: z"
    assert model.prompts[-1] == "y\non: "


@pytest.mark.parametrize("leave", ["return", "break"])
def test_leaving_the_loop_accepts_what_there_is(leave: str) -> None:
    @program
    def leaves(p: lp.Prompt) -> None:
        def inside() -> None:
            for a in p.attempts(3):
                with a:
                    value = p(gen(), "\n")
                    a.suggest(value == "z", "no z")
                    if a.number == 1 and leave == "return":
                        return
                if a.number == 1 and leave == "break":
                    break

        inside()
        p("on: ", gen())

    model = Scripted(["a", "b", "c"])

    assert leaves.run(model=model).text == "b\non: c"
    assert model.prompts[-1] == "b\non: "


def test_the_cost_is_capped() -> None:
    @program
    def capped(p: lp.Prompt, **options: Any) -> int:
        number = -1
        for a in p.attempts(100, feedback="none", otherwise="last", **options):
            with a:
                p(gen(regex="[a-z]{10}"))
                number = a.number
                a.check(False)
        return number

    model = Scripted([f"{i:a>10}".translate({48 + d: 98 + d for d in range(10)}) for i in range(100)])

    assert capped(max_tokens=45, model=model) == 4  # 10 bytes, 10 tokens each: enough after 50


def test_attempts_between_turns_of_a_chat() -> None:
    @program
    def chat(p: lp.Prompt, feedback: Any) -> Any:
        p.system("Be brief.")
        for a in p.attempts(3, feedback=feedback):
            with a:
                p.user("Name?")
                with p.assistant():
                    name = p(gen(max_tokens=8))
                    a.check(name == "Eve", f"not {name}")
        p.user("Age?")
        with p.assistant():
            p(gen(max_tokens=8))

    for feedback in ("hidden", "visible", "none"):
        model = Scripted(["Ann", "Bob", "Eve", "9"])
        run = chat.run(feedback, model=model)
        told = ["Name?", "Ann", "(Not accepted: not Ann)", "Bob", "(Not accepted: not Bob)", "Eve", "Age?", "9"]
        plain = ["Name?", "Eve", "Age?", "9"]
        contents = [message["content"] for message in run.messages[1:]]

        assert contents == (told if feedback == "visible" else plain)
        assert model.prompts[2] == "Be brief." + ("Name?" if feedback == "none" else "".join(told[:5]))
        assert model.prompts[3] == "Be brief." + "".join(contents[:-1])
        assert replayed(run.trace) == run.text
        assert [message["role"] for message in run.messages[1:3]] == ["user", "assistant"]


def test_attempts_inside_of_a_turn() -> None:
    @program
    def chat(p: lp.Prompt) -> Any:
        p.user("Name?")
        with p.assistant():
            p("It is ")
            for a in p.attempts(3):
                with a:
                    a.check(p(gen(max_tokens=8)) == "Eve", "no")
            p(".")
        p.user("Age?")
        with p.assistant():
            p(gen(max_tokens=8))

    model = Scripted(["Ann", "Eve", "9"])
    run = chat.run(model=model)

    assert model.prompts[1] == "Name?It is Ann\n(Not accepted: no)\nIt is "
    assert model.prompts[2] == "Name?It is Eve.Age?"
    assert run.messages[1]["content"] == "It is Eve."


def test_a_chats_spelling_survives_the_feedback(spy: Any) -> None:
    @program(model=spy)
    def chat(p: lp.Prompt) -> None:
        for a in p.attempts(2):
            with a:
                p.user("Name?")
                with p.assistant():
                    p(gen(max_tokens=8, name="name"))
                a.check(a.number, "no")
        p.user("Age?")
        with p.assistant():
            p(gen(max_tokens=8))

    run = chat.run(decoder=lp.Sample(seed=2))
    first, second, last = (list(request.ids) for request in spy.requests)
    tokens = list(run.captures["name"].tokens)

    assert second[: len(first)] == first
    assert last[: len(first) + len(tokens)] == [*first, *tokens]


def test_nested_attempts_with_hidden_feedback() -> None:
    @program
    def nested(p: lp.Prompt) -> None:
        p("Go\n")
        for a in p.attempts(2):
            with a:
                for b in p.attempts(2):
                    with b:
                        b.check(p("i: ", gen(), "\n") in ("2", "4"), "odd")
                a.check(p("o: ", gen(), "\n") == "y", "no y")
        p("end ", gen())

    model = Scripted(["1", "2", "x", "3", "4", "y", "."])
    run = nested.run(model=model)

    assert run.text == "Go\ni: 4\no: y\nend ."
    assert model.prompts == [
        "Go\ni: ",
        "Go\ni: 1\n(Not accepted: odd)\ni: ",
        "Go\ni: 2\no: ",
        "Go\ni: 2\no: x\n(Not accepted: no y)\ni: ",
        "Go\ni: 2\no: x\n(Not accepted: no y)\ni: 3\n(Not accepted: odd)\ni: ",
        "Go\ni: 2\no: x\n(Not accepted: no y)\ni: 4\no: ",
        "Go\ni: 4\no: y\nend ",
    ]


def _without_block(p: lp.Prompt) -> None:
    for _ in p.attempts(2):
        p("x")


def _before_block(p: lp.Prompt) -> None:
    for a in p.attempts(2):
        p("x")
        with a:
            pass


def _check_outside(p: lp.Prompt) -> None:
    for a in p.attempts(2):
        with a:
            p("x")
        a.check(True)


def _twice(p: lp.Prompt) -> None:
    for a in p.attempts(2):
        with a:
            pass
        with a:
            pass


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (_without_block, "an attempt is a block of its own"),
        (_before_block, "put that into the block"),
        (_check_outside, "belong inside of the attempt's block"),
        (_twice, "entered once"),
        (lambda p: p.attempts(0), "how many there may be"),
        (lambda p: p.attempts(2, feedback="loud"), "feedback is"),
        (lambda p: p.attempts(2, otherwise="cry"), "otherwise is"),
        (lambda p: p.attempts(2, max_tokens=0), "max_tokens"),
        (lambda p: p.attempts(2, retry_on=ValueError), "retry_on is a tuple"),
        (lambda p: p.attempts(2, note="no reason"), "where the reason goes"),
    ],
)
def test_wrong_use(body: Any, message: str) -> None:
    with pytest.raises(lp.ProgramError, match=message):
        program(body)(model=Scripted([]))


def test_outlines_show_one_attempt() -> None:
    assert program(lambda p: [p("x") for a in p.attempts(3) if not a.check(True)]).prompt() == "x"
    assert naming.prompt(["x"]).startswith("The cat and the dog.\nName: ⟨name: str⟩\n⟨… the rest depends on name⟩")


# -- conditions that are functions -------------------------------------------------------------------------------------


def test_a_condition_may_be_a_function(model: RandomModel) -> None:
    def even(n: int) -> bool:
        return n % 2 == 0

    hole = gen(int, ge=0, le=20, where=even, name="n")
    run = program(lambda p: p("n = ", hole, "\n")).run(model=model)

    assert run.value % 2 == 0
    assert run.text == f"n = {run.value}\n"
    assert "where even" in hole.kind
    assert (hole.matches("4"), hole.matches("5"), hole.matches("40")) == (True, False, False)


def test_values_that_fail_are_excluded_or_drawn_anew(model: RandomModel) -> None:
    seen: list[str] = []

    def sixth(value: str) -> bool:
        seen.append(value)
        return len(seen) == 6

    for decoder in (lp.Argmax(), lp.Sample(temperature=3, seed=1)):
        seen.clear()
        run = program(lambda p: p("x", gen(regex="[a-z]{6}", where=sixth))).run(model=model, decoder=decoder)

        assert len(set(seen)) == 6
        assert run.value == seen[-1]
        assert [e.removed for e in run.trace if isinstance(e, lp.Retract)] == seen[:-1]
        assert replayed(run.trace) == run.text


def test_a_condition_that_nothing_meets() -> None:
    @program
    def never(p: lp.Prompt, tries: int) -> Any:
        return p("x ", gen(choices=["a", "b", "c"], where=lambda _: False, tries=tries))

    for tries, count in ((2, 2), (9, 3)):
        with pytest.raises(lp.AttemptsExhausted) as caught:
            never(tries, model=RandomModel(0))
        assert len(caught.value.reasons) == count
        assert "in the hole '0'" in caught.value.__notes__[0]


def test_a_condition_that_raises_passes_its_exception_on() -> None:
    def broken(value: str) -> bool:
        raise KeyError(value)

    with pytest.raises(KeyError, match="x"):
        program(lambda p: p(gen(where=broken)))(model=Scripted(["x"]))


def test_an_exhausted_hole_fails_the_attempt_around_it() -> None:
    @program
    def around(p: lp.Prompt) -> None:
        for a in p.attempts(2, feedback="none"):
            with a:
                first = p(gen(), " ")
                p(gen(where=first.__eq__, tries=1))

    assert around.run(model=Scripted(["a", "b", "c", "c"])).text == "c c"


@pytest.mark.parametrize("tries", [0, True, 1.5])
def test_wrong_tries(tries: Any) -> None:
    with pytest.raises(lp.HoleError, match="tries"):
        gen(where=bool, tries=tries)
