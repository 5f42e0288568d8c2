from __future__ import annotations

import threading
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.testing import RandomModel, Scripted

from .test_checkpoints import replayed


def line(p: lp.Prompt, mood: str) -> str:
    return str(p(f"A {mood} line: ", gen(max_tokens=6, name=mood), "\n"))


@program
def poem(p: lp.Prompt, moods: list[str], chosen: int) -> list[Any]:
    p("Poems about the sea and the moon.\n")
    branches = p.fork(line, moods)
    p.adopt(branches[chosen])
    p("Title: ", gen(max_tokens=3, name="title"))
    return branches


def test_branches_go_on_from_here_and_one_is_adopted(model: RandomModel) -> None:
    run = poem.run(["calm", "wild", "sad"], 1, model=model)
    branches = run.value
    title = run.captures["title"].text

    assert [b.text for b in branches] == [
        f"A {mood} line: {b.value}\n" for mood, b in zip(("calm", "wild", "sad"), branches, strict=True)
    ]
    assert run.text == f"Poems about the sea and the moon.\n{branches[1].text}Title: {title}"
    assert list(run.captures) == ["wild", "title"]
    assert [run.text[slice(*c.span)] for c in run.captures.all()] == [c.text for c in run.captures.all()]
    assert branches[0].captures["calm"].text == branches[0].value
    assert run.usage.requests == 4
    assert sum(b.usage.requests for b in branches) == 3


def test_a_branch_gives_what_the_program_alone_would_give(model: RandomModel) -> None:
    @program(model=model)
    def alone(p: lp.Prompt, mood: str) -> str:
        p("Poems about the sea and the moon.\n")
        value = line(p, mood)
        p("Title: ", gen(max_tokens=3, name="title"))
        return value

    for chosen, mood in enumerate(("calm", "wild")):
        run, expected = poem.run(["calm", "wild"], chosen, model=model), alone.run(mood)

        assert run.text == expected.text
        assert [c.tokens for c in run.captures.all()] == [c.tokens for c in expected.captures.all()]


def test_prompt_tokens_computed_are_the_edges_of_the_tree(spying: Any) -> None:
    """A tree of thought: 3 branches of 2 branches each. Every distinct prefix is computed once."""

    @program
    def tree(p: lp.Prompt, boundary: Any = None) -> None:
        p("the sea and the moon " * 20)

        def outer(p: lp.Prompt, i: int) -> list[Any]:
            p(f"Thought {i}: ", gen(regex="[a-z]{4}"), "\n")
            return p.fork(lambda p, j: p(f"Next {j}: ", gen(regex="[a-z]{4}"), "\n"), range(2))

        p.fork(outer, range(3))

    spy = spying(RandomModel(5))
    run = tree.run(model=spy, decoder=lp.Sample(seed=1))
    edges = {tuple(request.ids[: n + 1]) for request in spy.requests for n in range(len(request.ids))}

    assert len(spy.requests) == 9
    assert run.usage.requests == 9
    assert run.usage.prompt_tokens_computed <= len(edges)  # less: generated tokens are in the cache already
    assert len(edges) < run.usage.prompt_tokens / 3
    spy.engine.check()


def test_branches_are_appended_in_their_order() -> None:
    @program
    def all_of_them(p: lp.Prompt) -> Any:
        p("Lines:\n")
        branches = p.fork(line, ["calm", "wild"], concurrency=1)
        p("=\n")
        values = p.append(branches, separator="-\n")
        p("end ", gen())
        return values

    model = Scripted(["a", "bb", "."])
    run = all_of_them.run(model=model)

    assert run.value == ("a", "bb")
    assert run.text == "Lines:\n=\nA calm line: a\n-\nA wild line: bb\nend ."
    assert [run.text[slice(*c.span)] for c in run.captures.all()] == ["a", "bb", "."]
    assert model.prompts[-1] == run.text.removesuffix(".")
    assert replayed(tuple(e for e in run.trace if not e.branch)) == run.text


def test_appended_holes_without_names_are_numbered() -> None:
    @program
    def numbers(p: lp.Prompt) -> None:
        p(gen(), " ")
        p.append(p.fork(lambda p, i: p(i, gen(), " ", gen(name="x"), " "), range(2), concurrency=1))
        p.append(p.fork(lambda p, i: p(gen(), " "), [0])[0])
        p(gen())

    run = numbers.run(model=Scripted("abcdefg"))

    assert [(c.name, c.text) for c in run.captures.all()] == [
        ("0", "a"), ("1", "b"), ("x", "c"), ("3", "d"), ("x", "e"), ("5", "f"), ("6", "g")
    ]  # fmt: skip


