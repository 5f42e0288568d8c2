"""The loop of a job: hundreds of requests in flight, answers taken as they come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

from ..grammars import Vocabulary, compile
from ..grammars.errors import LmprogError
from ..runtime.errors import ContextOverflow, EngineClosed
from ..runtime.handle import Handle
from ..runtime.request import Request, Result
from ..runtime.sampling import Sampling
from .documents import Document
from .errors import InputError, JobError
from .layout import Layout
from .records import failure, success
from .target import Target

IN_FLIGHT = 256
Numbered = tuple[int, Document]
Records = list[tuple[int, dict[str, Any]]]


class Model(Protocol):
    """What a job needs of a model: that which `lp.load` returns, or a model of `lmprog.testing`."""

    @property
    def name(self) -> str: ...
    @property
    def vocab(self) -> Vocabulary: ...
    @property
    def bos(self) -> int | None: ...
    @property
    def context(self) -> int: ...
    def submit(self, request: Request) -> Handle: ...


@dataclass
class Flight:
    """A request under way."""

    number: int
    doc: Document
    handle: Handle


class Worker:
    """One model at work on one job.

    Every request is `[BOS] prefix suffix`; the prefix, the same for all, is tokenised once. Record n is drawn with
    seed + n, whatever else runs. Raises JobError when no answer fits in `max_tokens`.
    """

    def __init__(self, model: Model, target: Target, layout: Layout, max_tokens: int, sampling: Sampling) -> None:
        self.model, self.target, self.layout = model, target, layout
        self.max_tokens, self.sampling = max_tokens, sampling
        self.prefix = ([] if model.bos is None else [model.bos]) + model.vocab.encode(layout.prefix.encode())
        self.constraint = compile(target.grammar, model.vocab)
        self.state = self.constraint.start()
        if (least := self.constraint.distance(self.state)) > max_tokens:
            raise JobError(f"no answer fits in max_tokens={max_tokens}: the shortest takes {least}")
        self._flying: dict[Future[Result], Flight] = {}

    def run(self, docs: Iterable[Numbered], put: Callable[[Records], None]) -> None:
        """Work through `docs`, giving finished records to `put` in batches, in the order in which they finish."""
        todo = iter(docs)
        try:
            while records := self._launch(todo) or self._land():
                put(records)
        finally:
            for flight in self._flying.values():
                flight.handle.cancel()

    def _launch(self, todo: Iterable[Numbered]) -> Records:
        """Fill up with requests. Gives the records of the documents that cannot become one."""
        refused: Records = []
        for number, doc in islice(todo, IN_FLIGHT - len(self._flying)):
            try:
                flight = Flight(number, doc, self.model.submit(self._request(number, doc)))
                self._flying[flight.handle.future] = flight
            except EngineClosed:
                raise
            except LmprogError as error:
                refused.append((number, failure(doc, error)))
        return refused

    def _request(self, number: int, doc: Document) -> Request:
        if doc.problem is not None:
            raise InputError(doc.problem)
        suffix = self.model.vocab.encode(self.layout.suffix(doc.text).encode())
        room = self.model.context - len(self.prefix) - self.max_tokens
        if len(suffix) > room:
            raise ContextOverflow(
                f"the document takes {len(suffix)} tokens, where the model's context of {self.model.context} leaves "
                f"{max(room, 0)} beside the shared prompt ({len(self.prefix)}) and max_tokens={self.max_tokens}"
            )
        seed = None if self.sampling.seed is None else (self.sampling.seed + number) % 2**64
        sampling = replace(self.sampling, seed=seed)
        return Request([*self.prefix, *suffix], self.max_tokens, self.constraint, self.state, sampling, group=self)

    def _land(self) -> Records:
        """Wait until at least one request ends, and take all that have. Nothing when none is under way."""
        if not self._flying:
            return []
        ended = wait(self._flying, return_when=FIRST_COMPLETED).done
        flights = [self._flying.pop(future) for future in ended]
        return [(flight.number, self._record(flight)) for flight in flights]

    def _record(self, flight: Flight) -> dict[str, Any]:
        try:
            result = flight.handle.result()
        except EngineClosed:
            raise
        except LmprogError as error:
            return failure(flight.doc, error)
        text = self.model.vocab.decode(result.ids).decode()
        try:
            self.target.read(text)
        except LmprogError as error:
            return failure(flight.doc, error, text)
        return success(flight.doc, json.loads(text), result.prompt_tokens, len(result.ids))
