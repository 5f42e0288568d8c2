"""A model behind a server, for programs and jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ...grammars.errors import LmprogError
from ...grammars.vocabulary import Vocabulary
from ..errors import EngineClosed, RequestError, RoutineCancelled
from ..handle import Pending
from ..request import Request, Result
from ..routine import Routine, one
from ..wanted import Wanted
from . import texts
from .asker import BYTES_A_TOKEN, Asker
from .dialects import Sent
from .loop import Loop
from .pace import spent
from .replies import Reply
from .scores import Scoring, scored
from .servers import Capabilities, Found

if TYPE_CHECKING:
    from .http import Http

T = TypeVar("T")
UNKNOWN_CONTEXT = 1 << 20  # tokens


@dataclass
class Counters:
    """What was used so far, as a server counts it."""

    requests: int = 0
    prompt_tokens: int = 0
    prompt_tokens_computed: int = 0
    sampled: int = 0
    forced: int = 0
    mask_seconds: float = 0.0


class RemoteModel:
    """What `lp.connect` gives. Programs, templates, chats and jobs run on it as on a model in this process.

    name           what the server calls the model
    capabilities   what the server can do
    stats          requests and tokens so far
    vocab          the 256 bytes: text is not cut into the server's tokens here. So a run's token ids are bytes, and
                   `context` is about as many bytes as the server's context holds
    """

    bos = None
    scores = False
    tokenizer = None

    def __init__(self, http: Http, found: Found, loop: Loop, tries: int) -> None:
        self.name, self.capabilities = found.model, found.can
        self.url = http.base
        self.vocab: Vocabulary = texts.vocabulary()
        self.context = BYTES_A_TOKEN * (found.can.context or UNKNOWN_CONTEXT)
        self._stats = Counters()
        self._http, self._loop = http, loop
        self._asker = Asker(found, http.base, tries, self._post)
        self._closed = False

    def enforces(self, wanted: Wanted) -> bool:
        """Whether the server itself enforces what is wanted, exactly."""
        return self._asker.means(wanted).exact

    def encode(self, text: str) -> list[int]:
        """The text's bytes."""
        return [*text.encode()]

    def chat(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True) -> list[int]:
        """A conversation as ids; the server's own template makes a prompt of it."""
        return texts.write(messages, add_generation_prompt)

    def submit(self, request: Request) -> Pending[Result]:
        return self.run(one(request))

    def run(self, routine: Routine[T], *, group: Hashable = None, block: bool = True) -> Pending[T]:
        """Start a routine; its requests go to the server, all of a round at once. Raises EngineClosed."""
        if self._closed:
            raise EngineClosed(f"the connection to {self.url} was closed")
        tasks: list[asyncio.Task[Any] | None] = []
        pending: Pending[T] = Pending(lambda: self._cancel(tasks))
        self._loop.start(self._drive(routine, pending, tasks))
        return pending

    def _cancel(self, tasks: list[asyncio.Task[Any] | None]) -> None:
        self._loop.soon(lambda: tasks[0].cancel() if tasks and tasks[0] else tasks.append(None))

    async def _drive(self, routine: Routine[T], pending: Pending[T], tasks: list[asyncio.Task[Any] | None]) -> None:
        cancelled, task = bool(tasks), asyncio.current_task()
        tasks.insert(0, task)
        try:
            if cancelled:
                raise asyncio.CancelledError
            resume: Callable[[], Sequence[Request]] = partial(next, routine)
            while True:
                resume = await self._round(routine, resume())
        except StopIteration as stop:
            pending.future.set_result(stop.value)
        except asyncio.CancelledError:
            routine.close()
            closed = EngineClosed(f"the connection to {self.url} was closed")
            pending.future.set_exception(closed if self._closed else RoutineCancelled("the routine was cancelled"))
        except BaseException as error:
            pending.future.set_exception(error)

    async def _round(self, routine: Routine[Any], requests: Sequence[Request]) -> Callable[[], Sequence[Request]]:
        asked = [asyncio.ensure_future(self._answer(request)) for request in requests]
        try:
            return partial(routine.send, [*await asyncio.gather(*asked)])
        except LmprogError as error:
            return partial(routine.throw, error)
        finally:
            for task in asked:
                task.cancel()

    def _answer(self, request: Request) -> Coroutine[Any, Any, Result]:
        if request.model is not None:
            raise RequestError(f"a routine that runs on {self.url} can ask no other model")
        if request.asks:
            raise RequestError(f"{self.url} does not tell how probable given tokens are")
        if isinstance(request, Scoring):
            return scored(request, self._asker.found, self.url, self._score)
        return self._asker.answer(request)

    async def _score(self, body: dict[str, Any]) -> Any:
        guess = sum([len(prompt) for prompt in body["prompt"]]) // 4
        async with self._http.pace.place(guess):
            answer = await self._http.post("/completions", body)
        self._stats.requests += 1
        return answer

    async def _post(self, sent: Sent, tell: Callable[[str], object] | None) -> Reply:
        reply = Reply(url=self.url)
        guess = len(str(sent.body.get("prompt") or sent.body.get("messages"))) // 4
        guess += sent.body.get("max_tokens") or sent.body.get("max_completion_tokens") or 0
        async with self._http.pace.place(guess) as entry:
            if tell is None:
                reply.add(await self._http.post(sent.path, sent.body))
            else:
                more = {} if self.capabilities.server == "transformers" else {"stream_options": {"include_usage": True}}
                streamed = {**sent.body, "stream": True, **more}
                async for piece in self._http.stream(sent.path, streamed):
                    tell(reply.add(piece))
            spent(entry, reply.prompt_tokens + reply.tokens)
        self._stats.requests += 1
        self._stats.prompt_tokens += reply.prompt_tokens
        self._stats.prompt_tokens_computed += reply.prompt_tokens - reply.cached_tokens
        self._stats.sampled += reply.tokens
        return reply

    @property
    def stats(self) -> Counters:
        """A copy of the counters."""
        return replace(self._stats)

    def close(self) -> None:
        """Give up what is under way, which fails with EngineClosed. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._loop.cancel()
            self._loop.call(self._http.close())
            self._loop.stop()

    @property
    def closed(self) -> bool:
        return self._closed

    def __enter__(self) -> RemoteModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __deepcopy__(self, memo: object) -> RemoteModel:
        return self

    def __repr__(self) -> str:
        can = self.capabilities
        enforced = [name for name in ("grammar", "regex", "json_schema") if getattr(can, name)]
        kind = f"{can.server} {can.version}".strip()
        return f"<lmprog model {self.name} at {self.url}: {kind}, enforces {', '.join(enforced) or 'nothing'}>"


__all__ = ["Capabilities", "Counters", "RemoteModel"]