def test_appended_text_keeps_its_spelling(spy: Any) -> None:
    @program(model=spy)
    def joined(p: lp.Prompt) -> None:
        p("Start.\n")
        p.append(p.fork(line, ["calm", "wild"]))
        p("end ", gen(max_tokens=2))

    run = joined.run(decoder=lp.Sample(seed=4))
    ids = list(spy.requests[-1].ids)

    for name in ("calm", "wild"):
        tokens = list(run.captures[name].tokens)
        assert any(ids[i : i + len(tokens)] == tokens for i in range(len(ids)))


def test_the_trace_holds_all_branches() -> None:
    @program
    def nested(p: lp.Prompt) -> None:
        def inner(p: lp.Prompt, i: int) -> None:
            p("i", i)

        def outer(p: lp.Prompt, i: int) -> None:
            p("o", i)
            p.adopt(p.fork(inner, range(2))[i])

        p("a")
        p.fork(outer, range(1))
        p.adopt(p.fork(outer, range(2))[1])
        p("z")

    run = nested.run(model=Scripted([]))
    paths = {event.branch for event in run.trace}
    texts = {path: replayed(tuple(e for e in run.trace if e.branch == path)) for path in paths}
    forks = [(event.branch, event.index, event.branches) for event in run.trace if isinstance(event, lp.Fork)]

    assert run.text == texts[()] == "ao1i1z"
    assert forks == [((), 0, 1), ((0, 0), 0, 2), ((), 1, 2), ((1, 0), 0, 2), ((1, 1), 0, 2)]
    assert {(1, 1, 0, 0), (1, 1, 0, 1), (0, 0), (1, 0)} < paths
    assert texts[(1, 1, 0, 0)] == "i0"


def test_each_branch_has_its_own_seed(model: RandomModel) -> None:
    @program(model=model)
    def draws(p: lp.Prompt, concurrency: int) -> list[Any]:
        p("x ")

        def draw(p: lp.Prompt, _: int) -> Any:
            return p(gen(regex="[a-z]{10}"))

        first = p.fork(draw, range(6), concurrency=concurrency)
        second = p.fork(draw, range(6), concurrency=concurrency)
        return [b.value for b in first + second]

    sample = lp.Sample(temperature=3, seed=8)

    assert len(set(draws(6, decoder=sample))) == 12
    assert draws(1, decoder=sample) == draws(6, decoder=sample)
    assert len(set(draws(6))) == 1  # argmax


def test_branches_run_together() -> None:
    everyone = threading.Barrier(8, timeout=30)

    @program
    def meets(p: lp.Prompt) -> None:
        p.fork(lambda p, i: everyone.wait(), range(8))

    meets(model=Scripted([]))
    all_of_them, fresh = threading.Barrier(16, timeout=30), RandomModel(3)

    @program(model=fresh)
    def batched(p: lp.Prompt) -> None:
        p("go ")
        p.fork(lambda p, i: (all_of_them.wait(), p(i, gen(regex="[a-z]{20}", max_tokens=20))), range(16))

    batched()

    assert fresh.engine.stats.steps < 16 * 4


def test_errors_are_raised_after_the_others_were_cancelled(model: RandomModel) -> None:
    ended: list[int] = []
    begun = threading.Barrier(4, timeout=60)

    def branch(p: lp.Prompt, i: int) -> None:
        begun.wait()
        try:
            p("n", gen(max_tokens=2))
            if i == 1:
                raise ValueError("one")
            while True:
                p(gen(max_tokens=50))
        finally:
            ended.append(i)

    @program(model=model)
    def fails(p: lp.Prompt) -> str:
        p("go ")
        with pytest.raises(ValueError, match="one") as caught:
            p.fork(branch, range(4))
        assert caught.value.__notes__ == ["in branch 1 of p.fork"]
        return str(p("on ", gen(max_tokens=3)))

    run = fails.run()

    assert sorted(ended) == [0, 1, 2, 3]
    assert run.text == f"go on {run.value}"
    assert run.usage.requests >= 2
    assert not [t for t in threading.enumerate() if t.name.startswith("lmprog-fork")]


def test_errors_may_be_returned() -> None:
    def branch(p: lp.Prompt, i: int) -> int:
        p("n", i)
        if i == 1:
            raise ValueError("one")
        return i

    @program
    def returns(p: lp.Prompt) -> list[Any]:
        branches = p.fork(branch, range(3), errors="return")
        for use in (p.adopt, p.append):
            with pytest.raises(lp.ProgramError, match="branch 1 failed"):
                use(branches[1])
        p.adopt(branches[2])
        return branches

    run = returns.run(model=Scripted([]))

    assert [(b.value, repr(b.error)) for b in run.value] == [(0, "None"), (None, "ValueError('one')"), (2, "None")]
    assert run.text == "n2"


