"""Slots: parts of a program's text that have a name, so that they can be changed without touching the code.

    @lp.program
    def card(p, topic):
        p(lp.slot("instruction", "Describe the topic in a word."), "\\n", lp.examples(name="shots"))
        return p("Topic: ", topic, "\\nWord: ", lp.gen(regex="[a-z]+"))

    card.with_(instruction="Name the kind of thing.", shots=[{"question": "cats", "answer": "animal"}])

The values that hold are those of the run that is going on, in a context variable: each run of a body, previews too, is
inside of a `Frame`. Programs called inside have a frame of their own in it, and what the outer program says of their
slots ("inner.instruction") goes before what they say themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal

from .errors import PartError, SlotError
from .holes import text_of

Kind = Literal["text", "examples"]
Shorten = bool | Literal["start", "middle", "end"]
Key = tuple[str, tuple[int, ...], int]
Cuts = Mapping[Key, int]
Value = str | list[dict[str, Any]]
Format = str | Callable[[dict[str, Any]], str]
WORD = 24  # characters: a longer one may be cut
FORMAT = "Q: {question}\nA: {answer}\n\n"
KINDS: dict[type, str] = {str: "text", list: "examples"}


@dataclass(frozen=True)
class Slot:
    """A slot as a program asked for it.

    name      as `with_` takes it: "instruction", or "inner.instruction" for that of a program called inside
    default   what the code says: a text, or a list of dicts. Hole values that a text holds are shown as ⟨…⟩
    value     what holds
    kind      "text" or "examples"
    shorten   whether it gives way when the model's context overflows; of a text, also which part does
    """

    name: str
    default: Any
    value: Any
    kind: Kind = "text"
    shorten: Shorten = False


class SlotText(str):
    """A slot's text, a `str` in all respects; `slot` is the slot's name. Given to `p` unchanged, it is found again in
    `run.slots`."""

    slot: str

    def __new__(cls, text: str, slot: str = "") -> SlotText:
        self = super().__new__(cls, text)
        self.slot = slot
        return self


def slot(name: str, default: str, *, shorten: Shorten = False) -> SlotText:
    """The text of the program's slot `name`: `default`, unless the program was changed by `with_`.

    The default may depend on the program's arguments and on values of holes. `shorten=True`, or "end": its end
    gives way when the model's context would overflow; "start", "middle": that part does (see `lmprog.shortening`).
    Outside of any program it is the default.

    Raises SlotError for a name that is no Python name, a slot that was asked for differently before, and values that
    are no text.
    """
    if not (isinstance(shorten, bool) or shorten in ("start", "middle", "end")):
        raise SlotError(f'shorten is True, False, "start", "middle" or "end", not {shorten!r}')
    if default is None:
        raise SlotError(f"the slot {name!r} has no default: give it a text, which may be empty")
    own = _text(f"the slot {name!r}", default)
    return _asked(Slot(name, own, own, "text", shorten), lambda text, left: shorter(text, left, shorten))


def examples(
    default: Iterable[Mapping[str, Any]] = (),
    *,
    name: str = "examples",
    format: Format = FORMAT,
    shorten: bool = False,
) -> SlotText:
    """The text of a slot that holds examples: a list of dicts, each written as `format` says, one after the other.

    format    a text with the examples' fields in braces, as in `str.format`, or a function of one example
    shorten   whole examples, the last ones first, give way when the model's context would overflow

    Raises SlotError, as `slot` does, and for an example that lacks a field of the format; it may have more.
    """
    if not (isinstance(format, str) or callable(format)):
        raise SlotError(f"the slot {name!r}: format= is a text or a function of one example, not {format!r}")
    rows = checked(name, default, "examples")
    asked = Slot(name, rows, rows, "examples", bool(shorten))
    return _asked(asked, lambda rows, left: _written(name, rows[:left], format))


def _asked(asked: Slot, write: Callable[[Any, int], str]) -> SlotText:
    """`write` gives the text of a value of which so much is left."""
    name, kind, value = asked.name, asked.kind, asked.default
    if not (isinstance(name, str) and name.isidentifier()):
        raise SlotError(f'a slot is called by a Python name, as in slot("instruction", ...), not {name!r}')
    frame = _active.get()
    if frame is None:
        return SlotText(write(value, len(value)), name)
    if (given := frame.value(name)) is not None:
        asked, value = replace(asked, value=given), given
    if KINDS[type(value)] != kind:
        raise SlotError(f"{frame.name}: the slot {name!r} takes {_TAKES[kind]}, not {value!r:.60}")
    frame.note(asked)
    called = frame.qualified(name)
    if not asked.shorten:
        return SlotText(write(value, len(value)), called)
    return SlotText(giving().ask(called, kind, len(value), partial(write, value)).text, called)


def shorter(text: str, left: int, part: Shorten = True) -> str:
    """What is left of a text: about `left` characters, whole words where there are any."""
    if left >= len(text):
        return text
    if part == "start":
        return _from_word(text, len(text) - left)
    if part == "middle":
        return _to_word(text, left - left // 2) + " … " * (left > 0) + _from_word(text, len(text) - left // 2)
    return _to_word(text, left)


def _to_word(text: str, end: int) -> str:
    head = text[:end]
    word = [] if text[end : end + 1].isspace() or head[-1:].isspace() else head.rsplit(None, 1)[-1:]
    cut = len(word[0]) if word else 0
    return head[: len(head) - cut if cut < min(WORD, len(head)) else len(head)].rstrip()


def _from_word(text: str, begin: int) -> str:
    tail = text[begin:]
    word = [] if text[begin - 1 : begin].isspace() or tail[:1].isspace() else tail.split(None, 1)[:1]
    cut = len(word[0]) if word else 0
    return tail[cut if cut < min(WORD, len(tail)) else 0 :].lstrip()


_TAKES = {"text": "a text", "examples": "a list of examples, which are dicts"}


# -- values ------------------------------------------------------------------------------------------------------


def checked(name: str, value: object, kind: str | None = None) -> Any:
    """A slot's value, as a copy of its own: a str, or a list of dicts. Raises SlotError."""
    if isinstance(value, str) and kind != "examples":
        return _text(f"the slot {name!r}", value)
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        takes = _TAKES[kind] if kind else "a text, or a list of examples, which are dicts"
        raise SlotError(f"the slot {name!r} takes {takes}, not {value!r:.60}")
    return [_example(f"the slot {name!r}, example {i}", row) for i, row in enumerate(value)]


