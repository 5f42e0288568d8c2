"""Answers under way: requests on the engine, their text and tokens as they come."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..runtime.handle import Handle
from ..runtime.model import Model
from ..runtime.request import Request, Result, Scores
from .text import Reply


@dataclass(frozen=True)
class Token:
    """A token of an answer. `logprob` is that of the model, 0 of a token that the constraint forced."""

    id: int
    data: bytes
    logprob: float
    top: dict[int, float]


@dataclass(frozen=True)
class Piece:
    """What is new of an answer: its text, its tokens where they were asked for, and in the last one how it ended."""

    index: int
    text: str
    tokens: Sequence[Token] = ()
    finish: str | None = None


Tell = Callable[[int, str | None, int], None]  # an answer's index, its new text (None: the end), tokens so far


class Answer:
    """One answer under way. `tell` is called, on the engine's thread, with each new piece of text."""

    def __init__(self, index: int, stops: Sequence[str], model: Model) -> None:
        self.index, self.reply, self.model = index, Reply(stops), model
        self.scored = False
        self.tell: Tell | None = None
        self.handle: Handle | None = None
        self.text: list[str] = []
        self.count = 0  # tokens that were read
        self._shown = 0  # tokens that were told of

    def submit(self, request: Request, tell: Tell | None) -> Handle:
        self.scored, self.tell = request.scored, tell
        request.on_tokens = self._take
        handle = self.handle = self.model.submit(request, block=False)
        if self.reply.stopped:  # by what was forced, before the handle was here
            handle.cancel()
        return handle

    def _take(self, tokens: Sequence[int]) -> None:
        """New tokens; on the engine's thread."""
        piece = ""
        for token in tokens:
            if self.reply.stopped:
                break
            piece += self.reply.feed(self._data(token))
            self.count += 1
        self.text.append(piece)
        if self.tell is not None and piece:
            self.tell(self.index, piece, self.count)
        if self.reply.stopped and self.handle is not None:
            self.handle.cancel()

    def piece(self, text: str, count: int) -> Piece:
        return Piece(self.index, text, () if self.reply.stopped else self._tokens(count))

    def last(self) -> Piece:
        """What was held back, and how it ended. Raises what went wrong."""
        finish, rest = self._finish(), self.reply.feed(b"", last=True)
        return Piece(self.index, rest, self._tokens(self._seen()), finish)

    def whole(self) -> Piece:
        """All of it, at the end. Raises what went wrong."""
        last = self.last()
        return Piece(self.index, "".join([*self.text, last.text]), last.tokens, last.finish)

    @property
    def result(self) -> Result:
        assert self.handle is not None
        return self.handle.result(0)

    def _finish(self) -> str:
        return "length" if self.result.finish == "length" and not self.reply.stopped else "stop"

    def _seen(self) -> int:
        """The tokens that begin before the end of the text."""
        count, cut = self.count, self.reply.cut
        ids = self.result.ids
        while count and (size := len(self._data(ids[count - 1]))) <= cut:
            count, cut = count - 1, cut - size
        return count

    def _tokens(self, count: int) -> list[Token]:
        """The tokens up to there that were not told of before."""
        if not self.scored or self.handle is None:
            return []
        first, self._shown = self._shown, max(self._shown, count)
        ids, scores = self.handle.tokens(), self.handle.scores()
        return [self._token(ids[i], scores[i]) for i in range(first, self._shown)]

    def _token(self, token: int, scores: Scores) -> Token:
        logprob = 0.0 if math.isnan(scores.raw) else scores.raw
        return Token(token, self._data(token), logprob, scores.top_raw or {})

    def _data(self, token: int) -> bytes:
        return self.model.vocab.token_bytes[token] or b""


class Work:
    """The answers of one HTTP request. `close` ends what is still under way; closing twice is fine.

    prompts   ids of each prompt
    requests  one for each answer, in the order of the prompts
    """

    def __init__(
        self, model: Model, prompts: Sequence[Sequence[int]], requests: Sequence[Request], stops: Sequence[str]
    ):
        self.prompts, self._requests = prompts, requests
        self._news: asyncio.Queue[tuple[int, str | None, int]] = asyncio.Queue()
        self.answers = [Answer(i, stops, model) for i in range(len(requests))]

    def start(self, *, stream: bool) -> None:
        """Submit the requests. Raises what can be known at once."""
        loop = asyncio.get_running_loop()

        def tell(*news: Any) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody reads any more
                loop.call_soon_threadsafe(self._news.put_nowait, news)

        for answer, request in zip(self.answers, self._requests, strict=True):
            handle = answer.submit(request, tell if stream else None)
            if stream:
                handle.future.add_done_callback(lambda _, i=answer.index: tell(i, None, 0))  # type: ignore[misc]

    async def whole(self) -> list[Piece]:
        """All answers, when they are complete, each as one piece. Raises what went wrong with the first that failed."""
        for answer in self.answers:
            assert answer.handle is not None
            with suppress(Exception):
                await asyncio.wrap_future(answer.handle.future)
        return [answer.whole() for answer in self.answers]

    async def pieces(self) -> AsyncIterator[Piece]:
        """Pieces of all answers as they come. Raises what went wrong with one of them."""
        left = len(self.answers)
        while left:
            index, text, count = await self._news.get()
            left -= text is None
            answer = self.answers[index]
            yield answer.last() if text is None else answer.piece(text, count)

    def close(self) -> None:
        for answer in self.answers:
            if answer.handle is not None:
                answer.handle.cancel()

    def usage(self) -> dict[str, Any]:
        """In OpenAI's shape; a prompt counts once, however many answers it has."""
        each = len(self.answers) // len(self.prompts)
        firsts = [answer.result for answer in self.answers[::each]]
        prompt = sum([len(ids) for ids in self.prompts])
        cached = sum([max(0, result.prompt_tokens - result.prompt_tokens_computed) for result in firsts])
        completion = sum([answer.count for answer in self.answers])
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
