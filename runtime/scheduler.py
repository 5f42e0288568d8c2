"""What runs in the next step. Pure bookkeeping: no model, no clock, no thread.

A prompt enters the prefix tree when its request is admitted, before any of it has been computed, and the tree's
tokens are the unit of work: in each step the first sequence that needs a token computes it, and the others that need
it read it from the pool. That holds within a step as well, as a forward pass writes the keys and values of all its
tokens before it reads any. So N requests with a shared prefix compute each edge of the tree once, even when they
arrive together and the prefix takes several chunks; and when the one that happened to compute it is cancelled or fails,
the next one simply goes on. (Considered: holding requests back until their prefix is published. It costs one step of
latency per branching point, and a leader's failure needs a hand-over.)

What a slot holds (`stage`):

    EMPTY   nothing valid: free, or taken by a token that is still to be computed
    r >= 0  its token is row r of the step that is being planned or run
    READY   its token's keys and values

Along a sequence's table the stages are READY… row… EMPTY…, in this order: nothing is computed before its prefix.

An exact repeat of a cached prompt still computes one token, its last, in a slot of its own: the logits are needed.
Repeats that are under way together share that last token's row of logits. In the same way, what a sequence asks about
tokens that are cached is answered by computing just those again, in slots that are given back after the step.
"""

from __future__ import annotations

from bisect import insort

import numpy as np
from numpy.typing import NDArray

from .pool import SlotPool, Slots
from .radix import Node, RadixTree
from .sequence import Sequence
from .speculation.rows import lay_out
from .speculation.tree import Draft
from .step import Sample, Segment, Step
from .waiting import Waiting

EMPTY, READY = -2, -1
WIDE = 64  # most full rows of logits for asks in a step: in a large vocabulary one is a megabyte
GROWTH = 64  # steps after which a limit that memory has halved is doubled again


def rank(seq: Sequence) -> tuple[bool, int, int]:
    """Smaller is more important: goes first, is preempted last."""
    return not seq.due, -seq.request.priority, seq.arrival


