from __future__ import annotations

import random
import re
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.grammars import Vocabulary
from lmprog.testing import RandomModel, TableModel
from lmprog.transcript import Transcript, backed_up

TOKENS = ["a", "b", "c", "ab", "abc", "bc", "x", "\n", "x\n", "\n\n", "d"]


def favourite(*wanted: str) -> TableModel:
    """Writes `wanted` one after the other, each where it may, and ends the text after them."""
    ids = [TOKENS.index(text) for text in wanted]

    def probs(prefix: tuple[int, ...]) -> list[float]:
        row = [0.01] * (len(TOKENS) + 1)
        done = sum(1 for i in prefix if i in ids)
        row[ids[done] if done < len(ids) else len(TOKENS)] = 1.0
        return row

    return TableModel(TOKENS, probs)


@program
def after_a(p: lp.Prompt, hole: lp.Hole) -> Any:
    return p("xa", hole)


def test_the_tail_of_the_text_is_spelt_anew_together_with_the_value(spying: Any) -> None:
    spy = spying(favourite("ab"))
    run = after_a.run(gen(max_tokens=3), model=spy)

    assert (run.value, run.text) == ("b", "xab")
    assert run.captures[0].tokens == (TOKENS.index("ab"),)
    assert spy.vocab.decode(spy.requests[0].ids) == b"x"


def test_without_healing_the_text_stays_as_it_is(spying: Any) -> None:
    spy = spying(favourite("bc"))

    assert after_a(gen(max_tokens=3, boundary="token"), model=spy) == "bc"
    assert spy.vocab.decode(spy.requests[0].ids) == b"xa"
    assert program(boundary="token")(after_a.function)(gen(), model=favourite("bc")) == "bc"


def test_no_more_is_backed_up_than_a_token_could_cover() -> None:
    vocab = favourite().vocab
    border = {}
    for text in ("xa", "xab", "xd", "xx", "x\n", "aab"):
        transcript = Transcript(vocab)
        transcript.append(text)
        ids, backed = transcript.border()
        border[text] = (vocab.decode(ids[: len(ids) - backed]), vocab.decode(ids[len(ids) - backed :]))

    assert border == {
        "xa": (b"x", b"a"),
        "xab": (b"x", b"ab"),
        "xd": (b"xd", b""),
        "xx": (b"x", b"x"),
        "x\n": (b"x\n", b""),  # one token, and the beginning of none
        "aab": (b"a", b"ab"),
    }


def test_a_longer_tail_counts_even_when_its_last_token_alone_does_not() -> None:
    vocab = Vocabulary([b"a", b"b", b"abc", b"x", None], eos={4})

    assert backed_up(vocab, [3, 0, 1]) == 2


def test_splices_are_invisible(spying: Any) -> None:
    @program
    def whole(p: lp.Prompt) -> None:
        p("abcabx", gen(max_tokens=4), "abc", select(["a", "b"]))

    @program
    def spliced(p: lp.Prompt) -> None:
        p("a")
        p("bc", "ab")
        p("x", "", gen(max_tokens=4), "ab", "c", select(["a", "b"]))

    one, many = spying(favourite("bc")), spying(favourite("bc"))
    texts = whole.run(model=one).text, spliced.run(model=many).text

    assert texts[0] == texts[1]
    assert [list(r.ids) for r in one.requests] == [list(r.ids) for r in many.requests]


def test_what_was_generated_is_never_tokenised_anew(spying: Any) -> None:
    @program
    def twice(p: lp.Prompt) -> None:
        p("x", gen(regex="[abc]{3}", boundary="token"), "d")
        p(gen(choices=["a", "b"]))

    spy = spying(favourite("a", "b", "c"))
    twice.run(model=spy)

    assert spy.vocab.encode(b"abc") == [TOKENS.index("abc")]
    assert [TOKENS[i] for i in spy.requests[1].ids[1:]] == ["x", "a", "b", "c", "d"]


def test_a_token_may_reach_over_the_end_of_a_value(spying: Any) -> None:
    @program
    def line(p: lp.Prompt) -> Any:
        return p("d", gen(name="line"), "\nd", select(["a", "b"]))

    spy = spying(favourite("a", "x\n"))
    run = line.run(model=spy)

    assert (run.value[0], run.text[:4]) == ("ax", "dax\n")
    assert [TOKENS[i] for i in spy.requests[1].ids[1:]] == ["d", "a", "x\n", "d"]


def test_a_value_ends_before_the_following_text() -> None:
    @program
    def line(p: lp.Prompt, follow: str) -> Any:
        return p("d", gen(max_tokens=9), follow)

    assert line("\n", model=favourite("a", "b", "\n", "c")) == "ab"
    assert line("\nd", model=favourite("a", "b", "\n", "c")) == "ab"  # the line break alone ends it
    assert line("\n\nd", model=favourite("a", "\n", "b", "\n\n")) == "a\nb"
    assert line("c\nxx", model=favourite("a", "b", "c", "\n")) == "ab"
    assert line("cd", model=favourite("a", "b", "c", "\n")) == "abc\n"
    assert line("", model=favourite("a", "b", "\n", "c")) == "ab\nc"


