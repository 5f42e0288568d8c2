"""Requests that are broken, huge or made to hurt: each gets a 4xx with a reason, and the server goes on."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lmprog.serve.settings import Settings
from lmprog.testing import RandomModel

from .serving import Serving, serving

BOUND = 30  # seconds, on a busy machine; all of them take far less
JSON = {"content-type": "application/json"}
PLAIN: dict[str, Any] = {"prompt": "x", "max_tokens": 3}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def ref(i: int) -> dict[str, str]:
    return {"$ref": f"#/$defs/d{i}"}


def combined(keys: int) -> dict[str, Any]:
    """A schema of which the compiler has to look at very many combinations."""
    return {
        "type": "object",
        "properties": {f"p{i}": {"type": "string"} for i in range(keys)},
        "additionalProperties": True,
        "minProperties": keys // 2,
    }


RAW: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON"),
    "cut": (b'{"prompt": "x"', "line 1, column 15"),
    "trailing": (b'{"prompt": "x"}}', "Extra data at line 1, column 16"),
    "twice": (b'{"prompt": "x", "prompt": "y"}', "'prompt' stands twice"),
    "nan": (b'{"prompt": "x", "temperature": NaN}', "NaN is not JSON"),
    "infinity": (b'{"prompt": "x", "temperature": -Infinity}', "-Infinity is not JSON"),
    "huge float": (b'{"prompt": "x", "temperature": 1e999}', "too large"),
    "huge integer": (b'{"prompt": "x", "seed": ' + b"9" * 5000 + b"}", "5000 digits"),
    "not UTF-8": (b'{"prompt": "\xff"}', "byte 12"),
    "UTF-16": ('{"prompt": "x"}'.encode("utf-16"), "not UTF-8"),
    "half a pair": (b'{"prompt": "\\ud800"}', "surrogate"),
    "deep list": (b"[" * 100_000, "nested too deeply"),
    "deep object": (b'{"a":' * 50_000, "nested too deeply"),
    "a list": (b"[1]", "object of parameters, not list"),
    "a number": (b"5", "not int"),
    "null byte": (b'\x00{"prompt": "x"}', "not JSON"),
}
WRONG: dict[str, tuple[dict[str, Any], str | None, str]] = {
    "unknown": ({"temprature": 1}, "temprature", "unknown_parameter"),
    "no prompt": ({"prompt": None}, "prompt", "invalid_value"),
    "type": ({"max_tokens": "3"}, "max_tokens", "invalid_value"),
    "true is no number": ({"max_tokens": True}, "max_tokens", "invalid_value"),
    "negative": ({"max_tokens": -1}, "max_tokens", "invalid_value"),
    "too many tokens": ({"max_tokens": 10**9}, "max_tokens", "max_tokens_too_large"),
    "too many choices": ({"n": 10**6}, "n", "too_many_choices"),
    "temperature": ({"temperature": -1}, "temperature", "invalid_value"),
    "top_p": ({"top_p": 0}, "top_p", "invalid_value"),
    "seed": ({"seed": 1 << 70}, "seed", "invalid_value"),
    "penalty": ({"presence_penalty": 3}, "presence_penalty", "invalid_value"),
    "logprobs": ({"logprobs": 1000}, "logprobs", "invalid_value"),
    "bias of no token": ({"logit_bias": {"moon": 1}}, "logit_bias", "invalid_value"),
    "bias beyond": ({"logit_bias": {"99999999": 1}}, "logit_bias", "invalid_value"),
    "an id beyond": ({"prompt": [1, 10**8]}, "prompt", "invalid_value"),
    "a negative id": ({"prompt": [-1]}, "prompt", "invalid_value"),
    "more than the context": ({"prompt": [1] * 70_000}, "max_tokens", "context_length_exceeded"),
    "a long unknown": ({"x" * 100_000: 1}, "x" * 200, "unknown_parameter"),
    "no prompts": ({"prompt": []}, "prompt", "invalid_value"),
    "empty stop": ({"stop": ""}, None, "invalid_value"),
    "long stop": ({"stop": "x" * 10_000}, None, "invalid_value"),
    "echo": ({"echo": True}, "echo", "invalid_value"),
    "suffix": ({"suffix": "x"}, "suffix", "unknown_parameter"),
    "best_of": ({"best_of": 3}, None, "invalid_value"),
    "options of streams": ({"stream_options": {"include_usage": True}}, None, "invalid_value"),
    "no such format": ({"response_format": {"type": "yaml"}}, "response_format", "invalid_value"),
    "no schema": ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "invalid_value"),
    "a bad schema": ({"guided_json": {"type": "thing"}}, "guided_json", "unusable_constraint"),
    "a schema that is a list": ({"guided_json": [1]}, "guided_json", "unusable_constraint"),
    "a schema that is no JSON": ({"guided_json": "{"}, "guided_json", "unusable_constraint"),
    "not enforceable": (
        {"response_format": {"type": "regex", "regex": r"(a)\1"}}, "response_format.regex", "unusable_constraint",
    ),
    "a broken regex": ({"guided_regex": "("}, "guided_regex", "unusable_constraint"),
    "a broken grammar": ({"guided_grammar": "root ::= ("}, "guided_grammar", "unusable_constraint"),
    "a file as a grammar": ({"guided_grammar": "/etc/x.lark"}, "guided_grammar", "unusable_constraint"),
    "an import of a file": (
        {"guided_grammar": "%import .etc.passwd.X\nstart: X"}, "guided_grammar", "unusable_constraint",
    ),
    "an empty choice": ({"guided_choice": []}, "guided_choice", "unusable_constraint"),
    "nothing fits": ({"guided_regex": "[a-z]{50}", "stop": ["a"], "max_tokens": 2}, "max_tokens", "no_value_fits"),
    "an empty language": ({"guided_regex": "a+", "stop": ["a"]}, "guided_regex", "unusable_constraint"),
    "two constraints": ({"guided_regex": "a", "guided_json": {}}, "guided_regex", "several_constraints"),
    "two in one": ({"structured_outputs": {"regex": "a", "json": {}}}, "structured_outputs", "several_constraints"),
    "unknown in a constraint": (
        {"structured_outputs": {"json": {}, "whitespace_pattern": " "}},
        "structured_outputs.whitespace_pattern",
        "unknown_parameter",
    ),
}  # fmt: skip
BOMBS: dict[str, dict[str, Any]] = {
    "combinations": {"guided_json": combined(1000)},
    "a pattern and its negation": {"guided_json": {"type": "string", "not": {"pattern": "a.{20}b"}}},
    "deep": {"guided_json": deep(1000)},
    "endless reference": {"guided_json": {"$ref": "#"}},
    "references to the power": {
        "guided_json": {
            "$defs": {
                **{f"d{i}": {"allOf": [ref(i + 1), {"not": ref(i + 1)}]} for i in range(40)},
                "d40": {"type": "integer"},
            },
            "$ref": "#/$defs/d0",
        }
    },
    "repeats of repeats": {"guided_regex": "(((((a{1,100}){1,100}){1,100}){1,100}){1,100}b?){1,4000000000}"},
    "many conditions at once": {"guided_regex": "".join(f"(?=.*a.{{{i}}}b)" for i in range(1, 40)) + "c"},
    "unknown reference": {"guided_json": {"$ref": "http://127.0.0.1:1/x.json"}},
    "too long": {"guided_json": {"enum": [f"value {i}" for i in range(20_000)]}},
    "groups": {"guided_grammar": "root ::= " + "(" * 20_000 + '"a"' + ")" * 20_000},
}  # fmt: skip


def refusal(answer: httpx.Response) -> dict[str, Any]:
    assert 400 <= answer.status_code < 500, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert {"message", "type", "param", "code"} == error.keys()
    return error


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
def test_bodies_that_are_no_requests(live: Serving, path: str, name: str) -> None:
    data, reason = RAW[name]
    error = refusal(live.post(path, content=data, headers=JSON))

    assert reason in error["message"]
    live.check()


@pytest.mark.parametrize("name", WRONG)
def test_parameters_that_cannot_be(live: Serving, name: str) -> None:
    more, param, code = WRONG[name]
    error = refusal(live.post("/v1/completions", PLAIN | more))

    assert (code, param) == (error["code"], error["param"]), error
    live.check()


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "messages"),
        ([{"role": "wizard", "content": "x"}], "messages[0].role"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], "messages[0].content"),
        ([{"role": "user", "content": "x", "weight": 1}], "messages[0].weight"),
        ("hello", "messages"),
    ],
)
def test_messages_that_cannot_be(live: Serving, messages: Any, reason: str) -> None:
    assert reason in refusal(live.post("/v1/chat/completions", {"messages": messages}))["message"]


@pytest.fixture(scope="module")
def quick() -> Iterator[Serving]:
    """A server that gives little time to constraints."""
    with RandomModel(0) as model, serving(model, Settings(compile=0.3)) as found:
        yield found
        found.check()


@pytest.mark.parametrize("name", BOMBS)
def test_constraints_that_take_too_long_are_refused_while_others_go_on(quick: Serving, name: str) -> None:
    async def both() -> tuple[httpx.Response, list[float]]:
        async with httpx.AsyncClient(base_url=quick.url, timeout=60) as client:
            bomb = asyncio.create_task(client.post("/v1/completions", json={**PLAIN, **BOMBS[name]}))
            waits = []
            while not bomb.done():
                began = time.monotonic()
                answer = await client.post("/v1/completions", json={"prompt": "y", "max_tokens": 2})
                assert 200 == answer.status_code
                waits.append(time.monotonic() - began)
                await asyncio.sleep(0.01)
            return bomb.result(), waits

    began = time.monotonic()
    answer, waits = asyncio.run(both())

    assert refusal(answer)["code"] in ("unusable_constraint", "constraint_too_long")
    assert time.monotonic() - began < BOUND
    assert max(waits) < BOUND / 3
    quick.check()


def test_a_refusal_is_remembered(quick: Serving) -> None:
    body = {**PLAIN, **BOMBS["combinations"]}
    first, again = quick.post("/v1/completions", body), quick.post("/v1/completions", body)

    assert first.text == again.text
    assert "takes too long to compile" in first.text


def test_schemas_of_tools_are_tried_out_too(quick: Serving) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": combined(1000)}}
    body = {"messages": [{"role": "user", "content": "x"}], "tools": [tool]}
    error = refusal(quick.post("/v1/chat/completions", body))

    assert ("unusable_constraint", "tools") == (error["code"], error["param"])


# -- paths, methods and bodies, by curl --------------------------------------------------------------------------


def curl(*arguments: str, data: bytes = b"") -> tuple[int, str]:
    command = ["curl", "-s", "-m", "60", "-w", "\n%{http_code}", *arguments]
    text = subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode()
    body, _, status = text.rpartition("\n")
    return int(status), body


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["/"], 404, "path_not_found"),
        (["/v1/../../etc/passwd", "--path-as-is"], 404, "path_not_found"),
        (["/programs/..%2f..%2fetc%2fpasswd", "-X", "POST", "-d", "{}"], 404, None),
        (["/programs/none", "-H", "content-type: application/json", "-d", "{}"], 404, "program_not_found"),
        (["/v1/completions"], 405, "method_not_allowed"),
        (["/v1/models", "-X", "DELETE"], 405, "method_not_allowed"),
        (["/health", "-X", "BREW"], 405, "method_not_allowed"),
        (["/v1/models/other"], 404, "model_not_found"),
        (["/v1/completions", "-d", "prompt=x"], 415, "unsupported_media_type"),
        (["/v1/completions", "-H", "content-type: text/plain", "-d", "{}"], 415, "unsupported_media_type"),
        (["/v1/completions", "-H", "content-type: application/json", "-d", "{"], 400, "invalid_json"),
        (
            ["/v1/completions", "-H", "content-type: application/json", "-d", '{"prompt":"x","model":"gpt-9"}'],
            404,
            "model_not_found",
        ),
    ],
)
def test_curl_is_told_why(live: Serving, arguments: list[str], status: int, code: str | None) -> None:
    path, *options = arguments
    found, body = curl(*options, live.url + path)

    assert status == found
    assert code is None or code == json.loads(body)["error"]["code"]


def test_curl_gets_answers(live: Serving) -> None:
    options = ["-H", "content-type: application/json", "-d", '{"prompt": "x", "guided_regex": "[ab]{4}"}']
    status, body = curl(*options, f"{live.url}/v1/completions")

    assert 200 == status
    assert 4 == len(json.loads(body)["choices"][0]["text"])


@pytest.mark.parametrize("how", [["-H", "transfer-encoding: chunked"], [], ["-H", "expect: 100-continue"]])
def test_bodies_that_are_too_long(live: Serving, how: list[str]) -> None:
    options = ["-H", "content-type: application/json", *how, "--data-binary", "@-"]
    status, _ = curl(*options, f"{live.url}/v1/completions", data=b'{"prompt": "' + b"x" * (3 << 20) + b'"}')

    assert 413 == status
    live.check()


def test_a_length_that_is_a_lie(live: Serving) -> None:
    with live.connect() as connection:
        head = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        connection.sendall(head + b"content-length: 99999999999999999999\r\n\r\n{")
        assert b" 413 " in connection.recv(100)
    live.check()


@pytest.mark.parametrize(
    "head",
    [
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 20_000 + b"\r\n",
        b"GET /%00%ff\x7f HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_heads_that_are_no_http(live: Serving, head: bytes) -> None:
    with live.connect() as connection:
        try:
            connection.sendall(head)
            answer = connection.recv(1000)
        except ConnectionError:  # it was closed while the head was sent
            answer = b""
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer
    live.check()


# -- too many ----------------------------------------------------------------------------------------------------


def test_a_full_queue_says_when_to_come_again() -> None:
    settings = Settings(waiting=4, waiting_each=2, keys=("a", "b", "c"))
    long = {"prompt": "x", "max_tokens": 4000, "stream": True, "n": 2}
    with RandomModel(0) as model, serving(model, settings) as live, httpx.Client(timeout=60) as client:

        def ask(key: str, body: dict[str, Any]) -> httpx.Response:
            request = client.build_request(
                "POST", f"{live.url}/v1/completions", json=body, headers={"Authorization": f"Bearer {key}"}
            )
            return client.send(request, stream=True)

        first = ask("a", {**long, "guided_regex": "[ab]{4000}"})
        second = ask("b", {**long, "guided_regex": "[ab]{4000}"})
        for key in ("a", "c"):
            full = ask(key, PLAIN)
            assert (429, "1") == (full.status_code, full.headers["retry-after"])
            full.close()
        first.close()
        second.close()
        live.check()
        again = ask("c", PLAIN)
        assert 200 == again.status_code
        again.close()


def test_a_request_that_takes_too_long() -> None:
    settings = Settings(timeout=0.3)
    body = {"prompt": "x", "max_tokens": 4000, "guided_regex": "[ab]{4000}"}
    with RandomModel(0) as model, serving(model, settings) as live:
        answer = live.post("/v1/completions", body)
        streamed = live.post("/v1/completions", {**body, "stream": True}).text

        assert (504, "timeout") == (answer.status_code, answer.json()["error"]["code"])
        assert "timeout" == json.loads(streamed.strip().rpartition("data: ")[2])["error"]["code"]
        live.check()


def test_too_many_connections() -> None:
    with RandomModel(0) as model, serving(model, Settings(connections=3)) as live:
        held: list[socket.socket] = [live.connect() for _ in range(3)]
        time.sleep(0.2)
        with live.connect() as one_more:
            assert one_more.recv(100).startswith(b"HTTP/1.1 503 ")
        for connection in held:
            connection.close()
        time.sleep(0.2)
        live.check()
