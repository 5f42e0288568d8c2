"""`lp.evaluate`: a program over rows of data, scored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ..batch import as_done, bar_of
from ..decoders import Argmax, Decoder
from ..errors import EvaluationError
from ..models import Canceller, LanguageModel
from ..options import Options
from ..page import unseeded
from ..programs import Program
from ..run import Capture, Captures, Run, Usage
from ..tool_calls import executed
from .cache import Kept, Where, opened
from .data import Data, arguments, chosen, read
from .metrics import COMPARE, EXPECTED, Function, Metric, metrics, number
from .result import Evaluation, RowError, Scored

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """Of one row: what came out, which of its calls of tools ran, which holes were drawn without a seed, and whether it
    was done before."""

    index: int
    ran: Run[Any] | Exception
    calls: list[bool] = field(default_factory=list)
    drawn: list[str] = field(default_factory=list)
    cached: bool = False


@dataclass(frozen=True)
class Job:
    """calls, how: by the rows' numbers, what the program takes of each, and how it runs on it."""

    program: Program[..., Any]
    model: LanguageModel
    how: Callable[[int], Options]
    calls: dict[int, dict[str, Any]]
    concurrency: int


def evaluate(
    program: Program[..., Any],
    data: Data,
    metric: Metric | Sequence[Metric] | Mapping[Any, float],
    *,
    model: LanguageModel | None = None,
    decoder: Decoder | None = None,
    seed: int | None = None,
    cache: Where = None,
    progress: bool = False,
    concurrency: int = 32,
    rows: Sequence[int] | None = None,
) -> Evaluation:
    """Run a program on every row of `data` and score what comes out.

        result = lp.evaluate(card, [{"topic": "cats", "expected": "poem"}, ...], "exact", model=model)
        result.mean, result.interval, result.errors

    data    dicts, or a .jsonl or .csv file of them. Keys that are parameters of the program are its arguments; all
            others, such as `expected`, are for the metric
    metric  a name (see `lmprog.evaluation.metrics`: "exact", "f1", "json", ...), which compares the value with
            `row["expected"]`, or a function `(row, run) -> float or bool`; a list of them, of which the first is the
            one that counts; or weights, as in {"exact": 2, "f1": 1}: then their weighted mean is the one that counts
    seed    as in `map`: each row derives its own from it and its place in `data`
    cache   True, or a file: runs that were done before, with all that decides them the same, are taken from there, and
            new ones are kept; see docs/evaluate.md. What was not kept is said in `Evaluation.uncached`
    progress, concurrency   as in `map`
    rows    only these rows of `data`, by number; each gives what it gives among all

    What a metric gets of a run is value, text, captures (without `dist`, and certificates without `particles` and
    `ess`), usage, messages, slots and verdicts. A row whose run or metric fails scores 0, and is in
    `Evaluation.errors`.

    Raises EvaluationError for data, rows, metrics and caches that cannot be, or when the metric fails on every row.
    Warns with CacheWarning when a cache is damaged or cannot be written.
    """
    if not isinstance(program, Program):
        raise EvaluationError(f"what is evaluated is a program, of @lp.program or lp.Template, not {program!r:.100}")
    functions, table = metrics(metric), read(data)
    calls = {index: _call(program, table[index], index, functions) for index in chosen(rows, len(table))}
    chosen_model = program.chosen(model)
    options = program._options({"decoder": decoder, "seed": seed})
    job = Job(program, chosen_model, options.for_row, calls, concurrency)
    began, found = time.perf_counter(), {}
    with bar_of(progress, program.__name__, len(calls)) as bar, opened(cache, program, chosen_model) as kept:
        kept.begin(options)
        for done in _found(job, kept):
            row = found[done.index] = _scored(done, table[done.index], functions)
            bar(Usage() if done.cached else row.usage, row.error is not None)
    result = Evaluation(
        program=program.__name__,
        model=chosen_model.name,
        decoder=repr(options.decoder or Argmax()),
        seed=options.base_seed(),
        metrics=tuple(functions),
        rows=tuple([found[index] for index in sorted(found)]),
        seconds=time.perf_counter() - began,
        uncached=kept.why,
    )
    _check(result)
    return result


