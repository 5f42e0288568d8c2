"""What a monitor is: it says which continuations knowledge from outside allows."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from ..errors import HoleError
from ..grammars import Grammar, regex
from ..grammars import expr as x
from ..grammars.expr import Expr

Allowed = Grammar | Sequence[str] | None


class Monitor(Protocol):
    """Watches the text of one hole. Give it as `gen(..., monitor=m)`.

    States are immutable and hashable; all methods are pure, quick, and called on the engine's thread.

    start     the state before the value; `prompt` is the text before the hole
    advance   the state after more text of the value; in pieces or at once makes no difference
    allow     what may come next: None (anything), a Grammar (the whole rest of the value is a text of it), or texts
              (the rest begins with one of them, as a whole word: behind a text that ends in a letter, digit or
              underscore comes none of these)
    final     whether the value may end here: a bool, or a log-weight, of which -inf forbids it

    Two more things are optional. `triggers: str` are the ASCII characters after which `allow` has something to say,
    beside the start of the value. They are tokens of their own then, and nothing else is asked: without it `allow` is
    asked after every character of every token that could come, which is slow with a large vocabulary. `fresh()` gives
    the monitor as it should be now (a database may have changed); it is called on the program's thread when the hole is
    reached.
    """

    def start(self, prompt: str) -> Any: ...
    def advance(self, state: Any, text: str) -> Any: ...
    def allow(self, state: Any) -> Allowed: ...
    def final(self, state: Any) -> bool | float: ...


METHODS = ("start", "advance", "allow", "final")
WORD = regex(r"\w").expr


def check_monitor(monitor: object) -> str:
    """The name of its type. Raises HoleError for what is no monitor."""
    if missing := [name for name in METHODS if not callable(getattr(monitor, name, None))]:
        raise HoleError(f"monitor= takes an object with {', '.join(METHODS)}; {monitor!r} has no {missing[0]}")
    triggers_of(monitor)
    return type(monitor).__name__


def triggers_of(monitor: object) -> str | None:
    """The characters after which it is asked; None: all."""
    triggers = getattr(monitor, "triggers", None)
    if triggers is not None and not (isinstance(triggers, str) and triggers.isascii()):
        raise HoleError(f"a monitor's triggers are ASCII characters in one text, not {triggers!r}")
    return triggers


def rest(allowed: Grammar | Sequence[str]) -> Expr:
    """The language of what may come, to the end of the value."""
    if isinstance(allowed, Grammar):
        return allowed.expr
    if isinstance(allowed, str):
        raise HoleError(f"a monitor allows a Grammar or a list of texts, not one text: [{allowed!r}]")
    words = [text for text in allowed if WORD_END.matches(text[-1:])]
    others = [text for text in allowed if not WORD_END.matches(text[-1:])]
    whole = x.concat(x.options(words), x.complement(x.concat(WORD, x.ALL)))
    return x.alt(whole, x.concat(x.options(others), x.ALL))


WORD_END = regex(r"\w")


def possible(final: bool | float) -> bool:
    return final if isinstance(final, bool) else final > -math.inf


def judge(monitor: Monitor, prompt: str, text: str) -> bool:
    """Whether the monitor lets `text` be the value behind `prompt`: its meaning, character by character."""
    triggers, state = triggers_of(monitor), monitor.start(prompt)
    begin = 0
    for end in range(len(text) + 1):
        if end and triggers is not None and text[end - 1] not in triggers:
            continue
        state = monitor.advance(state, text[begin:end]) if end else state
        allowed, begin = monitor.allow(state), end
        if allowed is not None and not x.matches(rest(allowed), text[end:].encode()):
            return False
    return possible(monitor.final(monitor.advance(state, text[begin:]) if text[begin:] else state))


def check_state(monitor: object, state: object) -> None:
    if not isinstance(state, Hashable):
        raise HoleError(f"states of a monitor are immutable and hashable; {type(monitor).__name__} gave {state!r}")