def test_chats_fork_between_turns(spy: Any) -> None:
    def answer(p: lp.Prompt, question: str) -> Any:
        p.user(question)
        with p.assistant():
            return p(gen(max_tokens=6, name=question))

    @program(model=spy)
    def chat(p: lp.Prompt, adopted: bool) -> Any:
        p.system("Be brief.")
        branches = p.fork(answer, ["Why?", "How?"])
        if adopted:
            p.adopt(branches[0])
        else:
            p.append(branches)
        return answer(p, "When?")

    for adopted in (True, False):
        run = chat.run(adopted, decoder=lp.Sample(seed=6))
        questions = ["Why?", "When?"] if adopted else ["Why?", "How?", "When?"]

        assert [m["content"] for m in run.messages[1::2]] == questions
        assert [m["role"] for m in run.messages[1:]] == ["user", "assistant"] * len(questions)
        assert replayed(tuple(e for e in run.trace if not e.branch)) == run.text
        assert [run.text[slice(*c.span)] for c in run.captures.all()] == [c.text for c in run.captures.all()]
        ids = list(spy.requests[-1].ids)
        for question in questions[:-1]:
            tokens = list(run.captures[question].tokens)
            assert any(ids[i : i + len(tokens)] == tokens for i in range(len(ids)))


def test_chats_fork_inside_of_a_turn() -> None:
    @program
    def chat(p: lp.Prompt) -> None:
        p.user("x")
        with p.assistant():
            p("It is ")
            branches = p.fork(lambda p, word: p(word, gen()), ["very ", "not "], concurrency=1)
            p.adopt(branches[1])
            p(".")

    assert chat.run(model=Scripted("ab")).messages[1]["content"] == "It is not b."


def test_branches_in_attempts_are_excluded_and_run_again(model: RandomModel) -> None:
    @program(model=model)
    def chosen(p: lp.Prompt, otherwise: Any, wanted: int) -> list[Any]:
        p("pick\n")
        seen: list[Any] = []
        for a in p.attempts(3, feedback="none", otherwise=otherwise):
            with a:
                branches = p.fork(lambda p, i: p(i, ": ", select(["a", "b", "c"]), "\n"), range(2))
                seen.append(p.adopt(branches[0]))
                a.suggest(len(seen) == wanted)
        p("then ", gen(max_tokens=2))
        return seen

    assert len(set(chosen("last", 3))) == 3
    run = chosen.run("best", 2)
    assert len(run.value) == 2
    run = chosen.run("best", 9)  # all equally bad: the last one
    assert len(run.value) == 3


def test_the_best_attempt_runs_again_with_its_branches() -> None:
    @program
    def best(p: lp.Prompt) -> Any:
        kept = None
        for a in p.attempts(2, otherwise="best", feedback="none"):
            with a:
                branches = p.fork(lambda p, i: p(i, gen(), "\n"), range(2), concurrency=1)
                kept = p.adopt(branches[1])
                a.suggest(kept == "never", weight=1 + a.number)
        return kept

    run = best.run(model=Scripted("abcd"))

    assert (run.value, run.text, run.usage.requests) == ("b", "1b\n", 4)


def test_a_check_of_an_outer_attempt_ends_the_fork() -> None:
    @program
    def outer(p: lp.Prompt) -> int:
        for a in p.attempts(3):
            with a:
                p.fork(lambda p, a: a.check(a.number == 2), [a] * 3, errors="return")
                return a.number
        return -1

    assert outer(model=Scripted([])) == 2


def test_cancelling_a_run_cancels_its_branches(model: RandomModel) -> None:
    ended: list[int] = []
    begun = threading.Barrier(5, timeout=60)  # two branches, the two branches of the others, the row that fails

    def endless(p: lp.Prompt, i: int) -> None:
        try:
            if not i % 2:
                begun.wait()
            if i % 2:
                p.fork(endless, [i - 1])
            while True:
                p(gen(max_tokens=50))
        except lp.RunCancelled:
            ended.append(i)
            raise

    @program(model=model)
    def forks(p: lp.Prompt) -> None:
        p.fork(endless, range(4), errors="return")

    @program(model=model)
    def rows(p: lp.Prompt, i: int) -> None:
        if i:
            begun.wait()
            raise ValueError("stop")
        forks(p)

    with pytest.raises(ValueError, match="stop"):
        rows.map([0, 1], concurrency=2)

    assert sorted(ended) == [0, 0, 1, 2, 2, 3]
    model.engine.check()


