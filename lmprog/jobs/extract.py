"""`extract`: from documents to records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from ..models import LanguageModel
from ..runtime.sampling import Sampling
from .answer import Answers
from .documents import Fields, Format, Source, source
from .journal import open_journal
from .layout import Layout, layout, read_examples
from .records import Record
from .score import Score, score
from .summary import Meter, Summary, saved
from .target import Target, target
from .work import Records, Worker

MAX_TOKENS = 512
GREEDY = Sampling()
FIELDS = Fields()
Watch = Callable[[Summary], None]


@dataclass(frozen=True)
class Job:
    """All that the output depends on, but for the model."""

    source: Source
    target: Target
    layout: Layout
    max_tokens: int = MAX_TOKENS
    sampling: Sampling = GREEDY

    def parts(self, model: str) -> dict[str, Any]:
        """What has to be the same for a resume, by name; texts as digests."""
        return {
            "schema": _digest(json.dumps(self.target.schema)),
            "prompt": _digest(self.layout.prefix),
            "input": self.source.digest,
            "model": model,
            "settings": {"max_tokens": self.max_tokens, **asdict(self.sampling)},
        }

    def worker(self, model: LanguageModel) -> Worker:
        """Raises JobError when no answer fits in `max_tokens`."""
        return Worker(model, Answers(model, self.target, self.layout, self.max_tokens, self.sampling))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


class Sink(Protocol):
    """Where finished records go: a Journal, or Memory."""

    def held(self) -> frozenset[int]: ...
    def add(self, records: Records) -> None: ...
    def lines(self) -> Iterator[bytes]: ...
    def finish(self, summary: Mapping[str, Any]) -> None: ...


class Memory:
    """A sink that is not on disk."""

    def __init__(self) -> None:
        self.records: dict[int, bytes] = {}

    def held(self) -> frozenset[int]:
        return frozenset(self.records)

    def add(self, records: Records) -> None:
        self.records |= {number: json.dumps(record).encode() for number, record in records}

    def lines(self) -> Iterator[bytes]:
        return (self.records[number] for number in sorted(self.records))

    def finish(self, summary: Mapping[str, Any]) -> None:
        pass


def run(job: Job, worker: Worker, sink: Sink, watch: Watch | None = None) -> Summary:
    """Do what the sink does not hold yet, and finish it. `watch` is told the figures whenever records were added."""
    held = sink.held()
    done, failed = len(held), sum(_failed(json.loads(line)) for line in sink.lines())
    meter = Meter(getattr(worker.model, "engine", None))

    def put(records: Records) -> None:
        nonlocal done, failed
        sink.add(records)
        done, failed = done + len(records), failed + sum(_failed(record) for _, record in records)
        if watch is not None:
            watch(meter.read(done, failed, len(held)))

    worker.run(((n, doc) for n, doc in enumerate(job.source.read()) if n not in held), put)
    summary = meter.read(done, failed, len(held))
    sink.finish(asdict(summary))
    return summary


def _failed(record: Mapping[str, Any]) -> bool:
    return record["error"] is not None


@dataclass(frozen=True)
class Extraction:
    """The outcome of a job, records in the order of the documents.

    `score` compares them with the truth, where the documents carry one.
    """

    records: list[Record]
    summary: Summary
    score: Score | None


def extract(
    model: LanguageModel,
    docs: str | Path | Iterable[Any],
    schema: Any,
    *,
    examples: str | Path | Iterable[tuple[str, Any]] = (),
    instructions: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    max_tokens: int = MAX_TOKENS,
    sampling: Sampling = GREEDY,
    fields: Fields = FIELDS,
    format: Format | None = None,
    watch: Watch | None = None,
) -> Extraction:
    """Read `docs` with `model` and write down each one as JSON that follows `schema`.

    docs          a path (JSONL, CSV, a folder of text files; any other file is one document), or texts, or mappings
                  with the fields `text`, `id`, `truth` (other names: `fields`)
    schema        a JSON Schema (dict, or path of a file), a Python type, or its name as "module:Name"
    examples      (text, answer) pairs, or a path of documents with their truth, shown before each document
    instructions  the first line of the prompt
    out           also keep the records in this JSONL file, safe against a kill at any moment (see `journal.py`); a
                  finished file of the very same job is read, not made again
    max_tokens    most tokens of an answer; every answer is complete within it
    watch         called with the figures so far

    A document that cannot be read or answered becomes a record with an error; the others go on. With a type as schema,
    `data` is of that type.

    Raises JobError when the job cannot start or go on, InvalidConstraint or UnsupportedConstraint for the schema.

    >>> from lmprog.testing import RandomModel
    >>> done = extract(RandomModel(1), ["Anna, 7", "Bo, 8"], {"enum": ["one", "two"]})
    >>> [record.data in ("one", "two") for record in done.records]
    [True, True]
    """
    goal = target(schema)
    shots = read_examples(examples, fields) if isinstance(examples, str | Path) else examples
    job = Job(source(docs, fields, format), goal, layout(goal.schema, shots, instructions), max_tokens, sampling)
    if out is None:
        memory = Memory()
        summary = run(job, job.worker(model), memory, watch)
        return _extraction(job, memory.lines(), summary)
    path = Path(out)
    journal = open_journal(path, job.parts(model.name), resume=resume, overwrite=overwrite)
    if journal is not None:
        with closing(journal):
            run(job, job.worker(model), journal, watch)
    with path.open("rb") as lines:
        return _extraction(job, lines, saved(path))


def _extraction(job: Job, lines: Iterable[bytes], summary: Summary) -> Extraction:
    records = [json.loads(line) for line in lines]
    truths = (doc.truth for doc in job.source.read())
    result = score(zip((record["data"] for record in records), truths, strict=True))
    return Extraction([_record(job.target, record) for record in records], summary, result)


def _record(goal: Target, fields: Mapping[str, Any]) -> Record:
    record = Record(**fields)
    if record.error is not None:
        return record
    return Record(record.id, goal.read(json.dumps(record.data)), None, record.usage)
