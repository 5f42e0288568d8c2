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

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .errors import SlotError
from .slot_frames import active, giving
from .slot_values import KINDS, TAKES, Format, Kind, Shorten, checked, plain_text, shorter, written

FORMAT = "Q: {question}\nA: {answer}\n\n"


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
    own = plain_text(f"the slot {name!r}", default)
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
    return _asked(asked, lambda rows, left: written(name, rows[:left], format))


def _asked(asked: Slot, write: Callable[[Any, int], str]) -> SlotText:
    """`write` gives the text of a value of which so much is left."""
    name, kind, value = asked.name, asked.kind, asked.default
    if not (isinstance(name, str) and name.isidentifier()):
        raise SlotError(f'a slot is called by a Python name, as in slot("instruction", ...), not {name!r}')
    frame = active()
    if frame is None:
        return SlotText(write(value, len(value)), name)
    if (given := frame.value(name)) is not None:
        asked, value = replace(asked, value=given), given
    if KINDS[type(value)] != kind:
        raise SlotError(f"{frame.name}: the slot {name!r} takes {TAKES[kind]}, not {value!r:.60}")
    frame.note(asked)
    called = frame.qualified(name)
    if not asked.shorten:
        return SlotText(write(value, len(value)), called)
    return SlotText(giving().ask(called, kind, len(value), partial(write, value)).text, called)
