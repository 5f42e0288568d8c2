"""A preview: the body runs with abstract values, in the caller's thread, and what it does is noted instead of done.

Why re-execution, and not the function's source: bodies call helpers, close over data, loop, and are methods; a run of
the body knows all that by itself. It is speculation. A body may be impure, and a preview may guess wrong, so a live run
checks every step against the plan and never depends on it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Any, NoReturn, TypeVar, cast

from .abstract import BROKEN, Abstract, Source
from .decoders import Decoder
from .grammars.finite import texts
from .holes import Hole
from .plan import Branch, Decoding, End, Fill, Item, Piece, Ref, Role, Shown, Text, Why, key_of
from .prompt import Prompt, Roles, Session, finish
from .replay import Body, CannotCopy, replica

MARK = re.compile("\ue000aZ([0-9]+)\ue001")  # changes with the letters' case: a text made upper case is noticed
HOLES = 64  # of a path; a loop without an end has to stop somewhere
ITEMS = 1024  # of a path
EAGER = 16  # values of an Enum or of bool that are told apart at once, as programs compare them by `is`


class SegmentEnd(BaseException):
    """The preview is over. Not an Exception, so that a program's own handlers let it pass."""


@dataclass(frozen=True)
class Wrote:
    text: str


@dataclass(frozen=True)
class Filled:
    """A hole was filled with a text."""

    key: tuple[Any, ...]
    text: str


@dataclass(frozen=True)
class Failed:
    """A step raised an exception, which a preview cannot repeat."""


@dataclass(frozen=True)
class Effect:
    """`p.effect` was done, and gave a value."""

    value: Any


Past = Wrote | Filled | Role | Decoding | Effect | Failed


class Preview:
    """A session that notes what happens: it must begin with what `past` says, and the rest is in `items`.

    answers   which way to go at each question, by number; the first way where they are used up
    domains   of each hole in `items`: the values that are still possible, None: too many
    """

    def __init__(self, past: Sequence[Past] = (), answers: Sequence[int] = ()) -> None:
        self.past, self.answers = past, answers
        self.items: list[Item] = []
        self.domains: list[tuple[str, ...] | None] = []
        self._names: list[str] = []
        self.roles = Roles()
        self.ended: End | None = None
        self.active = True
        self._refs: list[tuple[int, str, Shown | None, Callable[[str], str]]] = []
        self._at = self._asked = self._filled = 0

    @property
    def reached(self) -> bool:
        """The past is over."""
        return self._at == len(self.past)

    @property
    def spelt(self) -> bool:
        """Texts were made of holes' values, and what was asked of those is not known."""
        return bool(self._refs)

    # -- the session ---------------------------------------------------------------------------------------------

    def text(self, text: str) -> None:
        self._go_on()
        if not text:
            return
        text = str(text)  # a slot's too
        self.roles.text()
        if self._past(Wrote(text)) is None:
            self._note(Text(self._pieces(text)))

    def fill(self, hole: Hole, follow: str) -> Any:
        self._go_on()
        self.roles.hole()
        key, name = key_of(hole), hole.name or str(self._filled)
        self._filled += 1
        if (done := self._past(Filled(key, ""))) is not None:
            return hole.parse(cast(Filled, done).text)
        if hole.check is not None or hole.monitor is not None:
            self.end("unknown", f"{name} depends on the program's own code")
        options = options_of(hole)
        if BROKEN.search("\n".join([hole.kind, name, *hole.stop, *(options or ())])):
            self.end("question", "a hole is described by the value of another")
        if len(self.domains) == HOLES:
            self.end("budget", f"{HOLES} holes on one path")
        self._note(Fill(key, name, self._pieces(follow), hole, options))
        self.domains.append(options)
        self._names.append(name)
        source = Source(self, len(self.domains) - 1, name, hole.parse, hole.type)
        return source.value() if options and _singletons(hole, options) else Abstract(source)

    def open(self, role: str, name: str | None) -> None:
        self._go_on()
        self.roles.begin(role)
        self._role(Role(role, name))

    def close(self) -> None:
        if self.ended is None:
            self.roles.end()
            self._role(Role())

    def _role(self, role: Role) -> None:
        if self._past(role) is None:
            self._note(role)

    @contextlib.contextmanager
    def decoding(self, decoder: Decoder) -> Iterator[None]:
        self._go_on()
        self._decoding(Decoding(decoder))
        yield
        if self.ended is None:
            self._decoding(Decoding(None))

    def _decoding(self, decoding: Decoding) -> None:
        if self._past(decoding) is None:
            self._note(decoding)

    def effect(self, function: Callable[[], Any]) -> Any:
        self._go_on()
        done = self._past(Effect(None))
        return replica(cast(Effect, done).value) if done is not None else self.end("effect")

    def score(self, question: object, boundary: object) -> Any:
        self._go_on()
        done = self._past(Effect(None))
        return cast(Effect, done).value if done is not None else self.end("unknown", "p.score")

    def __getattr__(self, name: str) -> Any:
        """Whatever else a live run can do is more than a preview knows."""
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self.end("unknown", f"p.{name}")

    # -- for abstract values -------------------------------------------------------------------------------------

    def choose(self, at: int, cells: Sequence[tuple[str, ...]]) -> int:
        """A question to hole number `at` splits its values into `cells`: the one to go on with."""
        self._go_on()
        if len(cells) == 1:
            return 0
        chosen = self.answers[self._asked] if self._asked < len(self.answers) else 0
        self._asked += 1
        if chosen >= len(cells):
            self.end("unknown", "the body does not do the same again")
        self._note(Branch(len(self.domains) - at, self._names[at], tuple(cells)))
        self.domains[at] = cells[chosen]
        return chosen

    def marked(self, at: int, label: str, shown: Shown | None, render: Callable[[str], str]) -> str:
        """A marker for a text that is made of a hole's value."""
        self._go_on()
        self._refs.append((at, label, shown, render))
        return f"\ue000aZ{len(self._refs) - 1}\ue001"

    def end(self, why: Why, detail: str = "") -> NoReturn:
        self.ended = self.ended or End(why, detail)
        raise SegmentEnd

    def raised(self, error: BaseException) -> End:
        """The body ended by an exception."""
        return End("exception", f"{type(error).__name__}: {error}")

    # -- its own -------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if self.ended is not None:
            raise SegmentEnd

    def _past(self, step: Past) -> Past | None:
        """What the past has in this place, if it has one."""
        if self.reached:
            return None
        done = self.past[self._at]
        if type(step) is not type(done) or _open(step) != _open(done):
            self.end("unknown", "the body does not do the same again")
        self._at += 1
        return done

    def _note(self, item: Item) -> None:
        if len(self.items) == ITEMS:
            self.end("budget", f"{ITEMS} steps on one path")
        self.items.append(item)

    def _pieces(self, text: str) -> tuple[Piece, ...]:
        parts: list[Piece] = list(MARK.split(text))
        parts[1::2] = [self._ref(int(str(part))) for part in parts[1::2]]
        if any([isinstance(part, str) and BROKEN.search(part) for part in parts[::2]]):
            self.end("question", "a value's text was changed")
        return tuple([part for part in parts if part != ""])

    def _ref(self, number: int) -> Piece:
        at, label, shown, render = self._refs[number]
        domain = self.domains[at]
        if shown is not None and domain is not None:
            shown = tuple([(value, text) for value, text in shown if value in domain])
            if len({text for _, text in shown}) == 1:
                return shown[0][1]
        return Ref(len(self.domains) - at, label, shown, render)


