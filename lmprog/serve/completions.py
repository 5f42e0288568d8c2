"""`POST /v1/completions`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response

from .body import read_json, validated
from .constraints import spec_of
from .errors import refused
from .generate import Piece
from .logprobs import for_completion
from .respond import Json, respond
from .service import Service
from .wire import Completion, Prompt

DEFAULT_TOKENS = 16  # as in OpenAI's API; constraints raise it


async def completions(request: Request) -> Response:
    service: Service = request.app.state.service
    asked = validated(Completion, await read_json(request, service.settings))
    return await respond(request, service, asked, _Shape(service, asked))


class _Shape:
    def __init__(self, service: Service, asked: Completion) -> None:
        self._service = service
        self.spec = spec_of(asked)
        self.stops: Sequence[str] = () if self.spec is not None else asked.stops
        self._many = _many(asked.prompt)
        self.count = len(self._many)
        self.top, self.wanted, self.default = asked.logprobs, asked.max_tokens, DEFAULT_TOKENS
        self._head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": service.name,
        }
        self._shown: dict[int, int] = {}

    def prompts(self) -> list[list[int]]:
        return [self._ids(prompt) for prompt in self._many]

    def _ids(self, prompt: str | list[int]) -> list[int]:
        model = self._service.model
        if isinstance(prompt, str):
            bos = [] if model.bos is None else [model.bos]
            return bos + model.encode(prompt) or sorted(model.vocab.eos)[:1]
        if not all([0 <= i < model.vocab.size for i in prompt]):
            raise refused(f"prompt: ids of tokens lie in [0, {model.vocab.size})", "prompt", "invalid_value")
        return prompt

    def begin(self, index: int) -> Json | None:
        return None

    def chunks(self, piece: Piece) -> list[Json]:
        if not (piece.text or piece.tokens or piece.finish):
            return []
        return [{**self._head, "choices": [self._choice(piece)]}]

    def usage_chunk(self, usage: Json) -> Json:
        return {**self._head, "choices": [], "usage": usage}

    def whole(self, pieces: Sequence[Piece], usage: Json) -> Json:
        return {**self._head, "choices": [self._choice(piece) for piece in pieces], "usage": usage}

    def _choice(self, piece: Piece) -> Json:
        logprobs: Any = None
        if self.top is not None:
            offset = self._shown.get(piece.index, 0)
            logprobs = for_completion(piece.tokens, self._service.model.vocab, offset)
            self._shown[piece.index] = offset + len(piece.text)
        return {"index": piece.index, "text": piece.text, "logprobs": logprobs, "finish_reason": piece.finish}


def _many(prompt: Prompt) -> list[str] | list[list[int]]:
    if isinstance(prompt, str):
        return [prompt]
    if not prompt:
        raise refused("prompt: there is none", "prompt", "invalid_value")
    return cast("list[str] | list[list[int]]", [prompt] if isinstance(prompt[0], int) else prompt)
