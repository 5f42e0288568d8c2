"""`@program`: a Python function whose first parameter is the prompt."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from types import MethodType
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Protocol, TypeVar, overload

from .batch import map_rows, map_runs
from .decoders import Decoder, check_decoder
from .errors import ProgramError
from .events import Event
from .explore import explore_all
from .holes import Boundary, check_boundary
from .lookahead import Head
from .models import Canceller, LanguageModel, around, choose
from .options import CALL, Options
from .outline import outline
from .page import unseeded
from .plan import Plan
from .preview import preview, refuse
from .prompt import Prompt, finish
from .replay import Body
from .run import Run
from .session import Live
from .shortening import run as run_shorter
from .shortening import shortened
from .slot_frames import Giving, entered
from .slotted import Slotted
from .starting import start
from .stream import Stream

P = ParamSpec("P")
T = TypeVar("T")


class Program(Slotted, Generic[P, T]):
    """A function that writes text with holes. Call it for its plain return value, `run` it for everything else.

    Beside the function's own arguments (all but the prompt), calls take `model=`, `decoder=`, `seed=`, for the
    log-probabilities of captures `logprobs=True`, for records of every token and request `trace=True`, and
    `preview=False` to do without previews, which changes nothing but the speed; such names cannot be parameters of the
    function. Called with the prompt of a running program as first argument, it writes into that run.

    Programs hold no state of their own, so threads may share one.
    """

    function: Callable[Concatenate[Prompt, P], T]

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
        value: T = (await self.arun(*args, **kwargs)).value
        return value

    async def arun(self, *args: Any, **kwargs: Any) -> Run[T]:
        """As `run`, without blocking the event loop. Cancelling the task cancels the run."""
        canceller = Canceller()
        model, options = self._chosen(kwargs)
        try:
            return await _awaited(self._start(canceller, model, options, self.body(args, kwargs)))
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
        model, options = self._chosen(kwargs)
        refuse(f"{self.__name__} runs")
        body = self.body(args, kwargs)

        def begin(canceller: Canceller, listen: Callable[[Event], None]) -> Run[T]:
            return self._live(canceller, model, replace(options, preview=False), body, listen=listen)

        return Stream(begin)

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
        model = self.chosen(model)

        def begin(index: int, args: tuple[Any, ...], kwargs: dict[str, Any], canceller: Canceller) -> Future[Run[T]]:
            return self._start(canceller, model, options.for_row(index), self.body(args, kwargs))

        return map_rows(begin, rows, progress=progress, errors=errors, concurrency=concurrency, title=self.__name__)

    def samples(self, n: int, /, *args: Any, independent: bool = False, **kwargs: Any) -> list[Run[T]]:
        """n runs with the same arguments, together.

        They spread evenly over what the program can give (arithmetic sampling, Vilnis et al. 2023): each run by itself
        is distributed as a single `run`, but together they repeat one another less, and averages over them vary
        less. With `independent=True` each derives its own seed instead, as the rows of `map` do. Other options as in
        `run`; a decoder that samples is needed, or holes with a temperature: under Argmax all are the same.
        """
        model, options = self._chosen(kwargs)
        if options.base_seed() is None:
            if (notes := unseeded.get()) is not None:
                notes.append(self.__name__)
            options = replace(options, seed=secrets.randbits(63))

        def begin(index: int, args: tuple[Any, ...], _: dict[str, Any], canceller: Canceller) -> Future[Run[T]]:
            one = options.for_row(index) if independent else options.for_sample(index, n)
            return self._start(canceller, model, one, self.body(args, kwargs))

        rows, title = [args] * n, self.__name__
        return map_runs(begin, rows, progress=False, errors="raise", concurrency=32, title=title)

    def prompt(self, *args: Any, **kwargs: Any) -> str:
        """The text that a run would begin with, holes shown as ⟨name: kind⟩; needs no model.

        A hole's value is unknown here. It may be appended again and shows as ⟨name⟩; at anything else that is asked
        of it, a branch for instance, the text ends with a line that says so.
        """
        own = {name: value for name, value in kwargs.items() if name not in CALL}
        self._check_slots(self.body(args, own))
        with entered(self._frame(), Giving()):
            return outline(self.function, args, own)

    def plan(self, *args: Any, **kwargs: Any) -> Plan:
        """What a run with these arguments will do, whatever the model answers, as far as that is known; needs no model.

        >>> from lmprog import gen, program, select
        >>> @program
        ... def card(p, topic):
        ...     kind = p("Topic: ", topic, "\\nKind: ", select(["math", "poem"], name="kind"))
        ...     if kind == "math":
        ...         p("\\nNumber: ", gen(int))
        >>> print(card.plan("cats"))
        "Topic: cats\\nKind: " ⟨kind: one of 'math', 'poem'⟩
        ⟨kind⟩ = "math":
            "\\nNumber: " ⟨1: int⟩
        ⟨kind⟩ = "poem": nothing
        return
        """
        body = self._bound(args, kwargs)
        self._check_slots(body)
        return Plan(*explore_all(lambda answers: preview(body, (), answers).items))

    def __eq__(self, other: object) -> bool:
        """The same function, model and options, with the same values in its slots."""
        if not isinstance(other, Program):
            return NotImplemented
        mine, theirs = [(p.function, p.model, p.options, p._values) for p in (self, other)]
        return mine == theirs

    def __hash__(self) -> int:
        return hash(self.__name__)

    def __get__(self, instance: Any, owner: type | None = None) -> Program[..., T]:
        if instance is None:
            return self
        bound: Program[..., T] = Program(MethodType(self.function, instance), self.model, self.options)
        bound._values, bound._unsaid = self._values, self._unsaid
        return bound

    def __deepcopy__(self, memo: object) -> Program[P, T]:
        return self  # it has no state: copies of what a program was given, for previews, share it

    def __repr__(self) -> str:
        return f"<program {self.__name__}{inspect.signature(self.function)}{self._changed()}>"

    def _inline(self, p: Prompt, /, *args: Any, **kwargs: Any) -> T:
        if clash := [name for name in CALL if name in kwargs]:
            raise ProgramError(f"{self.__name__}(p, ...) writes into a run under way: {clash[0]}= cannot change there")
        own = self.options.decoder
        with (
            p.decoding(own) if own is not None else contextlib.nullcontext(),
            entered(self._frame(root=False)),
        ):
            return self.function(p, *args, **kwargs)

    def _run(self, canceller: Canceller, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run[T]:
        model, options = self._chosen(kwargs)
        return self._live(canceller, model, options, self.body(args, kwargs))

    def _chosen(self, kwargs: dict[str, Any]) -> tuple[LanguageModel, Options]:
        """The model and options of a call, whose own words are taken out of its arguments."""
        own = {name: kwargs.pop(name) for name in CALL if name in kwargs}
        model = self.chosen(own.pop("model", None))
        return model, self._options(own)

    def chosen(self, model: LanguageModel | None) -> LanguageModel:
        """The model of a call with `model=`. Raises NoModel."""
        return choose(model, self.model, self.__name__)

    def _options(self, own: dict[str, Any]) -> Options:
        given = {name: value for name, value in own.items() if value is not None}
        if "decoder" in given:
            check_decoder(given["decoder"])
        return replace(self.options, **given)

    def _seeds(self, options: Options) -> list[int | None]:
        """From which the draws of a run derive."""
        return [options.seed]

    def _start(self, canceller: Canceller, model: LanguageModel, options: Options, body: Body) -> Future[Run[T]]:
        """A run that goes on by itself."""
        refuse(f"{self.__name__} runs")
        return start(body, model, options, canceller, partial(self._live, canceller, model, options, body))

    def _live(
        self,
        canceller: Canceller,
        model: LanguageModel,
        options: Options,
        body: Body,
        head: Head | None = None,
        listen: Callable[[Event], None] | None = None,
    ) -> Run[T]:
        refuse(f"{self.__name__} runs")
        live = Live(model, options, canceller, body, listen)
        if head is not None:
            live.begin(head)
        p = Prompt(live)
        self._check_slots(body)
        try:
            with around(model):
                value = run_shorter(live, body, p)
        finally:
            finish(p)
        self._refuse_others(body.slots)
        return replace(live.finished(value), shortened=shortened(body.given))


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
    decoder   Argmax() (the default), Sample(...), or another: ASAp, Rejection, SMC, AWRS, Exhaustive, Beam, BestOf,
              Consistent, Arithmetic, Contrast, Proxy, Abstain
    boundary  "heal" (the default): at a hole the last tokens of the text are chosen anew together with the value's
              first, so that it does not matter where the text ends; "token": the text's tokens stay as they are;
              "exact": the end of the text is taken as a string, in all its spellings (see `lmprog.exact`)
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


async def _awaited(future: Future[Run[T]]) -> Run[T]:
    """asyncio.wrap_future, but for a future that cannot be cancelled and a loop that may be closed when it is done."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def tell(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(tell)
    await done.wait()
    return future.result()