def test_an_option_that_begins_another_is_reachable() -> None:
    @program
    def pick(p: lp.Prompt, *follow: str) -> Any:
        return p("d", select(["a", "ab", "abc"]), *follow)

    for follow in ([], ["\n"]):
        assert pick(*follow, model=favourite("a", "\n")) == "a"
        assert pick(*follow, model=favourite("ab", "\n")) == "ab"
        assert pick(*follow, model=favourite("abc")) == "abc"


def test_the_only_value_needs_no_model(spying: Any) -> None:
    spy = spying(favourite())

    assert after_a(select([""]), model=spy) == ""
    assert spy.requests == []


def test_text_may_be_empty_before_a_hole(spying: Any) -> None:
    @program
    def bare(p: lp.Prompt) -> Any:
        return p(gen(max_tokens=1))

    spy = spying(favourite("abc"))
    spy.bos = None

    assert bare(model=spy) == "abc"
    assert list(spy.requests[0].ids) == [len(TOKENS)]


def test_the_first_token_stays_when_there_is_no_bos(spying: Any) -> None:
    spy = spying(favourite("bc"))
    spy.bos = None

    assert program(lambda p: p("a", gen(max_tokens=1)))(model=spy) == "bc"


def test_a_budget_that_is_too_tight_for_healing() -> None:
    assert after_a(gen(regex="c", max_tokens=1), model=favourite()) == "c"
    assert after_a(gen(regex="bc", max_tokens=1), model=favourite()) == "bc"
    with pytest.raises(lp.BudgetError):
        after_a(gen(regex="dd", max_tokens=1), model=favourite())


def test_values_stay_within_their_budget_over_healed_borders() -> None:
    for n in range(1, 5):
        free = after_a.run(gen(max_tokens=n), model=favourite("ab", "c", "d", "a", "b"))
        tight = after_a.run(gen(regex="b[cdab]{3}", max_tokens=n + 1), model=favourite("ab", "c", "d", "a", "b"))

        assert len(free.captures[0].tokens) <= n
        assert len(tight.captures[0].tokens) <= n + 1


def test_a_value_that_could_only_go_on_ends_where_the_following_text_began() -> None:
    run = program(lambda p: p("d", gen(regex="a(xx)*", max_tokens=2), "xb")).run(model=favourite("a", "x"))

    assert run.text == "daxb"
    assert re.fullmatch("a(xx)*", run.captures[0].text)


STOPS = ["b\n", "ab", "x", "ax", "\n\n"]


def before_first(text: str, stops: list[str]) -> str | None:
    ends = [(text.find(stop) + len(stop), -len(stop)) for stop in stops if stop in text]
    return text[: sum(min(ends))] if ends else None


@pytest.mark.parametrize("seed", range(40))
def test_a_value_ends_before_its_first_stop(seed: int, spying: Any) -> None:
    rng = random.Random(seed)
    stops = rng.sample(STOPS, rng.randint(1, 4))
    spy = spying(TableModel(TOKENS, lambda ids: [*random.Random(f"{seed}{ids}").choices(range(1, 50), k=11), 1]))
    tail = rng.choice(["\nabc", "d", "x"])

    @program(model=spy, decoder=lp.Sample(seed=seed))
    def stopped(p: lp.Prompt) -> Any:
        return p("dd", gen(stop=stops, max_tokens=12), tail, gen(regex="[ab]"))[0]

    run = stopped.run()

    assert before_first(run.value, stops) is None
    assert run.text[:-1] == "dd" + run.value + tail
    sent = spy.vocab.decode(spy.requests[1].ids) + spy.requests[1].constraint.forced(spy.requests[1].state)
    assert sent == run.text[:-1].encode()
    assert run.captures[0].finish in ("stop", "complete") or len(run.captures[0].tokens) <= 12


def test_a_stop_binds_a_constrained_value_too() -> None:
    @program
    def stopped(p: lp.Prompt, **hole: Any) -> Any:
        return p("d", gen(max_tokens=6, **hole), "c")

    assert stopped(regex="[ab]+", stop="ab", model=favourite("b", "a", "b")) == "b"
    assert stopped(regex="[ab]{3,}", stop="ab", model=favourite("b", "b", "a", "ab")) == "bba"
    with pytest.raises(lp.EmptyLanguage):
        stopped(regex="aab", stop="ab", model=favourite("a"))


@pytest.mark.parametrize("seed", range(20))
def test_free_text_is_cut_at_whole_characters(seed: int, model: RandomModel) -> None:
    @program(model=model, decoder=lp.Sample(seed=seed))
    def free(p: lp.Prompt) -> Any:
        return p("日", gen(max_tokens=1 + seed % 5), "\n")

    run = free.run()

    assert len(run.captures[0].tokens) <= 1 + seed % 5
    assert "�" not in run.value
