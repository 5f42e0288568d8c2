"""`POST /v1/chat/completions`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..tools import call_head
from .body import read_json, validated
from .constraints import Spec, calls, spec_of
from .errors import refused
from .generate import Piece
from .logprobs import for_chat
from .respond import Json, respond
from .service import Service
from .wire import Chat, ChosenFunction, FunctionTool

NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}  # of a function without parameters


async def chat(request: Request) -> Response:
    service: Service = request.app.state.service
    asked = validated(Chat, await read_json(request, service.settings))
    return await respond(request, service, asked, _Shape(service, asked))


class _Shape:
    def __init__(self, service: Service, asked: Chat) -> None:
        self.count = 1
        self._service, self._asked = service, asked
        self._tools = _usable(asked)
        stops, spec = (*asked.stops, *service.chats.stops), _spec(asked, self._tools)
        self.spec = spec and spec._replace(without=stops)
        self.stops: Sequence[str] = () if spec else stops
        self.top = (asked.top_logprobs or 0) if asked.logprobs else None
        self.wanted = asked.max_completion_tokens or asked.max_tokens
        self.default = service.settings.max_tokens
        self._calls = {i: Calling(self._tools) for i in range(asked.n)} if self._tools else {}
        self._id, self._created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())

    def prompts(self) -> list[list[int]]:
        return [self._service.chats.ids(self._asked.messages, self._asked.tools)]

    def begin(self, index: int) -> Json | None:
        return self._chunk(index, {"role": "assistant", "content": ""})

    def chunks(self, piece: Piece) -> list[Json]:
        deltas: list[Json] = [{"content": piece.text}] if piece.text else []
        finish = piece.finish
        if piece.index in self._calls:
            calling = self._calls[piece.index]
            deltas = calling.feed(piece.text, last=finish is not None)
            finish = "tool_calls" if finish and calling.name else finish
        logprobs = None if self.top is None else for_chat(piece.tokens, self._service.model.vocab)
        if finish or (piece.tokens and not deltas):
            deltas.append({})
        return [
            self._chunk(piece.index, delta, logprobs if i == 0 else None, finish if i + 1 == len(deltas) else None)
            for i, delta in enumerate(deltas)
        ]

    def _chunk(self, index: int, delta: Json, logprobs: Any = None, finish: str | None = None) -> Json:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def usage_chunk(self, usage: Json) -> Json:
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage}

    def whole(self, pieces: Sequence[Piece], usage: Json) -> Json:
        return {**self._head("chat.completion"), "choices": [self._choice(piece) for piece in pieces], "usage": usage}

    def _choice(self, piece: Piece) -> Json:
        message: Json = {"role": "assistant", "content": piece.text, "refusal": None}
        finish = piece.finish
        calling = self._calls.get(piece.index)
        if calling is not None:
            deltas = calling.feed(piece.text, last=True)
            if calling.name:
                arguments = deltas[-1]["tool_calls"][0]["function"]["arguments"]
                message |= {"content": None, "tool_calls": [calling.call(arguments)]}
                finish = "tool_calls"
        logprobs = None if self.top is None else for_chat(piece.tokens, self._service.model.vocab)
        return {"index": piece.index, "message": message, "logprobs": logprobs, "finish_reason": finish}

    def _head(self, kind: str) -> Json:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._service.name}


class Calling:
    """Reads a call out of text that comes in pieces: `{"name":"add","arguments":{"a":1}}`.

    `name` is the tool's, as soon as it is known; until then text that may begin a call is held back.
    """

    def __init__(self, tools: Sequence[FunctionTool]) -> None:
        self._heads = {call_head(tool.function.name): tool.function.name for tool in tools}
        self._text = ""
        self._plain = False  # it is no call
        self._id = f"call_{secrets.token_hex(12)}"
        self.name = ""

    def feed(self, text: str, *, last: bool) -> list[Json]:
        """What is new, as deltas of a message."""
        self._text += text
        deltas: list[Json] = []
        if not self.name and not self._plain and self._decide(last):
            deltas.append(self._delta({"name": self.name, "arguments": ""}, {"id": self._id, "type": "function"}))
        if self._plain:
            ready, self._text = self._text, ""
            return [{"content": ready}] if ready else []
        if self.name:
            ready = self._text[:-1]  # what ends it may be the brace that closes the call
            self._text = self._text[-1:]
            deltas += [self._delta({"arguments": ready}, {})] if ready else []
        return deltas

    def call(self, arguments: str) -> Json:
        return {"id": self._id, "type": "function", "function": {"name": self.name, "arguments": arguments}}

    def _decide(self, last: bool) -> bool:
        """Whether it turns out to be a call."""
        for head, name in self._heads.items():
            if self._text.startswith(head):
                self.name, self._text = name, self._text[len(head) :]
        may_be = any(head.startswith(self._text) for head in self._heads)
        self._plain = not self.name and (last or not may_be)
        return bool(self.name)

    def _delta(self, function: Json, more: Json) -> Json:
        return {"tool_calls": [{"index": 0, **more, "function": function}]}


def _usable(asked: Chat) -> list[FunctionTool]:
    """The tools of which one may be called."""
    if asked.tool_choice == "none":
        return []
    if isinstance(asked.tool_choice, ChosenFunction):
        return [tool for tool in asked.tools if tool.function.name == asked.tool_choice.function.name]
    return asked.tools


def _spec(asked: Chat, tools: Sequence[FunctionTool]) -> Spec | None:
    spec = spec_of(asked)
    if not tools:
        return spec
    if spec is not None:
        message = f"{spec.param} and tools that may be called exclude each other: set tool_choice to none"
        raise refused(message, spec.param, "unsupported_combination")
    functions = [tool.function for tool in tools]
    some = [(f.name, NOTHING if f.parameters is None else f.parameters) for f in functions]
    return calls(some, text=asked.tool_choice in (None, "auto"))
