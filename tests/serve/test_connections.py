"""Clients that are slow, or go away."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from lmprog.serve.settings import Settings
from lmprog.testing import RandomModel

from .serving import Serving, serving, until

HEAD = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
LONG = {"prompt": "x", "max_tokens": 4000, "guided_regex": "[ab]{4000}"}


@pytest.fixture(scope="module")
def hasty() -> Iterator[Serving]:
    """A server that waits for half a second for anything."""
    settings = Settings(head=0.5, upload=0.5, stall=0.5, keep_alive=1)
    with RandomModel(0) as model, serving(model, settings) as live:
        yield live
        live.check()


def ended(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    data = b""
    try:
        while more := connection.recv(1 << 16):
            data += more
    except ConnectionResetError:
        pass
    return data


def still_open(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"x")
    except ConnectionError:
        return False
    return True


# -- slow loris --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"GET /hea", b"GET /health HTTP/1.1\r\nhost: x\r\n"])
def test_a_head_that_never_ends(hasty: Serving, sent: bytes) -> None:
    with hasty.connect() as connection:
        connection.sendall(sent)
        assert ended(connection).startswith(b"HTTP/1.1 408 ")


def test_a_head_that_comes_drop_by_drop(hasty: Serving) -> None:
    """Each byte alone is in time."""
    with hasty.connect() as connection:
        data = b""
        for _ in range(100):
            try:
                connection.sendall(b"x")
                connection.settimeout(0.05)
                data += connection.recv(100)
                break
            except TimeoutError:
                continue
        assert data.startswith(b"HTTP/1.1 408 ")


def test_a_second_head_that_never_ends(hasty: Serving) -> None:
    with hasty.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 200 " in connection.recv(1000)
        connection.sendall(b"GET /hea")
        assert ended(connection) in (b"", b'{"status":"ok"}')


def test_a_body_that_never_ends(hasty: Serving) -> None:
    with hasty.connect() as connection:
        connection.sendall(HEAD + b"content-length: 100\r\n\r\n{")
        answer = ended(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert "slow_body" == json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"]


def test_a_body_that_nobody_reads_drop_by_drop(hasty: Serving) -> None:
    """The answer is there at once; what follows of the request must not hold the connection."""
    with hasty.connect() as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n{")
        assert b" 404 " in connection.recv(1000)
        until(lambda: not still_open(connection))


def test_an_idle_connection(hasty: Serving) -> None:
    with hasty.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert ended(connection).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_does_not_read(hasty: Serving) -> None:
    """It is disconnected, and its request with it."""
    body = json.dumps({**LONG, "n": 16, "stream": True, "logprobs": 20}).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.connect(("127.0.0.1", hasty.port))
        connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        until(lambda: hasty.model.engine.stats.running > 0)
        until(hasty.is_idle)


def test_many_slow_ones_do_not_keep_others_out(hasty: Serving) -> None:
    held = [hasty.connect() for _ in range(100)]
    for connection in held:
        connection.sendall(b"POST /v1/comp")
    assert 200 == hasty.post("/v1/completions", {"prompt": "x", "max_tokens": 2}).status_code
    for connection in held:
        assert ended(connection).startswith(b"HTTP/1.1 408 ")
        connection.close()


# -- clients that go away ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_its_slots(live: Serving, stream: bool) -> None:
    cancelled = live.model.engine.stats.ended["cancelled"]
    body = json.dumps({**LONG, "stream": stream, "n": 3}).encode()
    with live.connect() as connection:
        connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        until(lambda: live.model.engine.stats.running == 3)
    until(live.is_idle)

    assert 3 == live.model.engine.stats.ended["cancelled"] - cancelled
    live.check()


def test_a_client_that_leaves_in_mid_stream(live: Serving) -> None:
    with httpx.stream("POST", f"{live.url}/v1/completions", json={**LONG, "stream": True}, timeout=60) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("data: {")
    live.check()


def test_requests_one_after_the_other_on_one_connection(live: Serving) -> None:
    body = b'{"prompt":"x","max_tokens":2,"seed":1}'
    one = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
    with live.connect() as connection:
        connection.sendall(one * 5 + b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = ended(connection)
    assert 6 == answer.count(b"HTTP/1.1 200 OK")
    live.check()