def _example(where: str, row: object) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise SlotError(f"{where}: an example is a dict of its fields, not {row!r:.60}")
    if odd := [key for key in row if not isinstance(key, str)]:
        raise SlotError(f"{where}: a field is called by a text, not {odd[0]!r}")
    return {
        str(key): _text(f"{where}, field {key!r}", v) if isinstance(v, str) else deepcopy(v) for key, v in row.items()
    }


def _text(where: str, text: object) -> str:
    try:
        return text_of(text)
    except PartError as error:
        raise SlotError(f"{where}: {error}") from None


def _written(name: str, rows: list[dict[str, Any]], format: Format) -> str:
    return "".join([_one(f"the slot {name!r}, example {i}", row, format) for i, row in enumerate(rows)])


def _one(where: str, row: dict[str, Any], format: Format) -> str:
    if not isinstance(format, str):
        try:
            text = format(row)
        except KeyError as error:
            raise SlotError(f"{where}: the field {error}, which its format asks for, is missing") from error
        if not isinstance(text, str):
            raise SlotError(f"{where}: format= is a function that gives a text, not {text!r:.60}")
        return _text(where, text)
    try:
        return _text(where, format.format(**row))
    except KeyError as error:
        known = ", ".join(map(repr, row)) or "none"
        raise SlotError(f"{where}: the field {error} of its format is missing; it has {known}") from None
    except (IndexError, ValueError, AttributeError, TypeError) as error:
        raise SlotError(f"{where} cannot be written in the format {format!r}: {error}") from None


# -- frames ------------------------------------------------------------------------------------------------------


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
    inner  of branches
    """

    cuts: Cuts = field(default_factory=dict)
    asks: list[Ask] = field(default_factory=list)
    branch: tuple[int, ...] = ()
    inner: list[Giving] = field(default_factory=list)

    def ask(self, name: str, kind: Kind, size: int, render: Callable[[int], str]) -> Ask:
        key = name, self.branch, len([ask for ask in self.asks if ask.key[:2] == (name, self.branch)])
        self.asks.append(Ask(key, kind, size, min(size, self.cuts.get(key, size)), render))
        return self.asks[-1]

    def fork(self, branch: tuple[int, ...]) -> Giving:
        self.inner.append(Giving(self.cuts, [*self.asks], branch))
        return self.inner[-1]

    def all(self) -> list[Ask]:
        own = [ask for ask in self.asks if ask.key[1] == self.branch]
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
