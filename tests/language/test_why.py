"""Which parts of a prompt cause a field: against exact enumeration, and planted causes."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

import lmprog as lp
from lmprog import gen, program, select
from lmprog.cli import app
from lmprog.run import Run
from lmprog.testing import RandomModel, Scripted, TableModel
from lmprog.why.drawing import others, texts_of

TOKENS = ["a", "b", "c", "d", "X", "Y", " ", "p", "q", "\n", "pq"]
FLAT = np.ones(len(TOKENS) + 1)


def planted(cause: Callable[[list[str]], bool], seed: int = 0, sure: float = 30.0) -> TableModel:
    """Every context has weights of its own; where the cause is there, p is likelier than q, and else q."""

    def probs(prefix: tuple[int, ...]) -> Sequence[float]:
        weights = np.random.default_rng((seed, *prefix)).uniform(0.5, 1.5, len(TOKENS) + 1)
        there = cause([TOKENS[i] for i in prefix])
        weights[TOKENS.index("p")] *= sure if there else 1
        weights[TOKENS.index("q")] *= 1 if there else sure
        found: list[float] = (weights / weights.sum()).tolist()
        return found

    return TableModel(TOKENS, probs)


def chosen(model: TableModel, text: str) -> Run[Any]:
    @program(model=model)
    def ask(p: Any) -> None:
        p(text, select(["p", "q"], name="kind"))

    return ask.run()


# -- what an effect is -------------------------------------------------------------------------------------------------


def enumerated(model: TableModel, text: str, value: str, at: int) -> float:
    """The effect of the token at a place: the program is run on each text that it could be instead."""

    def share(ids: Sequence[int]) -> float:
        dist = chosen(model, "".join([TOKENS[i] for i in ids])).captures["kind"].dist
        return math.log(dist.probs[value])

    ids = [TOKENS.index(c) for c in text]
    row = np.array(next_probs(model, ids[:at]))[: len(TOKENS)]
    row[ids[at]] = 0.0
    row /= row.sum()
    return sum([weight * (share(ids) - share([*ids[:at], r, *ids[at + 1 :]])) for r, weight in enumerate(row)])


def next_probs(model: TableModel, ids: Sequence[int]) -> list[float]:
    from lmprog.runtime.request import Ask, Request

    bos = model.bos
    assert bos is not None
    request = Request([bos, *ids], 0, asks=[Ask(1 + len(ids), np.arange(len(TOKENS) + 1, dtype=np.int32))])
    (found,) = model.submit(request).result().answers
    return list(np.exp(found))


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_is_the_expectation_over_all_replacements(seed: int) -> None:
    model, text = planted(lambda before: "X" in before, seed), "abXcd"
    run = chosen(model, text)
    exact = [enumerated(model, text, run.captures["kind"].text, at) for at in range(len(text))]
    why = run.why("kind", unit="token", samples=4000)

    assert list(text) == [part.text for part in why.parts]
    for expected, part in zip(exact, why.parts, strict=True):
        assert part.interval is not None
        low, high = part.interval
        assert abs(expected - part.effect) < 4 * (high - low) / 1.96 / 2 + 1e-9
        assert high - low < 0.2
    dist = run.captures["kind"].dist
    assert math.isclose(math.log(dist.probs[why.value]), why.logprob, abs_tol=1e-9)


def test_deletion_is_the_difference_itself() -> None:
    model, text = planted(lambda before: "X" in before), "abXcd"
    run = chosen(model, text)
    why = run.why("kind", unit="token", replacement="delete")

    value = run.captures["kind"].text
    for at, part in enumerate(why.parts):
        without = chosen(model, text[:at] + text[at + 1 :]).captures["kind"].dist
        assert math.isclose(why.logprob - math.log(without.probs[value]), part.effect, abs_tol=1e-9)
        assert part.interval is None
    assert 1 == why.samples


def test_no_replacement_is_the_same_text() -> None:
    model = RandomModel(0)
    texts = texts_of(model.vocab)
    for token in texts[::20].tolist():
        weights = others(model.vocab, texts, token, [token], None)
        same = [i for i, t in enumerate(texts.tolist()) if model.vocab.token_bytes[t] == model.vocab.token_bytes[token]]
        assert same
        assert 0 == weights[same].sum()
        assert math.isclose(1, weights.sum())


def test_what_nothing_else_could_come_for_is_replaced_evenly() -> None:
    texts = np.arange(3, dtype=np.int32)
    vocab = TableModel(["a", "b", "c"], lambda _: [1, 0, 0, 0]).vocab

    assert [0, 0.5, 0.5] == others(vocab, texts, 0, [0], np.array([0.0, -math.inf, -math.inf])).tolist()
    assert [0, 0, 1] == others(vocab, texts, 0, [0, 1], np.zeros(3)).tolist()
    assert [0, 0.5, 0.5] == others(vocab, texts, 0, [0, 1, 2], np.zeros(3)).tolist()


def test_impossible_values_count_as_one_in_a_million_millions() -> None:
    def probs(prefix: tuple[int, ...]) -> Sequence[float]:
        there = TOKENS.index("X") in prefix
        return [(token == ("p" if there else "q")) * 0.5 + (token == "a") * 0.5 for token in TOKENS] + [0]

    why = chosen(TableModel(TOKENS, probs), "aXa").why("kind")

    assert ("X", "p", 0.0) == (why.top(1)[0].text, why.value, why.logprob)
    assert math.isclose(12 * math.log(10), why.top(1)[0].effect)


# -- planted causes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("at", [0, 7, 15])
@pytest.mark.parametrize("unit", ["auto", "token", "word"])
def test_the_planted_token_comes_first(seed: int, at: int, unit: Any) -> None:
    """Among decoys: tokens that come again and again, such that look like it, and those next to the answer."""
    letters = np.random.default_rng(seed).choice(list("abcdY"), 16)
    letters[at] = "X"
    text = (" " if unit == "word" else "").join(letters)
    why = chosen(planted(lambda before: "X" in before, seed), text).why("kind", unit=unit, seed=seed)

    (first,) = why.top(1)
    assert "X" == first.text.strip()
    assert text.index("X") == first.span[0] + len(first.text) - 1
    assert first.effect > 2
    assert all(part.effect < 1 for part in why.parts if part is not first)


@pytest.mark.parametrize("replacement", ["model", "uniform", "delete"])
def test_a_cause_at_a_place(replacement: Any) -> None:
    """Only the third token matters, as far away as it is."""
    why = chosen(planted(lambda before: before[2:3] == ["b"]), "aabaababcabbaabb").why("kind", replacement=replacement)

    if replacement == "delete":  # deletion moves what comes behind
        assert (2, 3) in [part.span for part in why.top(3)]
    else:
        assert (2, 3) == why.top(1)[0].span


def test_a_long_text_is_looked_into_where_it_matters() -> None:
    rng = np.random.default_rng(5)
    lines = [" ".join(rng.choice(list("abcd"), 12)) for _ in range(40)]
    lines[23] = "a b c d X b c d a b c d"
    text = "\n".join(lines) + "\n"
    run = chosen(planted(lambda before: "X" in before), text)
    why = run.why("kind", samples=2)

    assert "X" == why.top(1)[0].text.strip()
    assert why.groups
    assert all(group.span[0] <= why.top(1)[0].span[0] < group.span[1] for group in why.groups[:1])
    assert text == "".join([part.text for part in why.parts])
    assert why.usage.requests < 200 < len(text.split())
    assert why.usage.prompt_tokens_computed < 0.7 * why.usage.prompt_tokens


def test_effects_of_causes_that_add_up_foretell_sets_of_parts() -> None:
    def probs(prefix: tuple[int, ...]) -> Sequence[float]:
        weights = FLAT.copy()
        weights[TOKENS.index("p")] = math.exp(sum(i == TOKENS.index("X") for i in prefix))
        found: list[float] = (weights / weights.sum()).tolist()
        return found

    run = chosen(TableModel(TOKENS, probs), "aXbXcXdX")
    fidelity = run.why("kind", check=40, replacement="uniform", samples=20).fidelity

    assert fidelity is not None
    assert fidelity > 0.8


# -- what is measured --------------------------------------------------------------------------------------------------


def test_the_mask_of_the_run_is_the_mask_of_the_measure() -> None:
    @program(model=RandomModel(3))
    def card(p: Any) -> None:
        p("Topic: cats\nn = ", gen(int, ge=100, le=999, name="n"), "\nline: ", gen(regex="[a-z ]{5}", name="line"), ".")

    run = card.run(trace=True)
    for name in ("n", "line"):
        capture, why = run.captures[name], run.why(name, samples=1)
        tokens = [t for t in run.tokens if t.span[0] < capture.span[1] and capture.span[0] < t.span[1]]
        assert "masked" == why.measure
        assert math.isclose(sum(t.masked for t in tokens), why.logprob, abs_tol=1e-6)
        alone = run.why(name, samples=1, masked=False)
        assert "model" == alone.measure
    assert {"n"} == {part.name for part in why.parts if part.kind == "capture"}
    assert run.captures["n"].text == "".join([part.text for part in why.parts if part.kind == "capture"])


class Inner(BaseModel):
    city: Literal["Rome", "Oslo"]


class Card(BaseModel):
    name: Literal["Ann", "Bob"]
    age: int
    tags: list[Literal["x", "y"]]
    inner: Inner | None


@pytest.mark.parametrize("boundary", ["heal", "token"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fields_of_json_are_measured_by_their_own_tokens(seed: int, boundary: Any, tmp_path: Path) -> None:
    @program(model=RandomModel(seed), boundary=boundary)
    def fill(p: Any) -> None:
        p("Topic: cats\nv: ", gen(Card, name="card", max_tokens=200), "\n")

    run = fill.run(trace=True)
    run.save(tmp_path / "run.json")
    loaded = lp.Run.load(tmp_path / "run.json")
    for field in ("card", "card/name", "card/age", "card/tags", "card/inner", "card[0]/name"):
        why, again = run.why(field, samples=1), loaded.why(field, samples=1, model=run.model)
        begin, end = why.span
        tokens = [t for t in run.tokens if t.span[0] < end and begin < t.span[1]]
        assert math.isclose(sum(t.masked for t in tokens), why.logprob, abs_tol=1e-6)
        assert why.value == run.text[begin:end]
        assert run.text.startswith("".join([part.text for part in why.parts]))
        assert {"prompt"} | ({"capture"} if "/" in field else set()) == {part.kind for part in why.parts}
        assert (why.parts, why.logprob) == (again.parts, again.logprob)
    with pytest.raises(lp.RunError, match="there is no /nam in the value of 'card', only: /name, /age"):
        run.why("card/nam")


def test_an_earlier_field_of_the_json_is_a_cause() -> None:
    """What decides the second letter is the first one, and nothing else."""
    tokens = [*"abpq{}:,", '"', "\n"]

    def probs(prefix: tuple[int, ...]) -> Sequence[float]:
        weights = np.random.default_rng((0, *prefix)).uniform(0.5, 1.5, len(tokens) + 1)
        there = ["a"] == [tokens[i] for i in prefix[-8:-7]]
        weights[tokens.index("p" if there else "q")] *= 30
        found: list[float] = (weights / weights.sum()).tolist()
        return found

    @program(model=TableModel(tokens, probs))
    def fill(p: Any) -> None:
        p("aab\nbba\n", gen(regex=r'\{"a":"[ab]","b":"[pq]"\}', name="v"))

    run = fill.run()
    why = run.why("v/b")
    assert ("masked", '"p"' if '"a":"a"' in run.text else '"q"') == (why.measure, why.value)
    assert run.text.index(':"') + 2 == why.top(1)[0].span[0]
    assert '{"a":"' == run.text[8 : why.top(1)[0].span[0]]
    with pytest.raises(lp.RunError, match="this run has: v"):
        run.why("w/b")
    with pytest.raises(lp.RunError, match="is not JSON"):
        chosen(planted(lambda _: True), "abc").why("kind/a")


def test_free_text_is_measured_under_the_model() -> None:
    @program(model=RandomModel(3))
    def line(p: Any) -> None:
        p("Topic: cats\nline:", gen(max_tokens=4, name="line"))

    run = line.run(logprobs=True)
    why = run.why("line", samples=1)

    assert "model" == why.measure
    assert run.captures["line"].logprob is not None
    assert math.isclose(run.captures["line"].logprob, why.logprob, abs_tol=1e-6)


def test_chats_have_parts_of_the_messages_only() -> None:
    @program(model=RandomModel(1))
    def chat(p: Any) -> None:
        p.system("be nice")
        p.user("use a name")
        with p.assistant():
            p("Name: ", select(["Ann", "Bob"], name="who"), "\n")
        p.user("and now?")
        with p.assistant():
            p("So: ", gen(int, ge=0, le=99, name="age"))

    run = chat.run(trace=True)
    why = run.why("age", unit="token", samples=2)

    assert {"be", "nice", "use", "name", "now", "So", run.captures["who"].text} <= set(
        " ".join([part.text for part in run.why("age", unit="sentence", samples=1).parts])
        .replace("?", " ")
        .replace(":", " ")
        .split()
    )
    assert "[user]" not in "".join([part.text for part in why.parts])
    assert all(part.text == run.text[slice(*part.span)] for part in why.parts)
    tokens = [t for t in run.tokens if t.span[1] > run.captures["age"].span[0]]
    assert math.isclose(sum(t.masked for t in tokens), why.logprob, abs_tol=1e-6)


def test_a_branch_that_was_adopted_and_what_was_taken_back() -> None:
    @program(model=RandomModel(2))
    def fork(p: Any) -> None:
        p("a: ")
        mark = p.mark()
        p(select(["one", "two"], name="first"))
        p.reset(mark)
        branches = p.fork(lambda q, word: q(word, " ", select(["math", "poem"], name="kind")), ["is", "was"])
        p.adopt(branches[1])
        p(". ", select(["yes", "no"], name="end"))

    run = fork.run()
    for name in ("kind", "end"):
        why = run.why(name, samples=1)
        assert run.text[: run.captures[name].span[0]] == "".join([part.text for part in why.parts])
        assert math.isclose(math.log(run.captures[name].dist.probs[why.value]), why.logprob, abs_tol=1e-6)


def test_branches_that_were_appended_did_not_read_one_another() -> None:
    def inner(q: Any, word: str) -> None:
        q("<", word, " ", gen(regex="[a-z]{3}", name="in"), ">")

    def outer(q: Any, word: str) -> None:
        q(word, ": ")
        q.append(q.fork(inner, ["u", "v"]), separator=",")
        q(select(["math", "poem"], name="kind"), ".")

    @program(model=RandomModel(3))
    def nest(p: Any) -> None:
        p("x: ")
        p.append(p.fork(outer, ["is", "was"]))

    run = nest.run(logprobs=True)
    read = []
    for i in range(4):
        why = run.why(f"in[{i}]", samples=1, masked=False)
        read.append("".join([part.text for part in why.parts]))
        assert math.isclose(run.captures.all("in")[i].logprob or 0, why.logprob, abs_tol=1e-6)
    assert ["x: is: <u ", "x: is: <v ", "x: was: <u ", "x: was: <v "] == read
    for i, capture in enumerate(run.captures.all("kind")):
        assert math.isclose(math.log(capture.dist.probs[capture.text]), run.why(f"kind[{i}]").logprob, abs_tol=1e-6)


def test_slots_are_parts() -> None:
    @program(model=planted(lambda before: "X" in before))
    def ask(p: Any) -> None:
        p(lp.slot("instruction", "ab X c"), " d ", lp.slot("tail", "ca"), select(["p", "q"], name="kind"))

    why = ask.run().why("kind", unit="slot")
    found = [(part.text, part.kind, part.name) for part in why.parts]
    assert [("ab X c", "slot", "instruction"), (" d ", "prompt", ""), ("ca", "slot", "tail")] == found
    assert "instruction" == why.top(1)[0].name
    changed = ask.with_(instruction="ab c").run().why("kind", unit="slot")
    assert "q" == changed.value
    assert "ab c" == changed.parts[0].text


@pytest.mark.parametrize("boundary", ["heal", "token", "exact"])
def test_a_run_that_was_loaded_gives_the_same(boundary: Any, tmp_path: Path) -> None:
    @program(model=RandomModel(3), boundary=boundary)
    def card(p: Any) -> None:
        p("The math of th", select(["e", "at", "eir"], name="word"), " ", gen(regex="[a-z]{4}", name="line"), " and")
        p.infill(" f([[a]], [[b]])", a=gen(regex="[a-z]{2}"), b=gen(int, ge=0, le=9))

    run = card.run()
    run.save(tmp_path / "run.json")
    loaded = lp.Run.load(tmp_path / "run.json")
    for name, measure in (("word", "options"), ("line", "masked"), ("a", "model"), ("b", "model")):
        why, again = run.why(name, samples=2), loaded.why(name, model=run.model, samples=2)
        assert measure == why.measure == again.measure
        assert (why.parts, why.logprob) == (again.parts, again.logprob)
    dist = run.captures["word"].dist
    assert math.isclose(math.log(dist.probs[run.captures["word"].text]), run.causes["word"].logprob, abs_tol=1e-6)


# -- keeping and drawing it --------------------------------------------------------------------------------------------


def test_it_is_saved_and_drawn(tmp_path: Path) -> None:
    @program(model=RandomModel(0))
    def card(p: Any) -> None:
        p("<script>alert(1)</script> & \x1b[31m: ", select(["ma<th", "poem"], name="ki<nd"), "\n")

    run = card.run(trace=True)
    why = run.why("ki<nd")
    run.save(tmp_path / "run.json")
    again = lp.Run.load(tmp_path / "run.json")

    assert {"ki<nd": why} == again.causes
    assert again.html() == run.html()
    page = run.html()
    assert '<a class="field" href="#why-0">' in page
    assert '<a tabindex="-1" href="#why-0" class="sampled token' in page
    assert 'id="why-0"' in page
    for text in (page, why._repr_html_()):
        assert "<script>alert" not in text
        assert "\x1b" not in text
        assert 'style="--share:' in text
    assert "\x1b" not in str(why)
    again.why("ki<nd", model=run.model)
    assert why.parts == again.causes["ki<nd"].parts


def test_the_same_seed_draws_the_same() -> None:
    run = chosen(planted(lambda before: "X" in before), "abXcdabcd")

    assert run.why("kind", seed=1).parts == run.why("kind", seed=1).parts
    assert run.why("kind", seed=1).parts != run.why("kind", seed=2).parts


def lmprog(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return f"{done.exit_code} {done.output}"


def test_the_command(tmp_path: Path) -> None:
    @program(model=RandomModel(7))
    def card(p: Any) -> None:
        p("Topic: cats\nKind: ", select(["math", "poem"], name="kind"), " n: ", gen(int, ge=0, le=99, name="n"), "\n")

    run, saved = card.run(), tmp_path / "run.json"
    run.save(saved)
    files = "--html", tmp_path / "run.html", "--save", tmp_path / "more.json"
    said = lmprog("why", saved, "--field", "n", "--model", "random:7", "--samples", 2, "--unit", "word", *files)

    assert said.startswith("0")
    assert "What causes n" in said
    assert lp.Run.load(tmp_path / "more.json").causes["n"].parts == run.why("n", samples=2, unit="word").parts
    assert "What causes n" in (tmp_path / "run.html").read_text()
    assert lmprog("why", saved, "--field", "m", "--model", "nothing").startswith(
        "2 lmprog: RunError: there is no capture"
    )
    assert "unit is one of" in lmprog("why", saved, "--field", "n", "--unit", "letter")
    assert "ModelNotFound" in lmprog("why", saved, "--field", "n", "--model", "nothing/there")


# -- errors ------------------------------------------------------------------------------------------------------------


def test_errors(tmp_path: Path) -> None:
    run = chosen(planted(lambda _: True), "abc")
    run.save(tmp_path / "run.json")
    loaded = lp.Run.load(tmp_path / "run.json")

    with pytest.raises(lp.RunError, match="no capture 'kin'; this run has: kind"):
        run.why("kin")
    with pytest.raises(lp.NoModel, match=r"model=lp\.load"):
        loaded.why("kind")
    with pytest.raises(lp.ProgramError, match="Scripted does not tell how probable"):
        loaded.why("kind", model=Scripted(["p"]))
    with pytest.raises(lp.ProgramError, match="model= is a model"):
        loaded.why("kind", model="google/gemma-3-270m")  # type: ignore[arg-type]
    with pytest.raises(lp.RunError, match="no text before 'kind'"):
        chosen(planted(lambda _: True), "").why("kind")
    with pytest.raises(lp.ProgramError, match="unit is one of 'auto'"):
        run.why("kind", unit="letter")  # type: ignore[arg-type]
    with pytest.raises(lp.ProgramError, match="samples is a whole number of 1 or more"):
        run.why("kind", samples=0)
    with pytest.raises(lp.ProgramError, match="or a coarser unit than 'token'"):
        run.why("kind", unit="token", budget=5)
    with pytest.raises(lp.ProgramError, match="give fewer samples or a larger one"):
        run.why("kind", budget=5)
    with pytest.raises(lp.RunError, match="TableModel cannot spell the text of the run"):
        loaded.why("kind", model=TableModel(["a", "b"], lambda _: [0.5, 0.4, 0.1]))


def test_a_copy_is_like_a_run_that_was_loaded() -> None:
    @program(model=RandomModel(0))
    def card(p: Any) -> None:
        p("Topic: cats\nn: ", gen(int, ge=0, le=99, name="n"), "\n")

    run = card.run()
    copied = pickle.loads(pickle.dumps(run))

    assert (run, None) == (copied, copied.model)
    assert run.why("n", masked=False).parts == copied.why("n", masked=False, model=run.model).parts


def test_characters_of_several_tokens_are_one_part() -> None:
    why = chosen_bytes("日本 🙂x").why("kind", unit="token", samples=1)

    assert "日本 🙂x" == "".join([part.text for part in why.parts])
    assert all(a.span[1] == b.span[0] for a, b in pairwise(why.parts))


def chosen_bytes(text: str) -> Run[Any]:
    tokens = [*[bytes([b]) for b in range(256)], "🙂".encode()[2:] + b"x", "本".encode()[1:]]

    @program(model=TableModel(tokens, lambda _: [1 / 259] * 259))
    def ask(p: Any) -> None:
        p(text, select(["p", "q"], name="kind"))

    return ask.run()
