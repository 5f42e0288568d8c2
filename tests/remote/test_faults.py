"""What goes wrong between here and a server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program
from lmprog.runtime.remote.pace import Pace, spent
from lmprog.runtime.request import Request
from lmprog.testing import RandomModel

from .server import Server, serving


@program
def word(p: Any) -> str:
    return str(p("Say:", gen(regex=" [a-z]{1,8}", name="word"), "\n"))


@pytest.fixture
def server(random_model: RandomModel) -> Iterator[Server]:
    with serving(random_model) as server:
        yield server


@pytest.mark.parametrize("fault", [429, 500, 503, "cut", (429, {"Retry_After": "0.02"})])
def test_what_may_pass_is_tried_again(server: Server, fault: Any) -> None:
    with lp.connect(server.url) as model:
        expected = word(model=model)
        server.faults += [fault, fault]
        before = len(server.bodies)

        assert expected == word(model=model)
        assert before + 3 == len(server.bodies)


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (429, lp.BackendBusy, r"completions takes no more requests for now \(429\): not now. Set requests_per_minute="),
        (500, lp.BackendUnreachable, r"completions failed \(500\): not now"),
        ("cut", lp.BackendUnreachable, "broke off its answer"),
        (400, lp.BackendRefused, r"refuses \(400\): not now"),
        (404, lp.BackendRefused, r"refuses \(404\).*model= name a model"),
        ("html", lp.BackendAnswer, "does not answer in JSON but '<html><body>Welcome to nginx"),
        ("garbage", lp.BackendAnswer, "does not answer in JSON"),
        ("content_filter", lp.BackendAnswer, "ended for the reason 'content_filter'"),
        ("deaf", lp.BackendAnswer, "was given a grammar and broke it"),
    ],
)
def test_what_does_not_pass_is_an_error_that_names_the_url(
    server: Server, fault: Any, error: type[lp.LmprogError], message: str
) -> None:
    with lp.connect(server.url, retries=1) as model:
        server.faults += [fault] * 2
        with pytest.raises(error, match=message) as caught:
            word(model=model, preview=False)

        assert server.url in str(caught.value)
        if isinstance(caught.value, lp.BackendError):
            assert caught.value.url.startswith(server.url)


def test_retry_after_is_kept(server: Server) -> None:
    with lp.connect(server.url) as model:
        waits: list[float] = []
        import asyncio

        real = asyncio.sleep

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            await real(0)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lmprog.runtime.remote.http.asyncio.sleep", sleep)
            server.faults += [(503, {"Retry_After": "7"}), (429, {"Retry_After": "Fri, 01 Jan 2021 00:00:00 GMT"})]
            word(model=model)

        assert waits[:2] == [7.0, 0.0]


def test_a_cut_stream_is_an_error(server: Server) -> None:
    with lp.connect(server.url, retries=2) as model:
        server.faults.append("cut")
        with pytest.raises(lp.BackendUnreachable, match=r"without \[DONE\]"):
            list(word.stream(model=model))


def test_a_stream_that_has_not_begun_is_tried_again(server: Server) -> None:
    with lp.connect(server.url) as model:
        server.faults += [500, 429]
        events = list(word.stream(model=model))

        assert word(model=model) == "".join([e.text for e in events if isinstance(e, lp.Text) and e.hole])


def test_too_long_a_prompt(server: Server) -> None:
    with lp.connect(server.url) as model:
        answer = (400, {"X": "y"})
        server.faults += [answer] * 20
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lmprog.runtime.remote.http.TOO_LONG", ("not now",))
            with pytest.raises(lp.ContextOverflow, match="not now"):
                word(model=model)
        budgets = [body["max_tokens"] for body in server.bodies[1:]]
        assert budgets == sorted(budgets, reverse=True)  # smaller budgets were tried first
        assert len(set(budgets)) > 3


def test_only_so_many_at_once(server: Server) -> None:
    with lp.connect(server.url, concurrency=3) as model:
        word.map([()] * 20, model=model, concurrency=20)

        assert 1 < server.most_at_once <= 3


def test_cancelling_and_closing(server: Server) -> None:
    with lp.connect(server.url) as model:
        server.hold.clear()
        stream = word.stream(model=model)
        timer = threading.Timer(0.1, stream.cancel)
        timer.start()
        with pytest.raises(lp.RunCancelled):
            list(stream)
        timer.join()
        pending = model.submit(Request([*b"x"], 4))
        model.close()
        server.hold.set()

        with pytest.raises(lp.EngineClosed, match="was closed"):
            pending.result(10)
        with pytest.raises(lp.EngineClosed, match="was closed"):
            word(model=model)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_rate_limits_count_the_last_minute() -> None:
    clock = Clock()
    pace = Pace(8, requests_per_minute=3, tokens_per_minute=100, clock=clock)
    entries = []
    for tokens in (10, 20, 30):
        assert pace._wait(tokens) == 0
        entries.append([clock.now, float(tokens)])
        pace._past.append(entries[-1])
        clock.now += 1

    assert pace._wait(1) == 57  # the fourth request in a minute
    clock.now = 60
    assert pace._wait(50) == 0
    assert pace._wait(60) == 1  # tokens of the second request have to go
    spent(entries[1], 5)
    assert pace._wait(60) == 0


def test_limits_hold_back_requests(server: Server) -> None:
    with lp.connect(server.url, requests_per_minute=4) as model:
        waits: list[float] = []
        clock = Clock()
        model._http.pace._clock = clock

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            clock.now += seconds

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lmprog.runtime.remote.pace.asyncio.sleep", sleep)
            model._http.pace._past.clear()
            word.map([()] * 9, model=model)

        assert [round(wait) for wait in waits] == [60, 60]


def test_usage_is_counted(server: Server) -> None:
    with lp.connect(server.url) as model:
        run = word.run(model=model)

        assert run.usage.requests == 1
        assert run.usage.prompt_tokens == len(server.model.vocab.encode(b"Say:")) + 1
        assert run.usage.sampled_tokens > 0
        assert model.stats.requests == 1
