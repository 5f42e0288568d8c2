"""Tests that every monitor must pass, for authors of monitors."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, ClassVar

from ..decoders import Sample
from ..errors import BudgetError, EmptyLanguage
from ..grammars.expr import ANY_TEXT
from ..holes import gen
from ..monitors.constraint import Monitored
from ..monitors.protocol import Monitor, judge, rest
from ..programs import program
from .models import RandomModel, byte_vocabulary


class MonitorTests:
    """Subclass it in your tests, for pytest:

        class TestWeekdays(MonitorTests):
            good = ["Monday", "Sunday"]
            bad = ["Mon", "Someday"]

            def make(self):
                return Weekdays()

    good, bad   values that the monitor must allow, and must not, behind `prompt`
    hole        what else is said of the hole whose samples are tried, as in `gen(**hole)`
    """

    good: Sequence[str] = ()
    bad: Sequence[str] = ()
    prompt = ""
    hole: ClassVar[dict[str, Any]] = {"max_tokens": 40}
    samples = 10

    def make(self) -> Monitor:
        """The monitor to be tested, as it is when its hole is reached."""
        raise NotImplementedError("return the monitor that is to be tested")

    def test_it_is_pure(self) -> None:
        monitor = self.make()
        for text in (*self.good, *self.bad):
            state = monitor.start(self.prompt)
            before, said = hash(state), _said(monitor, state)
            after = monitor.advance(state, text)

            assert (state, before) == (monitor.start(self.prompt), hash(state)), "advance changed its argument"
            assert after == monitor.advance(state, text), f"advance gave two states for {text!r}"
            assert said == _said(monitor, state), "allow or final changed their mind about one state"

    def test_pieces_do_not_matter(self) -> None:
        monitor = self.make()
        for text in (*self.good, *self.bad):
            state = monitor.start(self.prompt)
            whole = monitor.advance(state, text)

            assert state == monitor.advance(state, ""), "no text leads to another state"
            for pieces in _splits(text):
                at = state
                for piece in pieces:
                    at = monitor.advance(at, piece)
                assert whole == at, f"{text!r} at once, and as {pieces}, lead to different states"

    def test_good_and_bad(self) -> None:
        monitor = self.make()

        assert self.good, "give at least one good value"
        assert [text for text in self.good if not judge(monitor, self.prompt, text)] == [], "refused"
        assert [text for text in self.bad if judge(monitor, self.prompt, text)] == [], "allowed"

    def test_masks_mean_the_same(self) -> None:
        """What masks let through, byte by byte, is what the monitor says of whole values."""
        constraint = Monitored(ANY_TEXT, byte_vocabulary(), self.make(), self.prompt)
        for text in (*self.good, *self.bad):
            state: int | None = constraint.start()
            for byte in text.encode():
                assert state is not None
                mask = constraint.mask(state, budget=1000)
                after = constraint.advance(state, byte)
                assert (after is not None) >= bool(mask[byte >> 5] >> (byte & 31) & 1)
                state = after
                if state is None:
                    break

            assert (text in self.good) == (state is not None and constraint.accepting(state)), text

    def test_samples_are_allowed(self) -> None:
        monitor = self.make()
        fill = program(lambda p: p(self.prompt, gen(monitor=monitor, **self.hole)))
        values = []
        with RandomModel(0) as model:
            for seed in range(self.samples):
                with suppress(BudgetError, EmptyLanguage):  # the end is not seen ahead; what comes must be right
                    values.append(fill.run(model=model, decoder=Sample(seed=seed)).captures[0].text)

        assert values, "all samples came to an end where nothing is allowed"
        assert [value for value in values if not judge(monitor, self.prompt, value)] == [], "generated, but refused"


def _said(monitor: Monitor, state: Any) -> tuple[Any, ...]:
    allowed = monitor.allow(state)
    return None if allowed is None else rest(allowed), monitor.final(state)


def _splits(text: str) -> Iterator[list[str]]:
    rng = random.Random(text)
    yield list(text)
    for _ in range(5):
        cuts = sorted({0, len(text), *(rng.randrange(len(text) + 1) for _ in range(3))})
        yield [text[a:b] for a, b in pairwise(cuts)]
