"""Which values of slots hold where: a context variable, set for each run of a body, says whose slots are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .errors import SlotError
from .slot_values import Kind, Value

if TYPE_CHECKING:
    from .slots import Slot

Key = tuple[str, tuple[int, ...], int]
Cuts = Mapping[Key, int]


@dataclass(frozen=True)
class Ask:
    """A slot that may give way, as it was asked for in a run.

    key      its name, the branch in which it was asked for, and how often it was there before
    size     of its value in characters or examples, of which `kept` are left
    render   gives the text of which so much is left
    """

    key: Key
    kind: Kind
    size: int
    kept: int
    render: Callable[[int], str]

    @property
    def name(self) -> str:
        return self.key[0]

    @property
    def unit(self) -> str:
        return "characters" if self.kind == "text" else "examples"

    @cached_property
    def text(self) -> str:
        return self.render(self.kept)


@dataclass
class Giving:
    """The slots of a run, or of a branch and of the text before it, that may give way.

    cuts   how much is left of those that gave way
    times  how often each was asked for in the text so far; a run that goes back counts from there again
    inner  of branches
    """

    cuts: Cuts = field(default_factory=dict)
    asks: dict[Key, Ask] = field(default_factory=dict)
    branch: tuple[int, ...] = ()
    times: dict[str, int] = field(default_factory=dict)
    inner: list[Giving] = field(default_factory=list)

    def ask(self, name: str, kind: Kind, size: int, render: Callable[[int], str]) -> Ask:
        key = name, self.branch, self.times.get(name, 0)
        self.times[name] = key[2] + 1
        self.asks[key] = Ask(key, kind, size, min(size, self.cuts.get(key, size)), render)
        return self.asks[key]

    def fork(self, branch: tuple[int, ...]) -> Giving:
        self.inner.append(Giving(self.cuts, {**self.asks}, branch))
        return self.inner[-1]

    def all(self) -> list[Ask]:
        own = [ask for ask in self.asks.values() if ask.key[1] == self.branch]
        return own + [ask for inner in sorted(self.inner, key=lambda inner: inner.branch) for ask in inner.all()]


@dataclass(frozen=True, eq=False)
class Frame:
    """One program under way.

    name     of the program
    values   that it was given by `with_`
    around   the frame of the program that called it
    root     it is a run of its own, whose text has no slots of another
    asked    its slots so far, with those of the programs that it calls
    """

    name: str
    function: Callable[..., Any]
    values: Mapping[str, Value]
    around: Frame | None = None
    root: bool = True
    asked: dict[str, Slot] = field(default_factory=dict)

    def value(self, name: str) -> Value | None:
        """What holds for one of its slots; None: the default."""
        outer = None if self.around is None else self.around.value(f"{self.name}.{name}")
        return self.values.get(name) if outer is None else outer

    def qualified(self, name: str) -> str:
        """How the run's own program calls the slot."""
        return name if self.root or self.around is None else self.around.qualified(f"{self.name}.{name}")

    def note(self, slot: Slot, name: str | None = None) -> None:
        """Raises SlotError when the same slot was asked for in another way."""
        name = name or slot.name
        known = self.asked.setdefault(name, replace(slot, name=name))
        if (known.kind, known.shorten) != (slot.kind, slot.shorten):
            raise SlotError(
                f"{self.name}: two slots are called {name!r}: one is {_described(known)}, the other {_described(slot)}"
            )
        if self.around is not None:
            self.around.note(slot, f"{self.name}.{name}")

    def same(self, function: Callable[..., Any]) -> Frame | None:
        """The innermost frame of a program of the same function: a program that calls itself."""
        if _plain(self.function) is _plain(function):
            return self
        return None if self.around is None else self.around.same(function)


_active: ContextVar[Frame | None] = ContextVar("lmprog.slots", default=None)
_giving: ContextVar[Giving | None] = ContextVar("lmprog.giving", default=None)


def active() -> Frame | None:
    """Of the program whose body asks."""
    return _active.get()


def giving() -> Giving:
    """The slots that may give way of the run, or branch, that goes on here."""
    return _giving.get() or Giving()


@contextmanager
def branched(branch: tuple[int, ...]) -> Iterator[None]:
    """Inside, a branch of the run goes on."""
    token = _giving.set(giving().fork(branch))
    try:
        yield
    finally:
        _giving.reset(token)


@contextmanager
def apart() -> Iterator[None]:
    """Inside, the run or branch is looked at from its beginning: what is asked for there counts for nothing."""
    real = giving()
    before = {key: ask for key, ask in real.asks.items() if key[1] != real.branch}
    token = _giving.set(Giving(real.cuts, before, real.branch))
    try:
        yield
    finally:
        _giving.reset(token)


def _described(slot: Slot) -> str:
    return f"{slot.kind}, shorten={slot.shorten}"


def _plain(function: Any) -> Any:
    return getattr(function, "__func__", function)


def frame_of(name: str, function: Callable[..., Any], values: Mapping[str, Value], *, root: bool) -> Frame:
    """The frame of a program that is called here. One that calls itself goes on with what it was given."""
    around = _active.get()
    known = None if around is None or values else around.same(function)
    if known is None:
        return Frame(name, function, values, around, root)
    return replace(known, root=root or known.root)


@contextmanager
def entered(frame: Frame, giving: Giving | None = None) -> Iterator[None]:
    """Slots asked for inside are those of this frame. `giving`: a run begins."""
    tokens = _active.set(frame), _giving.set(giving or _giving.get())
    try:
        yield
    finally:
        _active.reset(tokens[0])
        _giving.reset(tokens[1])