class Scheduler:
    """Continuous batching with chunked prefill over a slot pool and a prefix tree.

    slots       size of the pool
    max_tokens  most tokens a step computes; decodes go first, prefill fills up the rest in chunks
    max_running most sequences under way at once
    reuse       False: every request computes its whole prompt itself
    """

    def __init__(self, slots: int, max_tokens: int = 2048, max_running: int = 64, reuse: bool = True) -> None:
        self.max_tokens, self.max_running, self.reuse = max_tokens, max_running, reuse
        self.evicted = self.preempted = self.cached = 0
        self._limit, self._good = max_tokens, 0
        self._clear(slots)

    def _clear(self, slots: int) -> None:
        self.pool, self.tree, self.waiting = SlotPool(slots), RadixTree(), Waiting()
        self.running: list[Sequence] = []  # by rank
        self._stage: NDArray[np.int64] = np.full(slots, EMPTY, np.int64)
        self._suspects: list[Sequence] = []

    # -- requests come and go ------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        return bool(self.waiting or self.running)

    def add(self, seq: Sequence) -> None:
        self.waiting.enter(seq)

    def remove(self, seq: Sequence) -> None:
        """Take a sequence out, finished or not. What it computed stays cached."""
        if seq.node is not None:
            self.running.remove(seq)
            self._release(seq)
        else:
            self.waiting.drop(seq)
        self.waiting.leave(seq)

    def restart(self, seqs: list[Sequence]) -> None:
        """Forget everything but these sequences: they keep their tokens, and compute all of them again."""
        self._clear(self.pool.size)
        for seq in seqs:
            seq.release()
            self.waiting.enter(seq)

    # -- a step --------------------------------------------------------------------------------------------------

    def schedule(self) -> Step:
        """Plan a step. Rows are assigned and slots taken; `commit` or `rollback` must follow."""
        step = Step()
        while self._suspects:
            suspect = self._suspects.pop()
            if suspect.node is not None:
                step.trial = True
                return self._plan_all([suspect], step)
        self._admit(step)
        rest = self._plan_decodes(step)
        return self._plan_all(rest, step) if rest else step

    def commit(self, step: Step) -> None:
        """The step was computed."""
        self._stage[np.concatenate(step.slots)] = READY
        for segment in step.segments:
            seq = segment.seq
            if segment.start < seq.prompt:
                seq.computed += min(segment.end, seq.prompt) - segment.start
            if segment.end > seq.done:
                seq.done = segment.end
        self._return_spare(step)
        for seq in [sample.seq for sample in step.samples if sample.last]:
            seq.done = seq.length
            if seq.group is not None:
                seq.group.served += 1
        self._good += 1
        if self._good % GROWTH == 0:
            self._limit = min(2 * self._limit, self.max_tokens)

    def rollback(self, step: Step) -> None:
        """The step failed: nothing of it counts. Its sequences are then run one at a time, to find the culprit."""
        self._undo(step)
        if step.culprit is None:
            self._suspects = list(dict.fromkeys(segment.seq for segment in step.segments))

    def shrink(self, step: Step) -> bool:
        """The step did not fit in memory: nothing of it counts, and the next ones are of half its size, for a while.
        False if it cannot be any smaller."""
        self._undo(step)
        self._limit, self._good = max(1, step.tokens // 2), 0
        return step.tokens > 1

    def _undo(self, step: Step) -> None:
        self._stage[np.concatenate(step.slots)] = EMPTY
        self._return_spare(step)
        for seq in step.drafted:
            assert seq.draft is not None
            self._free(seq.draft.slots)
            seq.draft = None

    # -- drafts: tokens that may come next -----------------------------------------------------------------------

    def room(self, step: Step) -> int:
        """How many drafted tokens may be added to a step."""
        return 0 if step.trial else min(self._limit - step.tokens, self.pool.free + self.tree.evictable)

    def graft(self, step: Step, drafts: list[tuple[Sequence, Draft]]) -> None:
        """Add drafts, each of a sequence whose last token the step computes. `settle` must follow, or `rollback`."""
        for seq, draft in drafts:
            self._make_room(len(draft))
            draft.slots = self.pool.take(len(draft))
            seq.draft = draft
            step.drafted.append(seq)
            if seq.group is not None:
                seq.group.served += len(draft)
        if drafts:
            lay_out(step, drafts)

    def settle(self, step: Step) -> None:
        """The accepted nodes of drafts become tokens of their sequences; slots of the others are given back."""
        for seq in step.drafted:
            draft = seq.draft
            assert draft is not None
            seq.hold(draft.slots[draft.path])
            seq.done = seq.held
            self._free(np.delete(draft.slots, draft.path))
            seq.draft = None

    # -- admission -----------------------------------------------------------------------------------------------

    def _admit(self, step: Step) -> None:
        if not self.waiting or not (len(self.running) < self.max_running or self._outranked(self.waiting.top)):
            return
        backlog = self._backlog()
        for seq in self.waiting.order(self._cached):
            if backlog >= self.max_tokens and not self._outranked(seq.request.priority):
                break
            cached = self.cached
            if not self._make_place(seq):
                break
            missing = seq.length - (self.cached - cached)
            backlog += missing
            self.waiting.go(seq, missing + 1)
            insort(self.running, seq, key=rank)
            step.admitted.append(seq)
        self.waiting.end_pass()

    def _outranked(self, priority: int) -> bool:
        """Whether a running sequence would give way to that priority."""
        return bool(self.running) and not self.running[-1].due and self.running[-1].request.priority < priority

    def _make_place(self, seq: Sequence) -> bool:
        """Give a waiting sequence its shared slots; ones of lower priority go back to wait for it. False: too few."""
        while len(self.running) >= self.max_running or not self._start(seq):
            if not self._outranked(seq.request.priority):
                return False
            self._preempt(self.running[-1])
        return True

    def _backlog(self) -> int:
        """Tokens that wait to be computed: those with a slot, each counted once, and those without."""
        with_slot = int(np.count_nonzero(self._stage == EMPTY)) - self.pool.free
        return with_slot + sum(seq.length - seq.held for seq in self.running)

    def _cached(self, seq: Sequence) -> int:
        return self.tree.peek(seq.ids[: seq.length]) if self.reuse else 0

    def _start(self, seq: Sequence) -> bool:
        tree = self.tree
        ids = seq.ids[: seq.length]
        node = tree.match(ids) if self.reuse else tree.root
        tree.lock(node)
        missing = seq.length - node.end
        if missing + len(self.running) > self.pool.free + tree.evictable:
            tree.unlock(node)
            return False
        seq.node = node
        self.cached += node.end
        if self.reuse and missing:
            self._make_room(missing)
            seq.node, _ = tree.insert(node, ids[node.end :], self.pool.take(missing))
            tree.lock(seq.node)
            tree.unlock(node)
        if self.reuse:
            seq.hold(tree.slots(seq.node))
            seq.shared = seq.held
        return True

    # -- planning ------------------------------------------------------------------------------------------------

    def _plan_decodes(self, step: Step) -> list[Sequence]:
        """Plan the sequences that need a slot for one token, all at once. Returns the others."""
        decodes: list[Sequence] = []
        rest: list[Sequence] = []
        for seq in self.running:
            (decodes if seq.done == seq.held == seq.length - 1 and not seq.asks else rest).append(seq)
        del decodes[self._limit :]
        while len(decodes) > self.pool.free + self.tree.evictable:
            victim = self.running[-1]
            self._preempt(victim)
            if decodes[-1] is victim:
                decodes.pop()
        if decodes:
            self._make_room(len(decodes))
            slots = self.pool.take(len(decodes))
            self._stage[slots] = np.arange(len(slots))
            step.slots.append(slots)
            step.tokens = len(slots)
            for row, (seq, slot) in enumerate(zip(decodes, slots.tolist(), strict=True)):
                seq.hold_one(slot)
                step.segments.append(Segment(seq, seq.done, seq.length, row))
                step.samples.append(Sample(seq, row))
        return rest

    def _plan_all(self, seqs: list[Sequence], step: Step) -> Step:
        for seq in seqs:
            if seq.node is not None:  # not preempted meanwhile
                self._plan(seq, step)
        rows = [(seq, self._last_row(seq)) for seq in seqs if seq.node is not None and not seq.asks]
        step.samples += [Sample(seq, row) for seq, row in rows if row >= 0]
        for seq in seqs:
            if seq.node is not None:
                self._plan_asks(seq, step)
        return step

    def _plan(self, seq: Sequence, step: Step) -> None:
        start, room = self._first_empty(seq), self._limit - step.tokens
        if start == seq.length:
            if seq.asks or self._last_row(seq) >= 0:
                return  # someone else computes the last token in this step
            start = seq.done = seq.length - 1  # all of it is cached
            if seq.shared > start:
                seq.shared = seq.held = start
        end = min(seq.length, start + room, self._far(seq, start))
        if start >= end or not self._reserve(seq, end, step):
            return
        self._stage[seq.table[start:end]] = np.arange(step.tokens, step.tokens + end - start)
        step.slots.append(seq.table[start:end])
        step.prompt += max(0, min(end, seq.prompt) - start)
        step.segments.append(Segment(seq, start, end, step.tokens))
        step.tokens += end - start

    def _far(self, seq: Sequence, start: int) -> int:
        """How far a segment may reach, so that what is asked about its tokens can be answered in this step."""
        asked = [ask.after for ask in seq.asks if ask.after > start]
        return asked[WIDE - 1] if len(asked) > WIDE else seq.length

    def _plan_asks(self, seq: Sequence, step: Step) -> None:
        """Find rows for what a sequence asks, as far as there is room."""
        for ask in seq.asks:
            sample = Sample(seq, -1, ask=ask)
            wide = sample.columns is None
            if ask.after > seq.held or step.wide + wide > WIDE:
                return
            row = self._row(seq, ask.after - 1, step)
            if row < 0:
                return
            step.samples.append(sample._replace(row=row))
            step.wide += wide

    def _row(self, seq: Sequence, at: int, step: Step) -> int:
        """The row of a token, which is computed again if need be; a negative number if this step has none."""
        stage = int(self._stage[seq.table[at]])
        if stage != READY:
            return stage
        last = step.segments[-1] if step.segments else None
        if last is None or last.seq is not seq or last.spare is None or last.end < at:
            last = Segment(seq, at, at, step.tokens, [])
        if at == last.end:
            if step.tokens >= self._limit or not self._has_spare(seq, step):
                return EMPTY
            self._add_spare(last, step)
        return last.row + at - last.start

    def _has_spare(self, seq: Sequence, step: Step) -> bool:
        while not self.pool.free + self.tree.evictable:
            if step.tokens:  # others go on, and this one later
                return False
            victim = self._victim(step)
            self._preempt(victim)
            if victim is seq:
                return False
        return True

    def _add_spare(self, segment: Segment, step: Step) -> None:
        """One more token for a segment of tokens that are computed again."""
        assert segment.spare is not None
        self._make_room(1)
        slot = self.pool.take(1)
        if not segment.spare:
            step.segments.append(segment)
        segment.spare.append(int(slot[0]))
        segment.end += 1
        step.slots.append(slot)
        step.tokens += 1
        step.prompt += 1

    def _return_spare(self, step: Step) -> None:
        for segment in step.segments:
            if segment.spare is not None:
                self._free(np.array(segment.spare))

    def _first_empty(self, seq: Sequence) -> int:
        """How many leading tokens are ready or planned; moves `done` on to those that are ready."""
        stages = self._stage[seq.table[seq.done : seq.held]]
        seq.done += int(np.count_nonzero(stages == READY))
        return seq.done + int(np.count_nonzero(stages >= 0))

    def _last_row(self, seq: Sequence) -> int:
        """The row of this step that computes the sequence's last token, or a negative number."""
        return int(self._stage[seq.table[seq.length - 1]]) if seq.held >= seq.length else EMPTY

    def _reserve(self, seq: Sequence, end: int, step: Step) -> bool:
        """Own slots up to `end`, by eviction and preemption at need. False if the sequence itself had to go."""
        need = end - seq.held
        if need <= 0:
            return True
        while need > self.pool.free + self.tree.evictable:
            victim = self._victim(step)
            self._preempt(victim)
            if victim is seq:
                return False
        self._make_room(need)
        seq.hold(self.pool.take(need))
        return True

    def _make_room(self, n: int) -> None:
        if n > self.pool.free:
            slots = self.tree.evict(n - self.pool.free)
            self.evicted += len(slots)
            self._free(slots)

    def _victim(self, step: Step) -> Sequence:
        """The least important running sequence that this step does not need."""
        needed = {id(segment.seq) for segment in step.segments}
        return next(seq for seq in reversed(self.running) if id(seq) not in needed)

    def _preempt(self, seq: Sequence) -> None:
        """Send a running sequence back to wait; it keeps its tokens and computes what is evicted meanwhile again."""
        self.preempted += 1
        self.running.remove(seq)
        self._release(seq)
        self.waiting.back(seq)

    # -- giving slots back ---------------------------------------------------------------------------------------

    def _release(self, seq: Sequence) -> None:
        """Turn what the sequence computed itself into cache, give back the rest, and unlock its path."""
        node, tree = seq.node, self.tree
        assert node is not None, "only running sequences hold slots"
        done = min(seq.done, seq.held)
        if self.reuse and done > node.end:
            mine = max(seq.shared, node.end)
            deeper, n = tree.insert(node, seq.ids[mine:done], seq.table[mine:done])
            spare = [seq.table[seq.shared : mine + n], seq.table[done : seq.held]]
            tree.lock(deeper)
            tree.unlock(node)
            node = deeper
        else:
            spare = [seq.table[seq.shared : seq.held]]
        for slots in spare:
            self._free(slots)
        tree.unlock(node)
        self._trim(node)
        seq.release()

    def _trim(self, node: Node) -> None:
        """Cut off tokens that nobody is left to compute."""
        while node.parent is not None and node.refs == 0 and not node.kids:
            ready = int(np.count_nonzero(self._stage[node.slots] == READY))
            if ready == len(node.slots):
                return
            parent = node.parent
            self._free(self.tree.cut(node, ready))
            node = parent

    def _free(self, slots: Slots) -> None:
        self._stage[slots] = EMPTY
        self.pool.give(slots)

    # -- checks --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Every slot is in exactly one place: free, in the tree, or owned by one sequence."""
        own = sum(seq.held - seq.shared + (len(seq.draft.slots) if seq.draft else 0) for seq in self.running)
        total = self.pool.free + self.tree.tokens + own
        if total != self.pool.size:
            raise AssertionError(
                f"slots leak: {self.pool.free} free + {self.tree.tokens} in the tree + {own} owned by "
                f"{len(self.running)} sequences = {total}, not {self.pool.size}"
            )