@pytest.mark.parametrize("chat", [False, True])
def test_branches_look_ahead(chat: bool, model: RandomModel) -> None:
    """Several holes of a branch are one request, and give what they give one by one."""

    def holes(p: lp.Prompt, i: int) -> Any:
        kind = p(f"{i} kind: ", select(["a", "b", "c"]), "\n")
        if kind == "a":
            return p("n: ", gen(int, ge=0, le=99), " ", gen(max_tokens=4), "\n")
        return p("word: ", gen(regex="[a-z]{2,5}"), " ", gen(regex="[0-9]{2}"), "\n")

    def turns(p: lp.Prompt, i: int) -> Any:
        p.user(f"Question {i}?")
        with p.assistant():
            return holes(p, i)

    @program(model=model)
    def forks(p: lp.Prompt) -> Any:
        if not chat:
            p("The sea.\n")
        branches = p.fork(turns if chat else holes, range(5))
        p.append(branches)
        return [branch.value for branch in branches]

    for decoder in (lp.Argmax(), lp.Sample(temperature=1.5, seed=4)):
        ahead, single = (forks.run(decoder=decoder, preview=preview) for preview in (True, False))

        assert ahead.value == single.value
        assert ahead.text == single.text
        assert [c.tokens for c in ahead.captures.all()] == [c.tokens for c in single.captures.all()]
        assert (ahead.usage.requests, single.usage.requests) == (5, 15)


def test_branches_that_check_an_attempt_around_them(model: RandomModel) -> None:
    @program(model=model)
    def outer(p: lp.Prompt) -> Any:
        p("go\n")
        numbers: list[int] = []

        def branch(p: lp.Prompt, a: lp.Attempt) -> Any:
            first = p("n: ", gen(regex="[a-z]{3}"), "\n")
            a.check(a.number == 2 and first, "again")
            return first, p("m: ", gen(regex="[a-z]{3}"), "\n")

        for a in p.attempts(3, feedback="none"):
            with a:
                numbers.append(a.number)
                value = p.adopt(p.fork(branch, [a])[0])
        return numbers, value, a.reasons

    assert outer(preview=True) == outer(preview=False)
    assert outer()[0] == [0, 1, 2]


def _gone_on(p: lp.Prompt) -> None:
    branches = p.fork(lambda p, i: p("b"), range(2))
    p("x")
    p.adopt(branches[0])


def _two(p: lp.Prompt) -> None:
    branches = p.fork(lambda p, i: p("b"), range(2))
    p.adopt(branches[0])
    p.adopt(branches[1])


def _parents_prompt(p: lp.Prompt) -> None:
    p.fork(lambda q, i: p("b"), range(2))


def _after_its_end(p: lp.Prompt) -> None:
    kept: list[Any] = []
    p.fork(lambda q, i: kept.append(q), range(1))
    kept[0]("x")


def _messages_in_a_role(p: lp.Prompt) -> None:
    branches = p.fork(lambda p, i: p.user("x"), range(1))
    with p.assistant():
        p.append(branches)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (_gone_on, "the run has gone on since the fork"),
        (_two, "the run has gone on since the fork"),
        (_parents_prompt, "p waits for its branches"),
        (_after_its_end, "this run is over"),
        (_messages_in_a_role, "cannot be appended inside of the assistant role"),
        (lambda p: p.fork(line, [], errors="ignore"), "errors is"),
        (lambda p: p.fork(line, [], concurrency=0), "concurrency is 1 or more"),
        (lambda p: p.adopt("x"), "take branches that p.fork returned"),
        (lambda p: p.append(program(lambda p: p.fork(line, ["a"])).run(model=Scripted("x")).value), "another prompt"),
    ],
)
def test_wrong_use(body: Any, message: str) -> None:
    with pytest.raises(lp.ProgramError, match=message):
        program(body)(model=Scripted([]))


def test_no_branches() -> None:
    assert program(lambda p: p.append(p.fork(line, []))).run(model=Scripted([])).text == ""


def test_records_of_branches(model: RandomModel) -> None:
    run = poem.run(["calm", "wild"], 0, model=model, trace=True)
    kept = [token for token in run.tokens if not token.retracted]

    assert [(r.hole, r.retracted) for r in run.requests] == [("calm", False), ("title", False), ("wild", True)]
    for capture in run.captures.all():
        spans = [t.span for t in kept if run.requests[t.request].hole == capture.name]
        assert (spans[0][0] <= capture.span[0], spans[-1][1]) == (True, capture.span[1])


def test_outlines_show_all_branches() -> None:
    assert poem.prompt(["calm"], 0) == (
        "Poems about the sea and the moon.\n⟨branch 0: A calm line: ⟨calm: str⟩\n⟩"
        "A calm line: ⟨calm: str⟩\nTitle: ⟨title: str⟩"
    )
    assert program(lambda p: p.append(p.fork(line, ["calm"])[0])).prompt().count("A calm line") == 2
