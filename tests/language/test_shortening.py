"""Slots that give way when the context overflows."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

import lmprog as lp
from lmprog import ContextOverflow, gen, program, select
from lmprog.slot_values import shorter
from lmprog.testing import RandomModel, Scripted

CONTEXT = 160
MODEL = RandomModel(0, context=CONTEXT)
WORDS = " ".join(random.Random(0).choices(["alpha", "beta", "gamma", "delta"], k=200))
SHOTS = [{"question": f"word number {i}", "answer": f"answer {i}"} for i in range(40)]


@program(model=MODEL)
def answer(p: lp.Prompt, document: str, notes: str = "") -> Any:
    p("Document: ", lp.slot("document", document, shorten=True), "\n", lp.slot("notes", notes, shorten="start"))
    a = p("\nFixed text that stays.\nA: ", gen(regex="[a-z]{1,8}", max_tokens=8, name="a"))
    return a, p("\nB: ", gen(regex="[a-z]{1,8}", max_tokens=8, name="b"))


def size(text: str) -> int:
    """In tokens, with that of the beginning."""
    return 1 + len(MODEL.vocab.encode(text.encode()))


def kept(run: lp.Run[Any], name: str = "document") -> str:
    return run.text[slice(*run.slots[name][0])]


def test_the_end_of_a_slot_gives_way_and_fixed_text_does_not() -> None:
    run = answer.run(WORDS)

    assert WORDS.startswith(kept(run) + " ")
    assert run.text.startswith(f"Document: {kept(run)}\n\nFixed text that stays.\nA: ")
    prompt = size(run.text[: run.captures["b"].span[0]])
    assert CONTEXT - 8 - 8 <= prompt <= CONTEXT - 8  # as much as there is room for, but for a word
    assert {"document": (len(kept(run)), len(WORDS))} == run.shortened


def test_it_is_as_if_the_text_had_been_short() -> None:
    run = answer.run(WORDS)
    short = answer.run(kept(run))

    assert (short.text, short.value, short.slots) == (run.text, run.value, run.slots)
    assert {} == short.shortened
    assert [capture.tokens for capture in short.captures.all()] == [capture.tokens for capture in run.captures.all()]


def test_what_was_taken_back_is_in_the_trace() -> None:
    retract = next(event for event in answer.run(WORDS).trace if isinstance(event, lp.Retract))

    assert retract.reason.startswith(f"the context overflowed: document from {len(WORDS)} to ")
    assert retract.removed.startswith(f"Document: {WORDS}")
    text = ""
    for event in answer.stream(WORDS):
        text = text[: event.span[0]] + event.text
    assert answer.run(WORDS).text == text


@pytest.mark.parametrize("preview", [True, False])
def test_all_ways_of_running(preview: bool) -> None:
    expected = answer.run(WORDS, preview=preview)
    rows = [WORDS, WORDS[:60], (WORDS, WORDS)]

    assert [expected.value, answer(WORDS[:60]), answer(WORDS, WORDS)] == answer.map(rows)
    assert expected.text == answer.samples(1, WORDS, preview=preview)[0].text
    changed = answer.with_(document=WORDS).run("short", preview=preview)
    assert (expected.text, expected.shortened) == (changed.text, changed.shortened)


def test_the_longest_gives_way_first() -> None:
    run = answer.run(WORDS, WORDS[:40])
    assert (WORDS[:40], ["document"]) == (kept(run, "notes"), [*run.shortened])

    run = answer.run(WORDS, WORDS)
    assert abs(size(kept(run)) - size(kept(run, "notes"))) <= 4
    assert WORDS.endswith(kept(run, "notes"))


def test_whole_examples_give_way_from_the_last() -> None:
    @program(model=MODEL)
    def shots(p: lp.Prompt) -> None:
        p(lp.examples(SHOTS, shorten=True), "Q: ", gen(max_tokens=4))

    run = shots.run()
    left, of = run.shortened["examples"]
    assert (40, lp.examples(SHOTS[:left])) == (of, kept(run, "examples"))
    assert size(str(lp.examples(SHOTS[: left + 1])) + "Q: ") > CONTEXT - 4 >= size(run.text[: run.captures[0].span[0]])


def test_without_room_for_fixed_text_it_is_an_error_that_names_the_slots() -> None:
    @program(model=MODEL)
    def full(p: lp.Prompt) -> None:
        p(WORDS, lp.slot("a", WORDS, shorten=True), lp.slot("b", "x", shorten=True), gen(max_tokens=8))

    with pytest.raises(
        ContextOverflow,
        match=rf"prompt tokens and max_tokens=8 make \d+, but the model's context is {CONTEXT}, and nothing is left "
        "of the slots that give way, 'a', 'b'",
    ):
        full.run()


def test_other_slots_are_never_cut() -> None:
    @program(model=MODEL)
    def whole(p: lp.Prompt) -> None:
        p(lp.slot("a", WORDS), lp.slot("b", "some more", shorten=True), gen(max_tokens=8))

    with pytest.raises(ContextOverflow, match="'b'"):
        whole.run()


def test_effects_do_not_happen_twice() -> None:
    done: list[str] = []

    @program(model=MODEL)
    def search(p: lp.Prompt) -> str:
        word = p("Query: ", gen(regex="[a-z]{2,5}", name="query"), "\n")
        p.effect(done.append, word)
        found = p.effect(lambda: WORDS)
        p("Found: ", lp.slot("found", found, shorten=True))
        return str(p("\nA: ", gen(regex="[a-z]{1,8}", max_tokens=8)))

    run = search.run()
    assert [run.captures["query"].text] == done
    assert 0 < run.shortened["found"][0] < len(WORDS)
    assert run.text.startswith(f"Query: {done[0]}\nFound: {kept(run, 'found')}\nA: ")
    done.clear()
    assert [run.value] * 2 == search.map([()] * 2)
    assert 2 == len(done)


def test_a_chat() -> None:
    words, model = WORDS[:300], Scripted(["yes", "no"] * 2, context=220)

    @program(model=model)
    def chat(p: lp.Prompt) -> Any:
        p.system("Be brief.")
        p.user("About: ", lp.slot("document", words, shorten="middle"))
        first = p.assistant(gen(regex="[a-z]+", max_tokens=8))
        p.user("Sure?")
        return first, p.assistant(gen(regex="[a-z]+", max_tokens=8))

    run = chat.run()
    start, end = kept(run).split(" … ")
    assert words.startswith(start)
    assert words.endswith(end)
    assert f"About: {kept(run)}" == run.messages[1]["content"]
    assert 4 == len(run.messages) - 1


def test_a_template() -> None:
    source = 'Read: {{ slot("document", text, shorten=true) }}\nA: {{ gen("a", regex="[a-z]{1,8}", max_tokens=8) }}'
    run = lp.Template(source, model=MODEL).run(text=WORDS)

    assert WORDS.startswith(kept(run) + " ")
    assert f"Read: {kept(run)}\nA: {run.value['a']}" == run.text
    assert CONTEXT >= size(run.text)


def test_text_that_is_not_given_to_p_as_it_is() -> None:
    @program(model=MODEL)
    def formatted(p: lp.Prompt) -> str:
        document = lp.slot("document", WORDS, shorten=True)
        p(f"<{document}>\nA: ", gen(regex="[a-z]{1,8}", max_tokens=8))
        return str(document)

    run = formatted.run()
    assert run.text.startswith(f"<{run.value}>")
    assert {"document": (len(run.value), len(WORDS))} == run.shortened


def test_programs_inside_and_slots_that_are_asked_for_again() -> None:
    @program
    def quoted(p: lp.Prompt, text: str) -> None:
        p("> ", lp.slot("passage", text, shorten=True), "\n")

    @program(model=MODEL)
    def several(p: lp.Prompt) -> None:
        for text in (WORDS, "short one", WORDS[::-1]):
            quoted(p, text)
        p(gen(regex="[a-z]{1,8}", max_tokens=8))

    run = several.run()
    first, second, third = [run.text[slice(*span)] for span in run.slots["quoted.passage"]]
    assert ("short one", True, True) == (second, WORDS.startswith(first), WORDS[::-1].startswith(third))
    assert ["quoted.passage"] == [*run.shortened]


def test_holes_without_a_budget_and_choices() -> None:
    @program(model=MODEL)
    def free(p: lp.Prompt) -> None:
        p(lp.slot("document", WORDS, shorten=True), "\nA: ", gen(regex="[a-z ]+"))

    @program(model=MODEL)
    def choice(p: lp.Prompt) -> None:
        p(lp.slot("document", WORDS, shorten=True), "\nA: ", select(["yes", "perhaps"]))

    assert CONTEXT - CONTEXT // 4 >= size(free.run().text[: free.run().captures[0].span[0]])
    assert CONTEXT // 2 < size(choice.run().text) <= CONTEXT


def test_scores() -> None:
    @program(model=MODEL)
    def scored(p: lp.Prompt) -> str:
        p(lp.slot("document", WORDS, shorten=True), "\nA: ")
        return str(p.score(["yes", "no"]).best)

    run = scored.run()
    assert run.value in ("yes", "no")
    assert CONTEXT >= size(run.text)


def test_attempts_and_marks() -> None:
    @program(model=MODEL)
    def again(p: lp.Prompt) -> Any:
        p(lp.slot("document", WORDS, shorten=True), "\n")
        for a in p.attempts(3, otherwise="last"):
            with a:
                word = p("A: ", gen(regex="[a-z]{1,8}", max_tokens=8), "\n")
                a.check(len(word) > 100, "short")
        mark = p.mark()
        p("gone")
        p.reset(mark)
        return word

    run = again.run()
    assert f"{kept(run)}\nA: {run.value}\n" == run.text


def test_branches_and_infilling() -> None:
    @program(model=MODEL)
    def forks(p: lp.Prompt) -> None:
        p(lp.slot("document", WORDS[:200], shorten=True), "\n")
        word = gen(regex="[a-z]{1,8}", max_tokens=8)
        p.append(p.fork(lambda q, text: q(lp.slot("part", text, shorten=True), word), [WORDS, "short "]))

    @program(model=MODEL)
    def filled(p: lp.Prompt) -> Any:
        p(lp.slot("document", WORDS, shorten=True), "\n")
        return p.infill("f([[a]])", a=gen(regex="[a-z]{1,3}"), max_tokens=12)

    run = forks.run()
    document, (first, second) = kept(run), [run.text[slice(*span)] for span in run.slots["part"]]
    assert (True, True, "short ") == (WORDS.startswith(document), WORDS.startswith(first), second)
    assert {"document", "part"} == run.shortened.keys()
    assert run.text == forks.run().text
    assert 0 < filled.run().shortened["document"][0] < len(WORDS)


def test_effects_of_branches_do_not_happen_twice() -> None:
    done: list[int] = []

    @program(model=MODEL)
    def forks(p: lp.Prompt) -> None:
        p(lp.slot("document", WORDS[:100], shorten=True), "\n")

        def branch(q: lp.Prompt, text: str) -> None:
            q.effect(done.append, len(text))
            q(text, gen(max_tokens=8))

        p.fork(branch, [WORDS[:400], ""], concurrency=1)

    with pytest.raises(ContextOverflow, match="but branches have had effects, which are not to happen again"):
        forks.run()
    assert 400 in done
    assert len(done) == len(set(done))


@pytest.mark.parametrize("preview", [True, False])
def test_previews_of_branches_count_for_nothing(preview: bool) -> None:
    @program(model=MODEL)
    def forks(p: lp.Prompt) -> None:
        def branch(q: lp.Prompt, text: str) -> None:
            for hole in "ab":
                q(lp.slot("part", text, shorten=True), gen(regex="[a-z]{1,4}", max_tokens=8, name=hole))

        p.append(p.fork(branch, [WORDS[:500]]))

    run = forks.run(preview=preview)
    assert 2 * 500 == run.shortened["part"][1]
    assert run.shortened["part"][0] == sum([end - begin for begin, end in run.slots["part"]])


def test_branches_that_overflow_together_are_cut_as_the_first_of_them_asks() -> None:
    @program(model=MODEL)
    def forks(p: lp.Prompt, late: int) -> Any:
        p(lp.slot("document", WORDS[:300], shorten=True))
        hole = gen(regex="[a-z]{1,4}", max_tokens=4)

        def branch(q: lp.Prompt, i: int) -> None:
            time.sleep(0.1 * (i == late))
            q(hole, "." * 99 if i else lp.slot("part", WORDS[:300], shorten=True), hole)

        p.append(p.fork(branch, [0, 1])[:1])

    assert forks.run(0).text == forks.run(1).text


def test_attempts_that_are_run_again_are_judged_once() -> None:
    @program(model=MODEL)
    def again(p: lp.Prompt) -> None:
        for a in p.attempts(2, otherwise="last"):
            with a:
                a.check(p(gen(regex="[a-z]{1,4}", max_tokens=8)) == "", "no")
        p(lp.slot("document", WORDS, shorten=True), gen(max_tokens=8))

    assert [(0, 0), (0, 1)] == [(verdict.block, verdict.number) for verdict in again.run().verdicts]


def test_attempts_that_are_taken_in_the_end_are_as_short_as_when_they_were_made() -> None:
    @program(model=MODEL)
    def best(p: lp.Prompt) -> Any:
        for a in p.attempts(3, feedback="none", otherwise="best"):
            with a:
                p(lp.slot("document", WORDS, shorten=True), "\nA: ")
                word = p(gen(regex="[a-z]{1,8}", max_tokens=8))
                a.suggest(False, "no", weight=1 + a.number)
        return word

    run = best.run()
    assert CONTEXT >= size(run.text)
    assert {"document": (len(kept(run)), len(WORDS))} == run.shortened
    assert run.value == best.with_(document=kept(run))()


def test_saved_runs_say_it(tmp_path: Path) -> None:
    run = answer.run(WORDS)
    run.save(tmp_path / "run.json")

    assert run.shortened == lp.Run.load(tmp_path / "run.json").shortened


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_fit(seed: int) -> None:
    """Whatever stands where: it fits, fixed text is there, and what is left is the beginning of what was given."""
    rng = random.Random(seed)
    texts = [WORDS[: rng.choice([0, 5, 80, 600])] for _ in range(4)]
    holes = [rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.5, True]

    @program(model=MODEL)
    def mixed(p: lp.Prompt) -> None:
        for i, text in enumerate(texts):
            p(f"[{i}]", lp.slot(f"s{i}", text, shorten=True))
            if holes[i]:
                p("A: ", gen(regex="[a-z]{1,8}", max_tokens=8), "\n")

    run = mixed.run()
    assert size(run.text) <= CONTEXT
    for i, text in enumerate(texts):
        assert f"[{i}]" in run.text
        assert text.startswith(kept(run, f"s{i}"))


@pytest.mark.parametrize(
    ("left", "part", "expected"),
    [
        (15, True, "hello big world"),
        (11, "end", "hello big"),
        (9, "end", "hello big"),
        (3, "end", "hel"),
        (0, "end", ""),
        (7, "start", "world"),
        (9, "start", "big world"),
        (3, "start", "rld"),
        (0, "start", ""),
        (11, "middle", "hello … world"),
        (0, "middle", ""),
    ],
)
def test_texts_are_cut_between_words(left: int, part: Any, expected: str) -> None:
    assert expected == shorter("hello big world", left, part)


def test_unknown_ways_of_shortening() -> None:
    with pytest.raises(lp.SlotError, match='shorten is True, False, "start", "middle" or "end", not 5'):
        lp.slot("a", "", shorten=5)  # type: ignore[arg-type]
