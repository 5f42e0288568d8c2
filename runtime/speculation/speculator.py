"""Whether to draft, how much and whose: what gives the most tokens for the time, by what has been measured.

A step of time T gives E tokens: one for each sequence, and one more for each drafted token that turns out right. The
units of all sequences are taken likeliest first, as long as E / T grows; a batch on a machine whose steps cost what
their rows cost is not drafted for at all. Which rates count is said in estimates.py. (As in SmartSpec, Liu et al. 2024,
"Optimizing Speculative Decoding for Serving Large Language Models Using Goodput".)

Proposals are compared with what came even when they did not go through the model, so that a request which is not
drafted for is measured all the same. A drafter that takes long, a model, is asked only where that pays, and now and
then to see whether it would.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate

from ..request import Vocab
from ..scheduler import Scheduler
from ..sequence import Sequence
from ..stats import Stats
from ..step import Sample, Step
from .drafter import Drafter
from .estimates import Rates, StepCosts
from .forced import Forced
from .plant import Guess, Planter, Source, Unit, draft_of
from .tree import ROOT, Draft

DEPTH = 32
FIRST_DEPTH = 4  # as long as a drafter's price is not known
CHEAP = 0.02  # share of a step's time up to which a drafter is always asked
LONGEST_IDLE = 32  # steps without drafts after one where none was worth it
PAUSE, LONGEST_PAUSE = 8, 1024  # steps without drafts after a step with drafts has failed
log = logging.getLogger("lmprog")


@dataclass(slots=True)
class Open:
    """A sequence whose next tokens were guessed. `length`: its own when they were."""

    seq: Sequence
    guess: Guess
    length: int
    draft: Draft | None = None
    units: list[Unit] = field(default_factory=list)


@dataclass(slots=True)
class Price:
    """Seconds that a drafter takes for each token that it proposes. Sinks at once and rises slowly: a time may be that
    of a prompt that a model saw for the first time."""

    seconds: float = 0.0
    known: bool = False

    def observe(self, seconds: float) -> None:
        self.seconds = min(seconds, 1.1 * self.seconds) if self.known else seconds
        self.known = True


class Speculator:
    """Drafts for the steps of one engine, on its thread."""

    def __init__(self, drafters: Items[Drafter], vocab: Vocab, stats: Stats) -> None:
        self.costs, self.rates = StepCosts(), Rates()
        self._drafters = dict(enumerate(drafters))
        self._prices = [Price() for _ in drafters]
        forced = next(((i, d) for i, d in self._drafters.items() if isinstance(d, Forced)), None)
        self._planter = Planter(vocab.size, vocab.eos, forced)
        self._stats = stats
        self._open: list[Open] = []
        self._size = 0, 0
        self._rest = 0  # steps to go without drafts
        self._pause = self._idle = 0  # how many the last time that a step failed, or that nothing was worth it
        self._skipped: dict[tuple[Sequence, int], tuple[int, int]] = {}

    # -- before a step -------------------------------------------------------------------------------------------

    def draft(self, step: Step, scheduler: Scheduler) -> None:
        """Add drafts to a planned step."""
        lasts = [sample for sample in step.samples if sample.last]
        room = scheduler.room(step)
        self._open = []
        if self._rest:
            self._rest -= 1
        elif lasts and room > 0:
            self._consider(lasts, room, step, scheduler)
        self._size = step.tokens, sum(sample.columns is None for sample in step.samples)

    def _consider(self, lasts: list[Sample], room: int, step: Step, scheduler: Scheduler) -> None:
        """Draft what is worth it; where nothing is and finding that out took long, rest for a while."""
        start, batch, wide = time.perf_counter(), len(lasts), sum(sample.columns is None for sample in lasts)
        seqs = [seq for seq, *_ in lasts if seq.request.speculate and seq.remaining > 1]
        self._open = self._guessed(seqs, batch, wide)
        self._plant()
        chosen = self._chosen(batch, wide, room)
        scheduler.graft(step, [(o.seq, o.draft) for o in chosen if o.draft is not None])
        if chosen or time.perf_counter() - start <= CHEAP * self.costs.step(batch, wide):
            self._idle = 0
        else:
            self._rest = self._idle = min(2 * self._idle + 1, LONGEST_IDLE)

    def _guessed(self, seqs: list[Sequence], batch: int, wide: int) -> list[Open]:
        opened = [Open(seq, Guess(), seq.length) for seq in seqs]
        for number in list(self._drafters):
            depths = [self._depth(seq, number, batch, wide) for seq in seqs]
            asked = [(o, min(depth, o.seq.remaining - 1)) for o, depth in zip(opened, depths, strict=True) if depth]
            if asked:
                self._ask(number, asked)
        return [o for o in opened if len(o.guess.tree)]

    def _ask(self, number: int, asked: list[tuple[Open, int]]) -> None:
        start = time.perf_counter()
        try:
            trees = self._drafters[number].propose([o.seq for o, _ in asked], [depth for _, depth in asked])
        except Exception as error:
            self._dismiss(number, error)
            return
        for (o, _), tree in zip(asked, trees, strict=True):
            o.guess.merge(tree, number)
        proposed = sum(map(len, trees))
        if proposed:
            self._prices[number].observe((time.perf_counter() - start) / proposed)

    def _dismiss(self, number: int, error: Exception) -> None:
        log.error("the drafter %r failed and is not asked again", self._drafters.pop(number).name, exc_info=error)
        if self._planter.forced is not None and self._planter.forced[0] == number:
            self._planter.forced = None

    def _depth(self, seq: Sequence, number: int, batch: int, wide: int) -> int:
        """How far a drafter is to look ahead; 0: not worth its time."""
        price = self._prices[number]
        if not price.known:
            return FIRST_DEPTH
        whole = self.costs.step(batch, wide) / batch
        if price.seconds * DEPTH <= CHEAP * whole:
            return DEPTH
        rate = self.rates.rate(seq, (number, seq.request.sampling.greedy), 0.7)
        row = self.costs.step(batch + 1, wide + 1) - self.costs.step(batch, wide) + price.seconds
        gains = [value / (whole + n * row) for n, value in enumerate(accumulate(rate**n for n in range(DEPTH)))]
        best = max(range(DEPTH), key=gains.__getitem__)
        return best or self._probe(seq, number)

    def _probe(self, seq: Sequence, number: int) -> int:
        """Try again after 1, 2, 4, … steps."""
        left, pause = self._skipped.get((seq, number), (0, 1))
        if left:
            self._skipped[seq, number] = left - 1, pause
            return 0
        self._skipped[seq, number] = pause, min(2 * pause, LONGEST_PAUSE)
        return 1

    def _plant(self) -> None:
        for o in self._open:
            try:
                o.units = self._planter.plant(o.seq, o.guess, partial(self._rate, o.seq))
            except Exception as error:  # of the request's constraint, in a state that may never be reached
                log.debug("nothing is drafted for a request whose constraint fails", exc_info=error)

    def _rate(self, seq: Sequence, source: Source) -> float:
        number, kind = source
        drafter = self._drafters.get(number)
        return 0.0 if drafter is None else self.rates.rate(seq, self._key(seq, source), drafter.chances[kind])

    def _key(self, seq: Sequence, source: Source) -> tuple[Source, bool]:
        return source, seq.request.sampling.greedy

    def _chosen(self, batch: int, wide: int, room: int) -> list[Open]:
        """The sequences with a part of their guess worth drafting, which is set as their draft."""
        units = [(-unit.chance, i, j, unit) for i, o in enumerate(self._open) for j, unit in enumerate(o.units)]
        units.sort(key=lambda entry: entry[:3])
        fixed = self.costs.step(0, 0)
        row, head = self.costs.step(1, 0) - fixed, self.costs.step(0, 1) - fixed
        gained, seconds, used = float(batch), self.costs.step(batch, wide), 0
        best, count = gained / seconds, 0
        for n, (_, i, _, unit) in enumerate(units, 1):
            used += len(unit.tokens)
            if used > room:
                break
            full = unit.choice.columns is None or self._open[i].seq.request.scored
            gained += unit.chance
            seconds += row * (1 + (len(unit.tokens) - 1) * (1 - unit.chance)) + head * full
            if gained / seconds > best:
                best, count = gained / seconds, n
        for i, o in enumerate(self._open):
            mine = [unit for _, k, _, unit in units[:count] if k == i]
            if mine:
                o.draft = draft_of(mine)
                self._stats.drafted += len(o.draft)
        return [o for o in self._open if o.draft is not None]

    # -- after it ------------------------------------------------------------------------------------------------

    def computed(self, step: Step, seconds: float) -> None:
        """How long the forward pass took."""
        if not step.prompt:
            self.costs.observe(*self._size, seconds)

    def failed(self, step: Step) -> None:
        """It did not work: the next ones do without drafts, in case those were the reason."""
        self._open = []
        if step.drafted:
            self._pause = min(max(PAUSE, 2 * self._pause), LONGEST_PAUSE)
            self._rest = self._pause

    def learn(self) -> None:
        """Compare what was proposed with what came."""
        for o in self._open:
            if o.seq.error is None:
                self._compare(o)
            if o.draft is not None:
                self._stats.accepted += len(o.draft.path)

    def _compare(self, o: Open) -> None:
        tokens: list[int] = o.seq.ids[o.length : o.seq.length].tolist()
        strides = [len(tokens)] if o.draft is None else o.draft.strides
        node: int | None = ROOT
        at = 0
        for stride in strides:
            if node is None:
                return
            came = tokens[at] if stride else None
            for child in o.guess.children.get(node, ()):
                self._tally(o, child, o.guess.tree.tokens[child] == came)
            for token in tokens[at : at + stride]:
                node = o.guess.tree.child(node, token) if node is not None else None
            at += stride

    def _tally(self, o: Open, node: int, hit: bool) -> None:
        greedy = o.seq.request.sampling.greedy
        for source in set(o.guess.sources[node]):
            self.rates.add(o.seq, self._key(o.seq, source), hit)
        for number in {number for number, _ in o.guess.sources[node]}:
            self.rates.add(o.seq, (number, greedy), hit)

    def ended(self, seq: Sequence) -> None:
        """The sequence is over."""
        self.rates.ended(seq)
        for number, drafter in list(self._drafters.items()):
            self._skipped.pop((seq, number), None)
            try:
                drafter.ended(seq)
            except Exception as error:
                self._dismiss(number, error)
