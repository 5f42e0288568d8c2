"""Questions about given text: log-probabilities, whatever the chunks, the cache and the company."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from lmprog.errors import OutOfSlots, RequestError, SamplingError
from lmprog.runtime.engine import Engine
from lmprog.runtime.hf import HFRunner
from lmprog.runtime.request import Ask, Request, asks_of
from lmprog.runtime.table import TableRunner

from .toys import HF, TOY, Ids, Prompt, prompts, tiny, toy_engine, toy_greedy, toy_logits


def logprobs(prefix: Sequence[int]) -> NDArray[np.float64]:
    logits = toy_logits(tuple(prefix))
    return np.asarray(logits - np.log(np.exp(logits).sum()))


def expected(ids: Prompt, start: int) -> list[float]:
    return [logprobs(ids[:i])[ids[i]] for i in range(start, len(ids))]


def tokens(*ids: int) -> NDArray[np.int32]:
    return np.array(ids, np.int32)


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("chunk", [1, 3, 2048])
def test_log_probabilities_of_given_text(chunk: int, reuse: bool) -> None:
    texts = prompts(0, 20, longest=90)
    starts = [1 + i % len(ids) for i, ids in enumerate(texts)]
    with toy_engine(max_batch_tokens=chunk, reuse=reuse) as engine:
        for _ in range(2):  # the second time all of it is cached
            results = engine.generate(
                [Request(ids, 0, asks=asks_of(ids, n)) for ids, n in zip(texts, starts, strict=True) if n < len(ids)]
            )
            got = [[float(answer[0]) for answer in result.answers] for result in results]
            want = [expected(ids, n) for ids, n in zip(texts, starts, strict=True) if n < len(ids)]

            assert [len(w) for w in want] == [len(g) for g in got]
            assert np.allclose(np.concatenate(want), np.concatenate(got))
            engine.check()


def test_what_is_cached_is_computed_again_only_where_it_is_asked_about() -> None:
    ids = list(range(1, 9))
    with toy_engine() as engine:
        engine.generate([Request([*ids, 3], 1)])
        first, far = engine.generate([Request(ids, 0, asks=asks_of(ids, 6)), Request(ids, 0, asks=[Ask(2, tokens(5))])])
        engine.check()

    assert (2, 1) == (first.prompt_tokens_computed, far.prompt_tokens_computed)
    assert (7, 2) == (first.prompt_tokens, far.prompt_tokens)
    assert ("length", []) == (first.finish, first.ids)
    assert np.allclose(expected(ids, 6), np.concatenate(first.answers))
    assert np.allclose(logprobs(ids[:2])[5], far.answers[0])


def test_answers_come_in_the_order_of_the_asks_and_of_their_tokens() -> None:
    ids = [1, 2, 3, 4]
    same = Ask(3, tokens(7, 0, 7))
    with toy_engine() as engine:
        (result,) = engine.generate([Request(ids, 0, asks=[Ask(4, tokens(2)), same, Ask(1, tokens(1, 2, 3)), same])])

    want = [
        logprobs(ids)[[2]],
        logprobs(ids[:3])[[7, 0, 7]],
        logprobs(ids[:1])[[1, 2, 3]],
        logprobs(ids[:3])[[7, 0, 7]],
    ]
    assert all(np.allclose(w, g) for w, g in zip(want, result.answers, strict=True))


def test_relative_answers_differ_from_the_others_by_one_number() -> None:
    asked = tokens(3, 9, 1)
    with toy_engine() as engine:
        (result,) = engine.generate([Request([1, 2], 0, asks=[Ask(2, asked, relative=True), Ask(2, asked)])])

    relative, whole = result.answers
    assert np.allclose(toy_logits((1, 2))[asked], relative)
    assert np.ptp(relative - whole) == pytest.approx(0)


def test_of_many_kinds_at_once_under_a_tight_memory() -> None:
    """Decodes, prompts and asks in one engine whose slots run out: everyone gets what is theirs."""
    texts = prompts(1, 60, longest=20)
    chance = random.Random(0)
    with toy_engine(slots=40, max_batch_tokens=7, max_running=6) as engine:
        requests = []
        for ids in texts:
            n = chance.randrange(1, len(ids) + 1)
            asking = Request(ids, 0, asks=asks_of(ids, n)) if n < len(ids) else Request(ids, 5)
            requests += [asking, Request(ids[:n], 5, priority=chance.randrange(2))]
        results = engine.generate(requests)
        engine.check()
        for request, result in zip(requests, results, strict=True):
            if request.asks:
                start = len(request.ids) - len(request.asks)
                assert np.allclose(expected(list(request.ids), start), np.concatenate(result.answers))
            else:
                assert toy_greedy(request.ids, 5) == result.ids


def test_a_prompt_that_fills_all_slots() -> None:
    ids = list(range(1, 10))
    with toy_engine(slots=9) as engine:
        for _ in range(2):
            (result,) = engine.generate([Request([*ids[:8], 1], 0, asks=asks_of([*ids[:8], 1], 1))])

            assert np.allclose(expected([*ids[:8], 1], 1), np.concatenate(result.answers))
        with pytest.raises(OutOfSlots):
            engine.generate([Request(ids, 0, asks=[Ask(9, tokens(1))])])


WRONG = [
    Request([1, 2], 3, asks=[Ask(1, tokens(1))]),
    Request([1, 2], 0, asks=[Ask(3, tokens(1))]),
    Request([1, 2], 0, asks=[Ask(0, tokens(1))]),
    Request([1, 2], 0, asks=[Ask(1, tokens())]),
    Request([1, 2], 0, asks=[Ask(1, tokens(12))]),
    Request([1, 2], 0),
]


@pytest.mark.parametrize("request_", WRONG, ids=str)
def test_what_cannot_be_asked(request_: Request) -> None:
    with toy_engine() as engine, pytest.raises(RequestError):
        engine.submit(request_)


def test_a_model_that_gives_nan_ends_the_request_with_an_error() -> None:
    runner = TableRunner(lambda ids: np.full(12, np.nan if len(ids) == 2 else 1.0), 12)
    with Engine(runner, TOY) as engine:
        bad = engine.submit(Request([1, 2, 3], 0, asks=asks_of([1, 2, 3], 1)))
        good = engine.submit(Request([1, 2, 3], 0, asks=[Ask(3, tokens(0))]))

        with pytest.raises(SamplingError, match="NaN"):
            bad.result()
        assert np.log(1 / 12) == pytest.approx(float(good.result().answers[0][0]))


class Faulty(TableRunner):
    """Fails in every step of several sequences, and on one token."""

    def forward(self, batch):  # type: ignore[no-untyped-def]
        if len(batch.spans) > 1 or 9 in batch.ids:
            raise RuntimeError("no")
        return super().forward(batch)


def test_a_step_that_fails_is_done_again_one_request_at_a_time() -> None:
    ids = [1, 2, 3, 4, 5, 6]
    with Engine(Faulty(toy_logits, TOY.size), TOY) as engine:
        for _ in range(2):
            good = engine.submit(Request(ids, 0, asks=asks_of(ids, 3)))
            bad = engine.submit(Request([1, 2, 9, 4], 0, asks=asks_of([1, 2, 9, 4], 1)))
            far = engine.submit(Request(ids, 0, asks=[Ask(2, tokens(0))]))

            assert np.allclose(expected(ids, 3), np.concatenate(good.result().answers))
            assert np.allclose(logprobs(ids[:2])[0], far.result().answers[0])
            with pytest.raises(RuntimeError):
                bad.result()
            engine.check()


@pytest.mark.parametrize("family", ["Llama", "Gemma3Text"])
def test_on_a_hugging_face_model(family: str) -> None:
    import torch

    model = tiny(family)
    texts: list[Prompt] = [ids[:30] for ids in prompts(3, 8, longest=40, size=290)]
    vocab: Ids = HF
    with Engine(HFRunner(model), vocab, max_batch_tokens=16, slots=512) as engine:
        for _ in range(2):
            results = engine.generate([Request(ids, 0, asks=asks_of(ids, 2)) for ids in texts if len(ids) > 2])
            for ids, result in zip([ids for ids in texts if len(ids) > 2], results, strict=True):
                with torch.inference_mode():
                    want = model(torch.tensor([ids])).logits[0].log_softmax(-1)[range(1, len(ids) - 1), ids[2:]]

                assert np.allclose(want.numpy(), np.concatenate(result.answers), atol=1e-4)
