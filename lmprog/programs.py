"""`@program`: a Python function whose first parameter is the prompt."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import MethodType
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Protocol, TypeVar, overload

from .batch import map_rows
from .decoders import Decoder, check_decoder
from .errors import ProgramError
from .events import Event
from .holes import Boundary, check_boundary
from .models import Canceller, LanguageModel, around, choose
from .options import Options
from .outline import outline
from .preview import refuse
from .prompt import Prompt, finish
from .replay import Body
from .run import Run
from .session import Live
from .stream import Stream

P = ParamSpec("P")
T = TypeVar("T")
CALL = (
    "model",
    "decoder",
    "seed",
    "logprobs",
    "trace",
    "preview",
)  # what a call may say beside the function's own arguments


class Program(Generic[P, T]):
    """A function that writes text with holes. Call it for its plain return value, `run` it for everything else.

    Beside the function's own arguments (all but the prompt), calls take `model=`, `decoder=`, `seed=`, for the
    log-probabilities of captures `logprobs=True`, for records of every token and request `trace=True`, and
    `preview=False` to do without previews, which changes nothing but the speed; such names cannot be parameters of the
    function. Called with the prompt of a running program as first argument, it writes into that run.

    Programs hold no state of their own, so threads may share one.
    """

    def __init__(
        self, function: Callable[Concatenate[Prompt, P], T], model: LanguageModel | None, options: Options
    ) -> None:
        functools.update_wrapper(self, function)
        self.function, self.model, self.options = function, model, options
        self.__name__: str = getattr(function, "__name__", type(function).__name__)

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> T: ...
    def __call__(self, *args: Any, **kwargs: Any) -> T:
        """Run it and give what the function returns."""
        if args and isinstance(args[0], Prompt):
            return self._inline(*args, **kwargs)
        value: T = self.run(*args, **kwargs).value
        return value

    def run(self, *args: Any, **kwargs: Any) -> Run[T]:
        """Run it: value, text, captures, usage and trace."""
        return self._run(Canceller(), args, kwargs)

    async def acall(self, *args: Any, **kwargs: Any) -> T:
        """As a call, without blocking the event loop. Cancelling the task cancels the run."""
        canceller = Canceller()
        try:
            run: Run[T] = await _in_thread(self._run, canceller, args, kwargs)
            return run.value
        except asyncio.CancelledError:
            canceller.cancel()
            raise

    def stream(self, *args: Any, **kwargs: Any) -> Stream[T]:
        """The events of a run while it goes on: `for event in card.stream(...)`, or `async for`.

            for event in card.stream("cats"):
                if isinstance(event, lp.Text):
                    print(event.text, end="", flush=True)

        See `Stream`, and `lmprog.events` for the kinds of events. Leaving the loop cancels the run. Arguments are those
        of a call.
        """
        own = {name: kwargs.pop(name) for name in CALL if name in kwargs}
        model, options = choose(own.pop("model", None), self.model, self.__name__), self._options(own)
        refuse(f"{self.__name__} runs")

        def start(canceller: Canceller, listen: Callable[[Event], None]) -> Run[T]:
            return self._live(canceller, model, replace(options, preview=False), args, kwargs, listen)

        return Stream(start)

    @overload
    def map(
        self,
        rows: Iterable[Any],
        *,
        progress: bool = ...,
        errors: Literal["raise"] = ...,
        concurrency: int = ...,
        model: LanguageModel | None = ...,
        decoder: Decoder | None = ...,
        seed: int | None = ...,
    ) -> list[T]: ...
    @overload
    def map(
        self,
        rows: Iterable[Any],
        *,
        progress: bool = ...,
        errors: Literal["return"],
        concurrency: int = ...,
        model: LanguageModel | None = ...,
        decoder: Decoder | None = ...,
        seed: int | None = ...,
    ) -> list[T | Exception]: ...
    def map(
        self,
        rows: Iterable[Any],
        *,
        progress: bool = False,
        errors: Literal["raise", "return"] = "raise",
        concurrency: int = 32,
        model: LanguageModel | None = None,
        decoder: Decoder | None = None,
        seed: int | None = None,
    ) -> list[Any]:
        """The values for many rows, in order; up to `concurrency` rows are under way at once.

        A row is a tuple of arguments, a dict of keyword arguments, or a single argument (wrap one that is itself a
        tuple or dict: `(row,)`). errors="raise" stops at the first row that fails and raises its exception, with a
        note that says which row it was; errors="return" puts the exception in the place of the value and goes on.
        With a `seed` every row derives its own from it, so that results do not depend on `concurrency`.
        `progress=True` shows a bar on stderr.
        """
        options = self._options({"decoder": decoder, "seed": seed})
        model = choose(model, self.model, self.__name__)

        def run(index: int, args: tuple[Any, ...], kwargs: dict[str, Any], canceller: Canceller) -> Run[T]:
            return self._live(canceller, model, options.for_row(index), args, kwargs)

        return map_rows(run, rows, progress=progress, errors=errors, concurrency=concurrency, title=self.__name__)

    def samples(self, n: int, /, *args: Any, independent: bool = False, **kwargs: Any) -> list[Run[T]]:
        """n runs with the same arguments, together.

        They spread evenly over what the program can give (arithmetic sampling, Vilnis et al. 2023): each run by itself
        is distributed as a single `run`, but together they repeat one another less, and averages over them vary
        less. With `independent=True` each derives its own seed instead, as the rows of `map` do. Other options as in
        `run`; a decoder that samples is needed, or holes with a temperature: under Argmax all are the same.
        """
        own = {name: kwargs.pop(name) for name in CALL if name in kwargs}
        model = choose(own.pop("model", None), self.model, self.__name__)
        options = self._options(own)
        if options.base_seed() is None:
            options = replace(options, seed=secrets.randbits(63))

        def run(index: int, args: tuple[Any, ...], _: dict[str, Any], canceller: Canceller) -> Run[Any]:
            one = options.for_row(index) if independent else options.for_sample(index, n)
            done: Run[Any] = self._live(canceller, model, one, args, kwargs)
            return replace(done, value=done)

        rows = [args] * n
        return map_rows(run, rows, progress=False, errors="raise", concurrency=32, title=self.__name__)

    def prompt(self, *args: Any, **kwargs: Any) -> str:
        """The text that a run would begin with, holes shown as ⟨name: kind⟩; needs no model.

        A hole's value is unknown here. It may be appended again and shows as ⟨name⟩; at anything else that is asked
        of it, a branch for instance, the text ends with a line that says so.
        """
        return outline(self.function, args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Program[..., T]:
        if instance is None:
            return self
        return Program(MethodType(self.function, instance), self.model, self.options)

    def __deepcopy__(self, memo: object) -> Program[P, T]:
        return self  # it has no state: copies of what a program was given, for previews, share it

    def __repr__(self) -> str:
        return f"<program {self.__name__}{inspect.signature(self.function)}>"

    def _inline(self, p: Prompt, /, *args: Any, **kwargs: Any) -> T:
        if clash := [name for name in CALL if name in kwargs]:
            raise ProgramError(f"{self.__name__}(p, ...) writes into a run under way: {clash[0]}= cannot change there")
        own = self.options.decoder
        with p.decoding(own) if own is not None else contextlib.nullcontext():
            return self.function(p, *args, **kwargs)

    def _run(self, canceller: Canceller, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run[T]:
        own = {name: kwargs.pop(name) for name in CALL if name in kwargs}
        model = choose(own.pop("model", None), self.model, self.__name__)
        return self._live(canceller, model, self._options(own), args, kwargs)

    def _options(self, own: dict[str, Any]) -> Options:
        given = {name: value for name, value in own.items() if value is not None}
        if "decoder" in given:
            check_decoder(given["decoder"])
        return replace(self.options, **given)

    def _live(
        self,
        canceller: Canceller,
        model: LanguageModel,
        options: Options,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        listen: Callable[[Event], None] | None = None,
    ) -> Run[T]:
        refuse(f"{self.__name__} runs")
        live = Live(model, options, canceller, Body(self.function, args, kwargs), listen)
        p = Prompt(live)
        try:
            with around(model):
                value = self.function(p, *args, **kwargs)
        finally:
            finish(p)
        return live.finished(value)


class Decorator(Protocol):
    """What `program(...)` with options returns."""

    @overload
    def __call__(self, function: Callable[Concatenate[Prompt, P], T], /) -> Program[P, T]: ...
    @overload
    def __call__(self, function: Callable[..., T], /) -> Program[..., T]: ...


@overload
def program(function: Callable[Concatenate[Prompt, P], T], /) -> Program[P, T]: ...
@overload
def program(function: Callable[..., T], /) -> Program[..., T]: ...
@overload
def program(
    *,
    model: LanguageModel | None = None,
    decoder: Decoder | None = None,
    seed: int | None = None,
    boundary: Boundary = "heal",
    trace: bool = False,
    preview: bool = True,
) -> Decorator: ...
def program(
    function: Callable[..., Any] | None = None,
    /,
    *,
    model: LanguageModel | None = None,
    decoder: Decoder | None = None,
    seed: int | None = None,
    boundary: Boundary = "heal",
    trace: bool = False,
    preview: bool = True,
) -> Any:
    """Make a program of a function whose first parameter is the prompt `p`.

    model     runs it, unless a call or `lp.using` says otherwise
    decoder   Argmax() (the default) or Sample(...)
    boundary  "heal" (the default): at a hole the last tokens of the text are chosen anew together with the value's
              first, so that it does not matter where the text ends; "token": the text's tokens stay as they are
    trace     keep records of every token and request in the run: `Run.tokens`, `Run.requests`
    preview   run the body without a model first, to see which holes come next and fill them in one request; False: one
              by one, with the same results

    >>> from lmprog import gen, program
    >>> @program
    ... def card(p, topic):
    ...     return p("Topic: ", topic, "\\nAge: ", gen(int, ge=0, name="age"))
    >>> print(card.prompt("cats"))
    Topic: cats
    Age: ⟨age: int, ge=0⟩
    """
    if decoder is not None:
        check_decoder(decoder)
    options = Options(decoder, seed, check_boundary(boundary), trace=trace, preview=preview)
    if function is not None:
        return Program(_checked(function), model, options)
    return lambda function: Program(_checked(function), model, options)


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    name = getattr(function, "__name__", repr(function))
    if not callable(function) or isinstance(function, type):
        raise ProgramError(f"@program is for functions, not {function!r}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise ProgramError(
            f"{name} is async or a generator; write a plain def and call it by `await {name}.acall(...)`"
        )
    parameters = inspect.signature(function).parameters
    if not any(q.kind in (q.POSITIONAL_ONLY, q.POSITIONAL_OR_KEYWORD, q.VAR_POSITIONAL) for q in parameters.values()):
        raise ProgramError(f"{name} needs the prompt as its first parameter: def {name}(p, ...)")
    if clash := [reserved for reserved in CALL if reserved in parameters]:
        raise ProgramError(
            f"{name} has a parameter {clash[0]!r}, which calls of programs keep for themselves: rename it"
        )
    return function


async def _in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """asyncio.to_thread without its limit on threads."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def settle(outcome: tuple[Any, BaseException | None]) -> None:
        if not done.done():
            done.set_result(outcome)

    def work() -> None:
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = context.run(function, *args), None
        except BaseException as error:
            outcome = None, error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=work, name="lmprog-acall", daemon=True).start()
    result, error = await done
    if error is not None:
        raise error
    return result
