"""`extract`: from documents to records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..grammars.corpus import Corpus
from ..models import LanguageModel
from ..runtime.sampling import Sampling
from .answer import Answers
from .calibration import Calibration
from .citing import read_corpus, signature
from .cluster import Cluster
from .documents import Document, Fields, Format, Source, source
from .fleet import Fleet
from .layout import Layout, digest, read_examples
from .letters import write_letters
from .opening import open_state
from .reading import PLAIN, Chunks, Reading
from .records import Record
from .review import write_review
from .score import Score, score
from .shots import Choose, prompts
from .state import State
from .summary import Meter, Summary, counting
from .target import Target, target
from .trying import TRYING, Trying
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
    reading: Reading = PLAIN
    trying: Trying = TRYING
    corpus: Corpus | None = None  # that quotes are of, rather than of the document

    def parts(self, model: str) -> dict[str, Any]:
        """What has to be the same for a resume, by name; texts as digests."""
        return {
            "schema": digest(json.dumps(self.target.schema)),
            **self.layout.parts(),
            "input": self.source.digest,
            "model": model,
            "settings": {"max_tokens": self.max_tokens, **asdict(self.sampling), **self.reading.parts()},
            **({} if self.corpus is None else {"corpus": signature(self.corpus)}),
        }

    def about(self) -> dict[str, Any]:
        """What else the state is to know of it."""
        return {"schema": self.target.schema, "input": self.source.name}

    def worker(self, model: LanguageModel | Cluster) -> Worker | Fleet:
        """Raises JobError when no answer fits in `max_tokens`."""
        if isinstance(model, Cluster):
            return model.worker(self)
        answers = Answers(model, self.target, self.layout, self.max_tokens, self.sampling, self.reading, self.corpus)
        return Worker(model, answers, self.trying.timeout)


class Desk:
    """Takes the records of one worker into the state, and tells `watch` the figures."""

    def __init__(self, job: Job, worker: Worker | Fleet, state: State, watch: Watch | None) -> None:
        self._job, self._state, self._watch = job, state, watch
        self._meter, self._own = Meter(counting(worker.model)), 0

    def figures(self) -> Summary:
        done, failed = self._state.counts()
        return self._meter.read(done, failed, done - self._own)

    def put(self, records: Records) -> None:
        self._own += self._state.add(records, asdict(self.figures()), self._job.trying)
        if self._watch is not None:
            self._watch(self.figures())


def run(job: Job, worker: Worker | Fleet, state: State, watch: Watch | None = None) -> Summary:
    """Do what is not done yet, together with all others who work on `state`, and put the output in place.

    This is the seam between the state and the machines: `worker.run` is given documents with their numbers, which are
    leased to this process while it lasts, and calls `put` with records. `watch` is told the figures whenever records
    were added.
    """
    desk = Desk(job, worker, state, watch)
    while state.more():
        worker.run(by_prefix(job, state), desk.put)
    summary = desk.figures()
    finish(job, state, summary)
    return summary


def finish(job: Job, state: State, summary: Summary) -> None:
    """Put the output in place, and the dead letters beside it."""
    out = state.out
    state.finish(asdict(summary), lambda: None if out is None else write_letters(out, state.db, job.source))


def by_prefix(job: Job, state: State) -> Iterator[tuple[int, Document]]:
    """The documents that this worker is to do: those with the same examples in the prompt one after the other."""
    for n in range(len(job.layout.sets)):
        yield from job.source.pick(state.claims(lambda number, n=n: job.layout.set_of(number) == n))  # type: ignore[misc]


def settled(job: Job, state: State) -> Summary | None:
    """The figures of a job that needs no model any more; its output is put in place if that was not done yet."""
    if not state.complete:
        return None
    if not state.finished:
        done, failed = state.counts()
        finish(job, state, Summary(done, failed, done))
    return Summary(**state.db.get("summary"))


def open_memory(total: int) -> State:
    """A state that is not on disk."""
    state = State(None, total)
    with state.db.write():
        state.begin({})
        state.join()
    return state


@dataclass(frozen=True)
class Extraction:
    """The outcome of a job, records in the order of the documents.

    `score` compares them with the truth, where the documents carry one.
    """

    records: list[Record]
    summary: Summary
    score: Score | None


def extract(
    model: LanguageModel | Cluster,
    docs: str | Path | Iterable[Any],
    schema: Any,
    *,
    examples: str | Path | Iterable[tuple[str, Any]] = (),
    shots: int | None = None,
    choose: Choose = "first",
    sets: int | None = None,
    instructions: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    max_tokens: int = MAX_TOKENS,
    sampling: Sampling = GREEDY,
    fields: Fields = FIELDS,
    format: Format | None = None,
    query: str | None = None,
    watch: Watch | None = None,
    retries: int = TRYING.retries,
    timeout: float | None = None,
    confidence: bool = False,
    evidence: bool = False,
    calibration: Calibration | str | Path | None = None,
    abstain: float | None = None,
    review: str | Path | None = None,
    chunks: Chunks | None = None,
    corpus: Corpus | str | Path | None = None,
) -> Extraction:
    """Read `docs` with `model` and write down each one as JSON that follows `schema`.

    docs          a path (JSONL, CSV, Parquet, a folder of text, HTML and PDF; any other file is one document), a
                  DuckDB database with a `query`, or texts, or mappings with the fields `text`, `id`, `truth` (other
                  names: `fields`)
    schema        a JSON Schema (dict, or path of a file), a Python type, or its name as "module:Name"
    examples      (text, answer) pairs, or a path of documents with their truth, shown before each document
    shots         how many of them (None: all), the first ones or, with choose="bm25", those that are most like the
                  document, in at most `sets` different sets (None: one for 8 documents, 64 at most; see `shots.py`)
    instructions  the first line of the prompt
    out           also keep the records here, safe against a kill at any moment (see `state.py`): in a JSONL file, a
                  .parquet file, or a table ("NAME.duckdb#TABLE", "NAME.sqlite#TABLE"); what is finished by the very
                  same job is read, not made again
    resume        go on with an unfinished run, or join one that another process is at
    overwrite     replace an output, or an unfinished one, and start anew
    max_tokens    most tokens of an answer; every answer is complete within it
    watch         called with the figures so far
    retries       further attempts after errors of the moment (a busy server, a full pool; see `trying.py`)
    timeout       seconds that a document may take, waiting for its turn included
    confidence    also say how probable each value is: `confidence` of a record
    evidence      also say where texts stand in the document: `evidence` of a record
    calibration   what `calibrate` made, or a file of it: confidences are what it makes of them
    abstain       values of a lower confidence become null, with a reason in `abstained`, or are `doubted` where the
                  schema allows no null
    review        write this file for people who check values, the most doubtful first (see `review.py`)
    chunks        how documents are read that are too long; by default in as few pieces as fit, with merged answers
    corpus        what quotes are verbatim in, rather than in the document: an lp.Corpus, a folder that one was saved
                  in, or a path of documents

    A document that cannot be read or answered becomes a record with an error; the others go on. With a type as schema,
    `data` is of that type.

    Raises JobError when the job cannot start or go on (JobCancelled: somebody cancelled it), InvalidConstraint or
    UnsupportedConstraint for the schema.

    >>> from lmprog.testing import RandomModel
    >>> done = extract(RandomModel(1), ["Anna, 7", "Bo, 8"], {"enum": ["one", "two"]})
    >>> [record.data in ("one", "two") for record in done.records]
    [True, True]
    """
    goal = target(schema)
    pool = read_examples(examples, fields) if isinstance(examples, str | Path) else examples
    texts = source(docs, fields, format, query)
    prompt = prompts(goal.schema, list(pool), texts, instructions, shots, choose, sets)
    learnt = Calibration.load(calibration) if isinstance(calibration, str | Path) else calibration
    how = Reading(confidence or review is not None, evidence, learnt, abstain, chunks or Chunks())
    cited = read_corpus(corpus, goal, fields)
    job = Job(texts, goal, prompt, max_tokens, sampling, how, Trying(retries, timeout), cited)
    parts = job.parts(model.name)
    how.check(parts)
    if out is None:
        state = open_memory(job.source.total)
    else:
        state = open_state(Path(out), parts, job.source.total, resume=resume, overwrite=overwrite, about=job.about())
    with closing(state):
        summary = settled(job, state) or run(job, job.worker(model), state, watch)
        if review is not None:
            write_review(review, map(json.loads, state.lines()), job.source.read())
        return _extraction(job, state.lines(), summary)


def _extraction(job: Job, lines: Iterable[bytes], summary: Summary) -> Extraction:
    records = [json.loads(line) for line in lines]
    truths = (doc.truth for doc in job.source.read())
    result = score(zip((record["data"] for record in records), truths, strict=True))
    return Extraction([_record(job.target, record) for record in records], summary, result)


def _record(goal: Target, fields: Mapping[str, Any]) -> Record:
    record = Record(**fields)
    if record.error is not None:
        return record
    quoted = [place for place in (record.evidence or {}).values() if "found" not in place]
    places = {place["text"]: (place["start"], place["end"], place.get("document")) for place in quoted}
    return replace(record, data=goal.read(json.dumps(record.data), places))
