"""A hole's constraint and a monitor as one constraint.

Wherever the monitor is asked, what it allows is laid over what the hole allows, in the hole's own automaton: the new
state is the intersection, with its exact masks, distances and forced text. A character after which the monitor is asked
could lead to a state where nothing is left; its token is then taken out of the mask before it.

Tokens that hold such a character and more are not used (the vocabulary is restricted to the others, for distances to
stay exact), so only a few tokens have to be tried at each step. Weighed against it: to try every token that holds one,
which asks the monitor thousands of times a step, or to draw first and ask then, which no mask can express.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Hashable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import BudgetError, EmptyLanguage
from ..grammars import Vocabulary, compile
from ..grammars.expr import Expr
from .protocol import Monitor, check_state, possible, rest, triggers_of

Mask = NDArray[np.int32]
NARROW = 1024  # tokens that the monitor is asked about one by one


class Place(NamedTuple):
    """base: the hole's state. mind: the monitor's after `text[:asked]`. left: bytes of the prompt still to be spelt."""

    base: int
    mind: Hashable
    text: bytes
    asked: int
    left: int


class Monitored:
    """The constraint of one hole behind one prompt, as `lmprog.grammars.Constraint`."""

    def __init__(self, expr: Expr, vocab: Vocabulary, monitor: Monitor, prompt: str) -> None:
        self.vocab, self._monitor = vocab, monitor
        self._triggers = triggers_of(monitor)
        self._own = restricted(vocab, self._triggers)
        self._base = compile(expr, self._own.vocab)
        self._mind = monitor.start(prompt)
        check_state(monitor, self._mind)
        self._allowed = monitor.allow(self._mind)
        self._places: list[Place] = []
        self._numbers: dict[Place, int] = {}
        self._steps: dict[tuple[int, int], int | None] = {}
        self._accepting: dict[int, bool] = {}
        self._lock = threading.RLock()

    def start(self, prefix: bytes = b"", follow: bytes = b"") -> int:
        base: int | None
        if self._allowed is None:
            base = self._base.start(prefix, follow)
        else:
            base = self._base.start_narrow(prefix, follow, rest(self._allowed))
        if base is None:
            raise EmptyLanguage(f"{self._name} allows nothing that is a value of the hole")
        return self._number(Place(base, self._mind, b"", 0, len(prefix)))

    def advance(self, state: int, token: int) -> int | None:
        key = (state, token)
        if key not in self._steps:
            with self._lock:
                after = self._advance(self._places[state], token)
                self._steps[key] = None if after is None else self._number(after)
        return self._steps[key]

    def _advance(self, place: Place, token: int) -> Place | None:
        base = self._base.advance(place.base, token)
        if base is None or token in self.vocab.eos:
            return None if base is None else place._replace(base=base)
        data = self.vocab.token_bytes[token] or b""
        spelt = min(place.left, len(data))
        if not self._asks(data[spelt:]):
            return place._replace(base=base, text=place.text + data[spelt:], left=place.left - spelt)
        return self._ask_within(place, data, spelt)

    def _asks(self, data: bytes) -> bool:
        return bool(data) and (self._triggers is None or any(ord(c) in data for c in self._triggers))

    def _ask_within(self, place: Place, data: bytes, spelt: int) -> Place | None:
        base = self._base.run(place.base, data[:spelt])
        _, mind, text, asked, _ = place
        for i in range(spelt, len(data)):
            base = None if base is None else self._base.run(base, data[i : i + 1])
            if base is None:
                return None
            text += data[i : i + 1]
            if self._asked_after(text[asked:]):
                base, mind = self._ask(base, mind, text[asked:].decode())
                asked = len(text)
        return None if base is None else Place(base, mind, text, asked, 0)

    def _asked_after(self, tail: bytes) -> bool:
        if self._triggers is not None:
            return chr(tail[-1]) in self._triggers
        try:
            tail.decode()
        except UnicodeDecodeError:  # inside of a code point
            return False
        return True

    def _ask(self, base: int, mind: Hashable, text: str) -> tuple[int | None, Hashable]:
        mind = self._monitor.advance(mind, text)
        allowed = self._monitor.allow(mind)
        return (base if allowed is None else self._base.narrow(base, rest(allowed))), mind

    def mask(self, state: int, budget: int | None = None) -> Mask:
        """As of the hole, without what leads nowhere. Without a budget, tokens that are not used for the characters in
        them count as inside of the language, so that none of them ends an open value."""
        row = self._exact(state, budget)
        return row if budget is not None or self._own.unused is None else row | self._own.unused

    def _exact(self, state: int, budget: int | None) -> Mask:
        if budget == 1 and self._ends_early(state):
            return self.vocab.eos_row
        row = self._base.mask(self._places[state].base, budget)
        gone = [t for t in self._gone(state, budget) if row[t >> 5] >> (t & 31) & 1]
        if not gone:
            return row
        bits = row.view(np.uint32).copy()
        for token in gone:
            bits[token >> 5] &= ~np.uint32(1 << (token & 31))
        if not bits.any():
            self._refuse(state, budget)
        bits.flags.writeable = False
        return bits.view(np.int32)

    def allowed(self, state: int, limit: int = 256, budget: int | None = None) -> Mask | None:
        if budget == 1 and self._ends_early(state):
            return np.array(sorted(self.vocab.eos), np.int32)
        ids = self._base.allowed(self._places[state].base, limit, budget)
        if ids is None:
            return None
        gone = self._gone(state, budget)
        left = ids[~np.isin(ids, gone)] if gone else ids
        if len(ids) and not len(left):
            self._refuse(state, budget)
        return left

    def _ends_early(self, state: int) -> bool:
        """Whether a value ends here although one more token would fit: where so many could come that to ask the monitor
        of each whether the value may end behind it would take seconds."""
        return self.accepting(state) and self._base.allowed(self._places[state].base, NARROW, 1) is None

    def _gone(self, state: int, budget: int | None) -> list[int]:
        """Tokens that the hole allows but the monitor does not, or that leave too little of the budget."""
        base = self._places[state].base
        gone = []
        for token in self._suspects(base) if budget != 1 else self._every(base):
            after = self.advance(state, token)
            if after is None or not (budget is None or self.fits(after, budget - 1)):
                gone.append(token)
        if self._base.accepting(base) and not self.accepting(state):
            gone += self.vocab.eos
        return gone

    def _suspects(self, base: int) -> list[int]:
        """Tokens after which, or inside of which, the monitor is asked."""
        if self._triggers is not None:
            row = self._base.mask(base)
            return [t for t in self._own.alone if row[t >> 5] >> (t & 31) & 1]
        return self._every(base)

    def _every(self, base: int) -> list[int]:
        bits = np.unpackbits(self._base.mask(base).view(np.uint8), bitorder="little")[: self.vocab.size]
        return [t for t in np.flatnonzero(bits).tolist() if t not in self.vocab.eos]

    def _refuse(self, state: int, budget: int | None) -> None:
        after = self._places[state].text.decode(errors="replace")
        if budget is not None:
            self._exact(state, None)  # says so when nothing could come at all
            raise BudgetError(f"no value that {self._name} allows fits in {budget} more tokens, after {after!r}")
        raise EmptyLanguage(f"{self._name} allows nothing with which the value could go on or end, after {after!r}")

    def accepting(self, state: int) -> bool:
        found = self._accepting.get(state)
        if found is None:
            found = self._accepting[state] = self._ends(self._places[state])
        return found

    def _ends(self, place: Place) -> bool:
        if not self._base.accepting(place.base):
            return False
        value = place.text[: len(place.text) - self._base.followed(place.base)]
        known = place.asked <= len(value)  # else the monitor was asked after a character of what follows the value
        mind, tail = (place.mind, value[place.asked :]) if known else (self._mind, value)
        return possible(self._monitor.final(self._monitor.advance(mind, tail.decode()) if tail else mind))

    def finished(self, state: int) -> bool:
        return self._base.finished(self._places[state].base) and self.accepting(state)

    def followed(self, state: int) -> int:
        return self._base.followed(self._places[state].base)

    def forced(self, state: int) -> bytes:
        """As far as the monitor is not asked."""
        data = self._base.forced(self._places[state].base)
        left = self._places[state].left
        return data[:left] + self._own.unasked(data[left:])

    def forced_tokens(self, state: int) -> list[int]:
        out: list[int] = []
        at: int | None = state
        for token in self._base.forced_tokens(self._places[state].base):
            at = self.advance(at, token) if at is not None else None
            if at is None:
                break
            out.append(token)
        return out

    def distance(self, state: int) -> int:
        return self._base.distance(self._places[state].base)

    def fits(self, state: int, budget: int) -> bool:
        """As for the hole, as the monitor is not asked ahead; but with nothing left, the value must be able to end."""
        return self._base.fits(self._places[state].base, budget) and (budget > 0 or self.accepting(state))

    def run(self, state: int, data: bytes) -> int | None:
        place = self._places[state]
        after = self._ask_within(place, data, min(place.left, len(data)))
        return None if after is None else self._number(after._replace(left=max(0, place.left - len(data))))

    def start_narrow(self, prefix: bytes, follow: bytes, also: Expr) -> int | None:
        base = self._base.start_narrow(prefix, follow, also)
        return None if base is None else self._number(Place(base, self._mind, b"", 0, len(prefix)))

    def narrow(self, state: int, also: Expr) -> int | None:
        base = self._base.narrow(self._places[state].base, also)
        return None if base is None else self._number(self._places[state]._replace(base=base))

    @property
    def _name(self) -> str:
        return f"the monitor {type(self._monitor).__name__}"

    def _number(self, place: Place) -> int:
        check_state(self._monitor, place.mind)
        with self._lock:
            number = self._numbers.setdefault(place, len(self._places))
            if number == len(self._places):
                self._places.append(place)
            return number


class Restricted:
    """A vocabulary whose tokens hold a trigger alone or none at all.

    alone    ids of the triggers themselves
    unused   mask row of the tokens that are left out; None when there are none
    """

    def __init__(self, vocab: Vocabulary, triggers: str | None) -> None:
        self._pattern = re.compile(b"([%b])" % re.escape(triggers or "").encode()) if triggers else None
        held = (
            []
            if self._pattern is None
            else [i for i, t in enumerate(vocab.token_bytes) if t and self._pattern.search(t)]
        )
        self.alone = [i for i in held if len(vocab.token_bytes[i] or b"") == 1]
        out = sorted({*held} - {*self.alone})
        self.vocab = _without(vocab, out, self._spelling(vocab)) if out else vocab
        self.unused = _row(vocab, out) if out else None
        self._everywhere = triggers is None

    def unasked(self, data: bytes) -> bytes:
        """The beginning of forced text behind which nothing is asked."""
        if self._everywhere:
            return b""
        return data if self._pattern is None else self._pattern.split(data, maxsplit=1)[0]

    def _spelling(self, vocab: Vocabulary) -> Callable[[bytes], list[int]]:
        pattern = self._pattern
        assert pattern is not None
        return lambda data: [i for piece in pattern.split(data) if piece for i in vocab.encode(piece)]


def _without(vocab: Vocabulary, out: list[int], encode: Callable[[bytes], list[int]]) -> Vocabulary:
    tokens = list(vocab.token_bytes)
    for i in out:
        tokens[i] = None
    return Vocabulary(tokens, vocab.eos, encode, vocab.memory)


def _row(vocab: Vocabulary, ids: list[int]) -> Mask:
    bits = np.zeros(vocab.words * 32, np.bool_)
    bits[ids] = True
    return np.packbits(bits, bitorder="little").view(np.int32)


def restricted(vocab: Vocabulary, triggers: str | None) -> Restricted:
    """Made once for each vocabulary and set of triggers."""
    key = None if triggers is None else "".join(sorted(set(triggers)))
    found = vocab.variants.get(key)
    if found is None:
        found = vocab.variants[key] = Restricted(vocab, key)
    return found
