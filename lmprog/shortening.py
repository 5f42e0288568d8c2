"""Slots that give way: `lp.slot("document", text, shorten=True)` when the model's context would overflow.

It is at a hole, where everything before it is known, that a run finds out. Its body then runs again from the
beginning, with shorter texts in these slots, so that what it does and what it writes agree; the text that was taken
back is a `Retract` in the trace. Nothing else is ever cut.

How much each one keeps: all of them at most the same number of tokens, as large as will do, so that the longest gives
way first and short ones stay whole.

The second time is as if the texts had been short from the beginning, unless there were effects (`p.effect`): those are
not done again, and neither is anything before the last of them, whose values stay as they were.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .checkpoints import Happened, Scored, Step, go_back, mark
from .errors import ContextOverflow
from .fill import DEFAULT_TOKENS
from .holes import Hole
from .lookahead import Lookahead
from .preview import options_of
from .slot_frames import Ask, Cuts, giving

if TYPE_CHECKING:
    from .prompt import Prompt
    from .replay import Body
    from .session import Live


class GiveWay(BaseException):
    """Leaves the body: slots are to be cut, and it is to run again. Not an Exception, so that a program's own handlers
    let it pass."""

    def __init__(self, live: Live, cuts: Cuts, why: str) -> None:
        super().__init__(why)
        self.live, self.cuts = live.root, cuts

    def check(self, steps: Sequence[Step]) -> None:
        """Raises ContextOverflow when these steps, which will be done again, must not be."""
        if any(map(_has_effect, steps)):
            raise ContextOverflow(f"{self}, but branches have had effects, which are not to happen again") from None


def run(live: Live, body: Body, p: Prompt) -> Any:
    """Run a body; again, where slots have to give way."""
    start, resets, forks = mark(live), live.page.resets, live.forks
    while True:
        try:
            return body.run(p)
        except GiveWay as less:
            if less.live is not live:
                raise
            kept = _settled(live.steps)
            if kept and live.forgot:
                raise ContextOverflow(f"{less}, but too much has happened before to begin again") from None
            go_back(live, start, str(less))
            live.page.resets, live.forks = resets, forks
            if not kept:  # else attempts before the last effect are not judged again
                live.recorder.verdicts, live.recorder.blocks = [], 0
            live.replay = deque(kept)
            body.cuts = {**body.cuts, **less.cuts}
            live.lookahead = Lookahead(body if live.options.preview and not kept else None)


def _settled(steps: Sequence[Step]) -> list[Step]:
    """The steps up to the last effect."""
    last = max([i for i, step in enumerate(steps) if _has_effect(step)], default=-1)
    return [*steps[: last + 1]]


def _has_effect(step: Step) -> bool:
    if isinstance(step, list):
        return any(_has_effect(inner) for branch in step for inner in branch.live.steps)
    return isinstance(step, Happened) and not isinstance(step, Scored)


@dataclass(frozen=True)
class Room:
    """Tokens that are wanted behind a prompt, and those without which nothing can come."""

    wanted: int
    least: int


def room_for(live: Live, hole: Hole) -> Room:
    """A hole without `max_tokens` gets what its longest text takes, where those are few, or else room for 512 tokens or
    a quarter of the context."""
    if hole.max_tokens is not None:
        return Room(hole.max_tokens, hole.max_tokens)
    options = options_of(hole)
    if options is not None:
        return room_of(live, options)
    return Room(min(DEFAULT_TOKENS, live.model.context // 4), 1)


def room_of(live: Live, texts: Sequence[str]) -> Room:
    """For any of these texts."""
    longest = max([_size(live, text) for text in texts], default=1)
    return Room(longest, longest)


def make_room(live: Live, room: Room, *, refused: bool = False) -> None:
    """See that there is room behind the text so far, or leave the body. `refused`: the model says that there is not.

    Raises ContextOverflow when slots were to give way, and have nothing left.
    """
    given = giving().asks.values()
    if not given:
        return
    ids, _ = live.transcript.border()
    over = max(len(ids) // 8 if refused else 0, len(ids) + room.wanted - live.model.context)
    text = live.recorder.text
    asks = [(ask, times) for ask in given if ask.kept and ask.text and (times := text.count(ask.text))]
    if over > 0 and asks:
        cuts = _cuts(live, asks, over)
        raise GiveWay(live, cuts, f"the context overflowed: {_told(asks, cuts)}")
    if (needed := len(ids) + room.least) > live.model.context:
        names = ", ".join(dict.fromkeys([repr(ask.name) for ask in given]))
        raise ContextOverflow(
            f"{len(ids)} prompt tokens and max_tokens={room.least} make {needed}, but the model's context is "
            f"{live.model.context}, and nothing is left of the slots that give way, {names}: shorten the fixed text or "
            "lower max_tokens"
        )


def _cuts(live: Live, asks: Sequence[tuple[Ask, int]], over: int) -> Cuts:
    """Less of each, by at least one unit in all."""
    sizes = [(_size(live, ask.text), times) for ask, times in asks]
    edges = sum([times for _, times in asks])  # where texts are spelt in other tokens than by themselves
    cap = _cap(sizes, over + edges)
    cuts = {ask.key: min(ask.kept, _longest(live, ask, cap)) for ask, _ in asks}
    if all([cuts[ask.key] == ask.kept for ask, _ in asks]):
        ask, _ = max(asks, key=lambda pair: _size(live, pair[0].text))
        cuts[ask.key] = ask.kept - 1
    return cuts


def _cap(sizes: Sequence[tuple[int, int]], over: int) -> int:
    """The most tokens that each may keep, so that `over` are saved; each counts as often as it stands in the text."""

    def less(cap: int) -> int:
        return -sum([max(0, size - cap) * times for size, times in sizes])

    return bisect_right(range(1, max([size for size, _ in sizes])), -over, key=less)


def _longest(live: Live, ask: Ask, cap: int) -> int:
    """The most units of a slot's text that take no more than `cap` tokens."""
    return bisect_right(range(1, ask.kept + 1), cap, key=lambda units: _size(live, ask.render(units)))


def _size(live: Live, text: str) -> int:
    return len(live.model.vocab.encode(text.encode()))


def _told(asks: Sequence[tuple[Ask, int]], cuts: Cuts) -> str:
    parts = [f"{ask.name} from {ask.kept} to {cuts[ask.key]} {ask.unit}" for ask, _ in asks if cuts[ask.key] < ask.kept]
    return ", ".join(parts)


def shortened(asks: Sequence[Ask]) -> Mapping[str, tuple[int, int]]:
    """Of each slot that gave way: how many characters or examples are left, and how many there were."""
    names = dict.fromkeys([ask.name for ask in asks if ask.kept < ask.size])
    return {name: _left([ask for ask in asks if ask.name == name]) for name in names}


def _left(asks: Sequence[Ask]) -> tuple[int, int]:
    left = [len(ask.text) if ask.kind == "text" else ask.kept for ask in asks]
    return sum(left), sum([ask.size for ask in asks])