def _call(
    program: Program[..., Any], row: dict[str, Any], index: int, functions: Mapping[str, Function]
) -> dict[str, Any]:
    named = next((name for name in functions if name in COMPARE), None)
    if named is not None and EXPECTED not in row:
        raise EvaluationError(f"row {index} has no {EXPECTED!r}, with which {named} compares; it has {', '.join(row)}")
    return arguments(program, row, f"row {index}")


def _found(job: Job, kept: Kept) -> Iterator[Outcome]:
    """Each as it is known: those that were done before, then the others."""
    keys = {index: kept.key(job.how(index), call) for index, call in job.calls.items()}
    left = []
    for index, key in keys.items():
        if (done := kept.get(key)) is not None:
            yield Outcome(index, *done, cached=True)
        else:
            left.append(index)
    for outcome in outcomes(job, left):
        if isinstance(outcome.ran, Run):
            kept.put(keys[outcome.index], (outcome.ran, outcome.calls), outcome.drawn)
        yield outcome


def outcomes(job: Job, indexes: Sequence[int]) -> Iterator[Outcome]:
    """Each as it is done."""
    notes: dict[int, tuple[list[bool], list[str]]] = {}

    def begin(n: int, args: tuple[Any, ...], kwargs: dict[str, Any], canceller: Canceller) -> Future[Run[Any]]:
        notes[n] = [], []
        with noting(executed, notes[n][0]), noting(unseeded, notes[n][1]):
            body = job.program.body(args, kwargs)
            return job.program._start(canceller, job.model, job.how(indexes[n]), body)

    rows = [job.calls[index] for index in indexes]
    with closing(as_done(begin, rows, job.concurrency)) as finished:
        for n, _, done in finished:
            error = done.exception()
            if error is not None and not isinstance(error, Exception):
                raise error
            yield Outcome(indexes[n], light(done.result()) if error is None else error, *notes.pop(n))


@contextmanager
def noting(variable: ContextVar[list[T] | None], notes: list[T]) -> Iterator[None]:
    """Runs that begin inside add to these notes."""
    token = variable.set(notes)
    try:
        yield
    finally:
        variable.reset(token)


def light(run: Run[Any]) -> Run[Any]:
    """Without what would keep a model, or the records of every token."""
    captures = [_light(capture) for capture in run.captures.all()]
    return replace(run, captures=Captures(captures), trace=(), tokens=(), requests=(), causes={}, model=None)


def _light(capture: Capture) -> Capture:
    known = capture.certificate
    told = None if known is None else replace(known, ess=(), particles=())
    parts = capture.name, capture.value, capture.text, capture.span, capture.tokens, capture.finish, capture.logprob
    return Capture(*parts, certificate=told)


def _scored(done: Outcome, row: dict[str, Any], functions: Mapping[str, Function]) -> Scored:
    index, ran, zero = done.index, done.ran, (0.0,) * len(functions)
    if isinstance(ran, Exception):
        return Scored(index, row, None, zero, RowError(index, type(ran).__name__, str(ran)))
    scored = Scored(index, row, ran, zero, None, done.cached, len(done.calls), sum(done.calls))
    try:
        return replace(scored, scores=tuple([number(function(dict(row), ran)) for function in functions.values()]))
    except Exception as error:  # whatever a user's function raises
        return replace(scored, error=RowError(index, type(error).__name__, str(error), "metric"))


def _check(result: Evaluation) -> None:
    """A metric that fails everywhere is wrong itself."""
    failed = [error for error in result.errors if error.where == "metric"]
    if failed and len(failed) == len([row for row in result.rows if row.run is not None]):
        first = failed[0]
        raise EvaluationError(f"the metric fails on every row; on row {first.index}: {first.type}: {first.message}")