def _open(step: Past) -> Past | tuple[Any, ...]:
    """Without what only the past can know."""
    return step.key if isinstance(step, Filled) else () if isinstance(step, Effect) else step


def options_of(hole: Hole) -> tuple[str, ...] | None:
    """All texts that a hole can get; None when they are many."""
    if hole.grammar is None or hole.stop:
        return None
    return hole.options or texts(hole.grammar.expr)


def _singletons(hole: Hole, options: Sequence[str]) -> bool:
    return len(options) <= EAGER and isinstance(hole.parse(options[0]), bool | Enum)


_current: ContextVar[Preview | None] = ContextVar("lmprog.preview", default=None)


def previewing() -> bool:
    """Whether the body that asks is being previewed: run without a model, to see what it is going to do."""
    return _current.get() is not None


def refuse(what: str) -> None:
    """End the preview that goes on here, if any: `what` must happen in live runs only."""
    if (preview := _current.get()) is not None:
        preview.end("effect", what)


def preview(body: Body, past: Sequence[Past] = (), answers: Sequence[int] = ()) -> Preview:
    """Run a body in preview. The last of the items is its End."""
    return perform(Preview(past, answers), body)


S = TypeVar("S", bound=Preview)


def perform(session: S, body: Body, prompt: Callable[[Session], Prompt] = Prompt) -> S:
    """Run a body on a session of a preview."""
    p = prompt(cast(Session, session))
    token = _current.set(session)
    end = End("return")
    try:
        body(p, lambda what: session.end("effect", what))
    except SegmentEnd:
        pass
    except CannotCopy as error:
        session.ended = End("unknown", str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        end = session.raised(error)
    finally:
        _current.reset(token)
        session.active = False
        finish(p)
    session.items.append(session.ended or end)
    return session
