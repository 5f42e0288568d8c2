"""Many rows through one program: several are under way at once, and the runtime batches what they ask for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sized
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any, Protocol

from .errors import ProgramError
from .models import Canceller
from .run import Run, Usage

Begin = Callable[[int, tuple[Any, ...], dict[str, Any], Canceller], Future[Run[Any]]]


class Bar(Protocol):
    """Told of each row that is done."""

    def __call__(self, usage: Usage, failed: bool) -> None: ...


def map_rows(begin: Begin, rows: Iterable[Any], **how: Any) -> list[Any]:
    """`Program.map` without its options: the values of the runs."""
    return [run.value if isinstance(run, Run) else run for run in map_runs(begin, rows, **how)]


def map_runs(
    begin: Begin, rows: Iterable[Any], *, progress: bool, errors: str, concurrency: int, title: str
) -> list[Any]:
    """The runs, in order, or the exceptions in their places."""
    if errors not in ("raise", "return"):
        raise ProgramError(f'errors is "raise" or "return", not {errors!r}')
    if concurrency < 1:
        raise ProgramError(f"concurrency is 1 or more, not {concurrency!r}")
    total = len(rows) if isinstance(rows, Sized) else None
    values: dict[int, Any] = {}
    with bar_of(progress, title, total) as bar, closing(as_done(begin, rows, concurrency)) as finished:
        for index, row, done in finished:
            error = done.exception()
            if error is not None and (errors == "raise" or not isinstance(error, Exception)):
                error.add_note(f"in row {index} of {title}.map: {_short(row)}")
                raise error
            values[index] = done.result() if error is None else error
            bar(done.result().usage if error is None else Usage(), error is not None)
    return [values[index] for index in range(len(values))]


def as_done(begin: Begin, rows: Iterable[Any], concurrency: int) -> Generator[tuple[int, Any, Future[Run[Any]]]]:
    """Rows as they are done. Leaving early, by whatever exception, cancels all that is under way and waits for it."""
    canceller = Canceller()
    waiting = iter(enumerate(rows))
    running: dict[Future[Run[Any]], tuple[int, Any]] = {}
    try:
        while True:
            while len(running) < concurrency and (item := next(waiting, None)) is not None:
                index, row = item
                args, kwargs = _arguments(row)
                running[begin(index, args, kwargs, canceller)] = item
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield *running.pop(future), future
    finally:
        if running:
            canceller.cancel()
            wait(running)


def _arguments(row: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(row, tuple):
        return row, {}
    if isinstance(row, dict) and all(isinstance(key, str) for key in row):
        return (), row
    return (row,), {}


def bar_of(progress: bool, title: str, total: int | None) -> AbstractContextManager[Bar]:
    """On stderr, if there is to be `progress`."""
    if not progress:
        return nullcontext(lambda usage, failed: None)
    from .progress import RowsBar

    return RowsBar(title, total)


def _short(row: Any) -> str:
    text = repr(row)
    return text if len(text) <= 100 else f"{text[:99]}…"
