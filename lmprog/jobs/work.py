"""The loop of a job: hundreds of documents in flight, records taken as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from typing import Any

from ..models import LanguageModel
from ..runtime.handle import Pending
from .answer import Answers
from .deadline import within
from .documents import Document

IN_FLIGHT = 256
Numbered = tuple[int, Document]
Record = dict[str, Any]
Records = list[tuple[int, Record]]
Flying = dict[Future[Record], tuple[int, Pending[Record]]]
Put = Callable[[Records], None]


class Worker:
    """One model at work on one job: each document is a routine on its engine. Threads may share it.

    timeout    seconds that a document may take, waiting for its turn included
    """

    def __init__(self, model: LanguageModel, answers: Answers, timeout: float | None = None) -> None:
        self.model, self.answers, self.timeout = model, answers, timeout

    def run(self, docs: Iterable[Numbered], put: Put) -> None:
        """Work through `docs`, giving finished records to `put` in batches, in the order in which they finish."""
        todo = iter(docs)
        flying: Flying = {}
        try:
            while self._launch(todo, flying):
                put(_landed(flying))
        finally:
            for _, pending in flying.values():
                pending.cancel()

    def _launch(self, todo: Iterable[Numbered], flying: Flying) -> bool:
        """Fill up with documents. False when none is under way."""
        for number, doc in islice(todo, IN_FLIGHT - len(flying)):
            pending = self.model.run(within(self.answers.answer(number, doc), self.timeout), group=self)
            flying[pending.future] = number, pending
        return bool(flying)


def _landed(flying: Flying) -> Records:
    """Wait until at least one document is done, and take all that are. Raises what ends the job."""
    done = wait(flying, return_when=FIRST_COMPLETED).done
    return [(number, pending.result()) for number, pending in [flying.pop(future) for future in done]]
