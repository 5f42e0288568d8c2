"""Records of tokens and requests: `trace=True`."""

from __future__ import annotations

import math
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.grammars import compile
from lmprog.testing import RandomModel, Scripted
from lmprog.view import pieces


@program
def card(p: Any, topic: str) -> Any:
    kind = p("Thema: ", topic, "\nKind: ", select(["math", "poem"], name="kind"), "\nÜ: ")
    return kind, p(gen(regex="[a-z ]{3,20}é", name="line"), "\nfree: ", gen(max_tokens=6, stop="e"), " end")


def test_only_when_asked_and_the_same_text(model: RandomModel) -> None:
    plain, traced = card.run("cats", model=model), card.run("cats", model=model, trace=True)

    assert ((), ()) == (plain.tokens, plain.requests)
    assert plain.text == traced.text
    scored = card.run("cats", model=model, logprobs=True)
    assert [c.logprob for c in scored.captures.all()] == [c.logprob for c in traced.captures.all()]


def test_asked_for_in_the_decorator(model: RandomModel) -> None:
    asked = program(trace=True)(card.function)

    assert asked.run("cats", model=model).tokens
    assert () == asked.run("cats", model=model, trace=False).tokens


def test_every_character_of_a_value_belongs_to_its_tokens(model: RandomModel) -> None:
    for seed in range(20):
        run = card.run("cäts", model=model, decoder=lp.Sample(), seed=seed, trace=True)
        owners: dict[int, bytes] = {}
        for token in run.tokens:
            for at in range(*token.span):
                owners[at] = owners.get(at, b"") + token.data

        for capture in run.captures.all():
            for at in range(*capture.span):
                assert run.text[at].encode() in owners[at]
        assert len(run.captures) == len(run.requests)
        assert [c.span[0] for c in run.captures.all()] == [request.at for request in run.requests]
        assert list(range(len(run.requests))) == list(dict.fromkeys(token.request for token in run.tokens))


def test_probabilities_and_masks(model: RandomModel) -> None:
    run = card.run("cats", model=model, trace=True)
    first, *rest = run.tokens
    allowed = {token.data for token in first.top_masked}

    assert not first.forced
    assert first.allowed == len(allowed) == 2
    assert {b"math", b"poem"} == allowed
    assert pytest.approx(1) == sum(math.exp(token.logprob) for token in first.top_masked)
    assert first.masked > first.logprob
    assert first.top_masked[0].id == first.id
    assert first.top[0].logprob == max(token.logprob for token in first.top)
    assert any(token.forced for token in rest)
    for token in rest:
        assert token.forced == (token.allowed == 1) == math.isnan(token.logprob)
    times = [token.seconds for token in run.tokens]
    assert times == sorted(times)
    assert times[-1] <= run.usage.seconds


def test_the_mask_is_the_language_s(model: RandomModel) -> None:
    run = program(lambda p: p("é", gen(regex="[ab]{2}é", boundary="token"))).run(model=model, trace=True)
    c = compile(lp.regex("[ab]{2}é").expr, model.vocab)
    state: int | None = c.start()
    for token in run.tokens:
        assert state is not None
        ids = c.allowed(state)
        assert ids is not None
        assert token.forced or len(ids) == token.allowed
        state = c.advance(state, token.id)


def test_what_came_from_the_cache() -> None:
    with RandomModel(1) as model:
        for expected in (False, True):
            run = card.run("cats", model=model, trace=True)
            first, second, _ = run.requests

            assert expected == (first.cached_tokens > 0)
            assert second.cached_tokens >= first.prompt_tokens
            assert first.at - 2 <= (second.cached_to or 0)
            assert run.usage.prompt_tokens == sum(request.prompt_tokens for request in run.requests)
            for earlier, later in zip(run.requests, run.requests[1:], strict=False):
                assert earlier.begin <= earlier.end <= later.begin


def test_a_healed_border_belongs_to_the_first_token() -> None:
    with RandomModel(0) as model:
        text = "in the"  # " the" is one token: the blank before the hole is spelt anew with the value
        run = program(lambda p: p("in ", gen(choices=["the", "xyz"]))).run(model=model, trace=True)

    assert (text, 2) == (run.text, run.tokens[0].span[0])


def test_chats_have_no_cached_text(model: RandomModel) -> None:
    @program(model=model, trace=True)
    def chat(p: Any) -> Any:
        p.user("Hi, ü")
        with p.assistant():
            return p("So: ", gen(regex="[a-z]{4}", name="x"))

    run = chat.run()

    assert [None] == [request.cached_to for request in run.requests]
    assert run.captures["x"].text == run.text[run.tokens[0].span[0] : run.tokens[-1].span[1]].strip()


def test_scripted_answers_are_recorded_too() -> None:
    run = card.run("cats", model=Scripted(["math", "abcé", "no"]), trace=True)

    assert "mathabcéno" == b"".join(token.data for token in run.tokens).decode()
    assert "line" == run.requests[run.tokens[5].request].hole


def test_what_was_taken_back_is_kept(model: RandomModel) -> None:
    @program(model=model, trace=True)
    def twice(p: Any) -> None:
        p("a: ", gen(regex="[a-z]{9}", temperature=1, seed=1))
        mark = p.mark()
        p(" b: ", gen(regex="[a-z]{9}", temperature=1), " and ", gen(regex="[a-z]{9}", temperature=1))
        p.reset(mark)
        p(" c: ", gen(regex="[A-Z]{9}", temperature=1, seed=1))

    run = twice.run()

    assert [False, True, True, False] == [request.retracted for request in run.requests]
    assert [token.retracted for token in run.tokens] == [run.requests[t.request].retracted for t in run.tokens]
    kept = [piece for piece in pieces(run) if piece.kind != "retracted"]
    assert run.text == "".join(piece.text for piece in kept)
    assert [run.trace[-4].removed] == [p.text for p in pieces(run) if p.kind == "retracted"]  # type: ignore[attr-defined]
    assert all(not run.tokens[piece.token].retracted for piece in kept if piece.token is not None)


@pytest.mark.parametrize("decoder", [lp.Argmax(), lp.Sample(seed=3)])
def test_a_plan_leaves_the_same_records(model: RandomModel, decoder: lp.Decoder) -> None:
    planned, stepped = (
        card.run("cats", model=model, trace=True, decoder=decoder, preview=preview) for preview in (True, False)
    )

    def told(run: lp.Run[Any]) -> list[Any]:
        return [(t.id, t.span, t.forced, t.allowed, t.masked, run.requests[t.request].hole) for t in run.tokens]

    assert stepped.requests
    assert told(planned) == told(stepped)
    assert [(r.hole, r.at, r.prompt_tokens) for r in planned.requests] == [
        (r.hole, r.at, r.prompt_tokens) for r in stepped.requests
    ]
