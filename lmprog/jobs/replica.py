"""One worker of a cluster: what runs in a Ray actor, with an engine of its own."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from .documents import Document
from .summary import counting
from .work import Records

if TYPE_CHECKING:
    from .extract import Job

Loader = Callable[[], Any]  # gives a model that a job can run on


class About(NamedTuple):
    """Where a worker runs, and the name of its model."""

    model: str
    host: str
    pid: int


class Counts(NamedTuple):
    """What an engine has done since it was loaded (`summary.Counters`)."""

    prompt_tokens: int = 0
    prompt_tokens_computed: int = 0
    sampled: int = 0
    forced: int = 0
    mask_seconds: float = 0.0


class Replica:
    """Loads the model once and answers documents, each in a thread of the actor's, so that many share the batches.

    A plain class, which `Cluster` makes an actor of, so that nothing here needs Ray.
    """

    def __init__(self) -> None:
        self._model: Any = None
        self._worker: Any = None  # what runs the job
        self._starting = threading.Lock()

    def start(self, loader: Loader, job: Job | None) -> About:
        """Be ready for the documents of `job`, if there is one already.

        Raises what loading raises, and JobError as `Job.worker` does.
        """
        with self._starting:
            if self._model is None:
                self._model = loader()
        if job is not None:
            self._worker = job.worker(self._model)
        return About(self._model.name, socket.gethostname(), os.getpid())

    def answer(self, number: int, doc: Document) -> tuple[Records, Counts]:
        """The record of one document, and the counters after it."""
        records: Records = []
        self._worker.run([(number, doc)], records.extend)
        return records, self._counts()

    def _counts(self) -> Counts:
        counted = counting(self._model)
        if counted is None:
            return Counts()
        stats = counted.stats
        return Counts(*(getattr(stats, name) for name in Counts._fields))
