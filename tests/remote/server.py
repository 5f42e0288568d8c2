"""A server on loopback that speaks the protocols of several kinds of servers, with a model of our own behind it.

What it enforces, it enforces by our own engine; like real servers it does not steer towards an end: an answer that is
too long is cut off. Faults come as they are queued.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from lmprog.grammars import Grammar, LmprogError, compile, gbnf, json_schema, regex
from lmprog.runtime.model import Model
from lmprog.runtime.remote.connect import _known
from lmprog.runtime.request import Request, asks_of
from lmprog.runtime.sampling import Sampling

OWNERS = {"vllm": "vllm", "sglang": "sglang", "llama.cpp": "llamacpp", "openai": "openai", "transformers": "nobody"}
CONTEXT = 4096
NO_HEADERS: dict[str, str] = {}


class Server:
    """kind: which server it is; `bodies` and `headers` are what it was sent; `faults` are what it does first.

    A fault is a status, (status, headers), "html", "garbage", "cut", "content_filter", or "deaf" (it ignores the
    constraint). `obeys=False`: it never enforces anything.
    """

    def __init__(self, model: Model, kind: str = "vllm", *, key: str | None = None, obeys: bool = True) -> None:
        self.model, self.kind, self.key, self.obeys = model, kind, key, obeys
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.faults: deque[Any] = deque()
        self.hold = threading.Event()  # answers wait for it
        self.hold.set()
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.url = ""

    # -- what it knows

    def get(self, path: str) -> tuple[int, Any]:
        if path == "/v1/models":
            one = {"id": "tiny", "object": "model", "owned_by": OWNERS[self.kind]}
            return 200, {"object": "list", "data": [one | ({"max_model_len": CONTEXT} if self.kind == "vllm" else {})]}
        known: dict[tuple[str, str], Any] = {
            ("vllm", "/version"): {"version": "0.32.0"},
            ("sglang", "/get_server_info"): {"version": "0.5", "context_length": CONTEXT},
            ("llama.cpp", "/props"): {"build_info": "b1", "default_generation_settings": {"n_ctx": CONTEXT}},
        }
        if (self.kind, path) == ("transformers", "/load_model"):
            return 405, {"detail": "Method Not Allowed"}
        found = known.get((self.kind, path))
        return (404, {"detail": "Not Found"}) if found is None else (200, found)

    def constraint(self, body: dict[str, Any]) -> Grammar | None:
        given = body.get("structured_outputs") or {}
        if self.kind == "sglang":
            given = {"grammar": body.get("ebnf"), "regex": body.get("regex")}
            given["json"] = json.loads(body["json_schema"]) if "json_schema" in body else None
        if self.kind == "llama.cpp":
            given = {"grammar": body.get("grammar"), "json": body.get("json_schema")}
        if "response_format" in body:
            given = {"json": body["response_format"]["json_schema"]["schema"]}
        if not self.obeys or self.kind == "transformers":
            return None
        if given.get("grammar"):
            return gbnf(given["grammar"])
        if given.get("regex"):
            return regex(given["regex"])
        return json_schema(given["json"]) if given.get("json") else None

    def answer(self, body: dict[str, Any], chat: bool, deaf: bool) -> dict[str, Any]:
        model, ids = self.model, self.prompt(body, chat)
        grammar = None if deaf else self.constraint(body)
        most = body.get("max_tokens") or body.get("max_completion_tokens") or 16
        sampling = Sampling(body.get("temperature", 1.0), body.get("top_p", 1.0), seed=body.get("seed", 0))
        c = None if grammar is None else compile(grammar, model.vocab)
        result = model.submit(Request(ids, most + 2000 if c else most, c, None, sampling, logprobs=True)).result()
        made = result.ids[:most]
        finish = "length" if len(result.ids) > most or result.finish == "length" else "stop"
        text = model.vocab.decode(made).decode(errors="replace")
        cuts = [at for stop in body.get("stop") or () if (at := text.find(stop)) >= 0]
        if cuts:
            text, finish = text[: min(cuts)], "stop"
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(made), "prompt_tokens_details": None}
        return {"text": text, "finish": finish, "usage": usage, "made": made, "logprobs": result.logprobs[:most]}

    def prompt(self, body: dict[str, Any], chat: bool) -> list[int]:
        if not chat:
            begin = [] if self.model.bos is None else [self.model.bos]
            return begin + self.model.vocab.encode(body["prompt"].encode())
        messages = body["messages"]
        if not hasattr(self.model, "roles"):  # a template of nothing but the texts
            return self.model.vocab.encode("".join([m["content"] for m in messages]).encode())
        if body.get("continue_final_message"):
            *before, last = messages
            return self.model.chat(before, True) + self.model.vocab.encode(last["content"].encode())
        return self.model.chat(messages, True)

    def scores(self, prompts: list[str]) -> dict[str, Any]:
        """vLLM's prompt_logprobs."""
        vocab, choices = self.model.vocab, []
        for index, prompt in enumerate(prompts):
            ids = self.prompt({"prompt": prompt}, chat=False)
            answers = self.model.submit(Request(ids, 0, asks=asks_of(ids, 1))).result().answers
            known: list[Any] = [None]
            for token, value in zip(ids[1:], answers, strict=True):
                text = (vocab.token_bytes[token] or b"").decode(errors="replace")
                known.append({str(token): {"logprob": float(np.float64(value[0])), "rank": 1, "decoded_token": text}})
            choices.append({"index": index, "text": "", "finish_reason": "length", "prompt_logprobs": known})
        return {"choices": choices, "usage": {"prompt_tokens": 1, "completion_tokens": len(prompts)}}

    # -- how it says it

    def wrapped(self, done: dict[str, Any], body: dict[str, Any], chat: bool) -> dict[str, Any]:
        scored = None
        if body.get("logprobs") is not None:
            tokens = [(self.model.vocab.token_bytes[i] or b"").decode(errors="replace") for i in done["made"]]
            scored = {"tokens": tokens, "token_logprobs": done["logprobs"]}
        said = {"message": {"role": "assistant", "content": done["text"]}} if chat else {"text": done["text"]}
        choice = {"index": 0, **said, "finish_reason": done["finish"], "logprobs": scored}
        return {"id": "1", "object": "completion", "choices": [choice], "usage": done["usage"]}

    def pieces(self, done: dict[str, Any], chat: bool) -> Iterator[dict[str, Any]]:
        for char in done["text"]:
            yield {"choices": [{"index": 0, **({"delta": {"content": char}} if chat else {"text": char})}]}
        end: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
        yield {"choices": [{"index": 0, **end, "finish_reason": done["finish"]}]}
        yield {"choices": [], "usage": done["usage"]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    mine: Server

    def log_message(self, *_: object) -> None:
        pass

    def send(self, status: int, data: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def refused(self) -> bool:
        mine = self.mine
        mine.headers.append(dict(self.headers))
        if mine.key is not None and self.headers.get("Authorization") != f"Bearer {mine.key}":
            self.send(401, b'{"error": {"message": "Incorrect API key provided"}}')
            return True
        return False

    def do_GET(self) -> None:
        if not self.refused():
            status, body = self.mine.get(self.path)
            self.send(status, json.dumps(body).encode())

    def do_POST(self) -> None:
        mine = self.mine
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.refused():
            return
        with mine.lock:
            mine.bodies.append(body)
            mine.paths.append(self.path)
            fault = mine.faults.popleft() if mine.faults else None
            mine.at_once += 1
            mine.most_at_once = max(mine.most_at_once, mine.at_once)
        try:
            mine.hold.wait(20)
            self.respond(body, fault)
        finally:
            with mine.lock:
                mine.at_once -= 1

    def respond(self, body: dict[str, Any], fault: Any) -> None:
        if isinstance(fault, int | tuple):
            status, headers = fault if isinstance(fault, tuple) else (fault, NO_HEADERS)
            self.send(status, b'{"error": {"message": "not now"}}', **headers)
        elif fault == "html":
            self.send(200, b"<html><body>Welcome to nginx</body></html>", "text/html")
        elif fault == "garbage":
            self.send(200, b'{"choices": [{')
        else:
            self.told(body, fault)

    def told(self, body: dict[str, Any], fault: Any) -> None:
        mine, chat = self.mine, self.path.endswith("/chat/completions")
        if not chat and not self.path.endswith("/completions"):
            self.send(404, b'{"detail": "Not Found"}')
            return
        if "prompt_logprobs" in body:
            self.send(200, json.dumps(mine.scores(body["prompt"])).encode())
            return
        try:
            done = mine.answer(body, chat, fault == "deaf")
        except LmprogError as error:
            self.send(400, json.dumps({"error": {"message": str(error)}}).encode())
            return
        if fault == "content_filter":
            done["finish"] = "content_filter"
        if body.get("stream"):
            self.stream(done, chat, fault)
            return
        data = json.dumps(mine.wrapped(done, body, chat)).encode()
        if fault == "cut":
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return
        self.send(200, data)

    def stream(self, done: dict[str, Any], chat: bool, fault: Any) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for n, piece in enumerate(self.mine.pieces(done, chat)):
            if fault == "cut" and n == 2:
                return
            self.wfile.write(b"data: " + json.dumps(piece).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")


class Threads(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Clients that leave early are part of the tests."""


@contextmanager
def serving(model: Model, kind: str = "vllm", **options: Any) -> Iterator[Server]:
    """The server, running."""
    mine = Server(model, kind, **options)
    http = Threads(("127.0.0.1", 0), type("Own", (Handler,), {"mine": mine}))
    http.daemon_threads = True
    mine.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    _known.clear()  # ports come again
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield mine
    finally:
        mine.hold.set()
        http.shutdown()
        http.server_close()
        thread.join()
