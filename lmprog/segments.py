"""Plans carried out by a server: as many holes as go into one grammar are one request.

A segment is the part of a plan from one hole on that a single request can fill: up to a chat role, another decoder, a
hole that needs a request of its own (a stop, a budget, free text that nothing ends, its own temperature), or a place
where the text depends on a value that the server has yet to give. The answer is read back into the holes' values; what
cannot be read is asked for again hole by hole.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from .asking import answered, asking, choice_of
from .ends import end_mark
from .errors import BudgetError, UnsupportedConstraint
from .fill import DEFAULT_TOKENS
from .grammars import Grammar, choices, compile, literal
from .grammars.derive import minlen
from .grammars.endings import needed
from .page import Page
from .plan import Branch, Decoding, End, Fill, Node, Piece, Ref, Role, Text
from .plan_grammar import Builder, Values, language, next_stop, text_of, way
from .run import Usage
from .runtime.remote.errors import BackendAnswer
from .runtime.remote.model import RemoteModel
from .runtime.remote.texts import vocabulary
from .runtime.request import Request
from .runtime.routine import Routine
from .runtime.wanted import Wanted
from .task import Answer, Task
from .walk import Walk

UNKNOWN = "\0"  # stands for a value that is used again, but that the grammar cannot remember
log = logging.getLogger("lmprog")


class Segment(Builder):
    """The segment of a plan from the hole at `root` on, behind holes with `values`: its `grammar`, and `read` for its
    texts. `holes` counts the holes that there may be."""

    def __init__(self, root: Node, item: Fill, values: Sequence[str]) -> None:
        super().__init__()
        self.root, self.settings, self.before = root, item.hole.settings, tuple(values)
        self.holes = 0
        self.grammar = self.of(root, self.before)

    def ends(self, node: Node, values: Values) -> bool:
        """Whether the segment is over before a node."""
        match node.item:
            case Role() | Decoding() | End():
                return True
            case Branch(back):
                return values[-back] == UNKNOWN
            case Text(pieces):
                return _unknown(pieces, values)
            case Fill(follow=follow, hole=hole) if node is not self.root:
                return alone(node.item) or hole.settings != self.settings or _unknown(follow, values)
        return False

    def more(self, node: Node, values: Values) -> bool:
        """Whether there is another hole before the end; texts behind the last one need not be generated."""
        while not self.ends(node, values):
            match node.item:
                case Fill():
                    return True
                case Branch(back, _, cells):
                    node = node.next[way(values[-back], cells)]
                case _:
                    node = node.next[0]
        return False

    def _make(self, node: Node, values: Values) -> Grammar:
        return super()._make(node, values) if self.more(node, values) else literal("")

    def _fill(self, item: Fill, after: Node, values: Values) -> Grammar:
        self.holes += 1
        follow = text_of(item.follow, values)
        if item.options is None or 1 not in self.needs(after):
            return self._and_on(language(item.hole, follow), follow, after, (*values, UNKNOWN))
        ways: dict[tuple[Grammar, bool], list[str]] = {}
        for option in item.options:
            known = (*values, option)
            ways.setdefault((self.of(after, known), self.more(after, known)), []).append(option)
        made = [self._and_on(choices(some), follow, after, (*values, some[0])) for some in ways.values()]
        return reduce(Grammar.__or__, made)

    def _and_on(self, value: Grammar, follow: str, after: Node, values: Values) -> Grammar:
        if self.more(after, values):
            return value + self.of(after, values)
        end = needed(value.expr, end_mark(follow).decode())
        return value + literal(end).optional() if end else value

    # -- reading

    def read(self, text: str) -> list[str] | None:
        """The holes' values in a text; None when it is none of the segment."""
        return self._read(self.root, text, 0, self.before, self.before)

    def _read(
        self, node: Node, text: str, at: int, values: tuple[str, ...], known: tuple[str, ...]
    ) -> list[str] | None:
        if (found := next_stop(node, text, at, values)) is None:
            return None
        node, at = found
        assert isinstance(node.item, Fill)
        item, after = node.item, node.next[0]
        follow = text_of(item.follow, values)
        for value in _candidates(item, text, at, follow):
            here = (*known, value if item.options is not None else UNKNOWN)
            end = at + len(value)
            if not self.more(after, here):
                mark = end_mark(follow).decode()
                if end == len(text) or (mark and mark.startswith(text[end:])):
                    return [value]
            elif (rest := self._read(after, text, end, (*values, value), here)) is not None:
                return [value, *rest]
        return None


def alone(item: Fill) -> bool:
    """Whether a hole needs a request of its own: only that keeps its budget, tells its end, or scores its words."""
    hole = item.hole
    bounded = bool(hole.stop) or hole.max_tokens is not None
    return bounded or hole.words is not None or (hole.grammar is None and not item.follow)


def _unknown(pieces: Sequence[Piece], values: Values) -> bool:
    return any([values[-piece.back] == UNKNOWN for piece in pieces if isinstance(piece, Ref)])


def _candidates(item: Fill, text: str, at: int, follow: str) -> list[str]:
    """Values that text[at:] may begin with: free text as short as possible, others as long as possible."""
    c = compile(language(item.hole, follow), vocabulary())
    s, found = c.start(), []
    for end in range(at, len(text) + 1):
        if c.accepting(s):
            found.append(text[at:end])
        if end == len(text) or (after := c.run(s, text[end].encode(errors="replace"))) is None:
            break
        s = after
    return found if item.hole.grammar is None else found[::-1]


class ServerWalk(Walk):
    """Fills what goes into one grammar by one request."""

    def __init__(self, page: Page, model: RemoteModel) -> None:
        super().__init__(page, model)
        self.server = model
        self._known: deque[str] = deque()
        self._usage = Usage()

    def _fill(self, node: Node, item: Fill) -> Routine[None]:
        task = self.page.task(item.hole, self._text(item.follow))
        if not self._known and (segment := self._segment(node, item, task)) is not None:
            yield from self._ask(segment, task)
        if self._known:
            value, choice = self._known.popleft(), choice_of(task, self.page.transcript.border()[0], self.server)
            self.page.transcript.append(value)
            spent, self._usage = self._usage, Usage()
            self._filled(task, Answer(value.encode(), tuple(value.encode()), "stop", 0, None, spent, choice=choice))
            return
        answer = yield from asking(task, self.page.transcript, self.server)
        spent, self._usage = answer.usage + self._usage, Usage()
        self._filled(task, replace(answer, usage=spent))

    def _segment(self, node: Node, item: Fill, task: Task) -> Segment | None:
        """None: this hole is better asked for by itself."""
        if alone(item) or task.logprobs or task.trace or task.method is not None:
            return None
        try:
            segment = Segment(node, item, self.values)
            many = segment.holes > 1 and self.server.enforces(Wanted(segment.grammar.expr, heal=task.heal))
        except UnsupportedConstraint as error:
            log.debug("a plan is asked for hole by hole: %s", error)
            return None
        return segment if many else None

    def _ask(self, segment: Segment, task: Task) -> Routine[None]:
        """An answer that was cut off, say, leaves its values to be asked for one by one."""
        ids, _ = self.page.transcript.border()
        wanted = Wanted(segment.grammar.expr, heal=task.heal)
        most = DEFAULT_TOKENS * segment.holes + minlen(segment.grammar.expr)
        try:
            (result,) = yield [Request(ids, most, sampling=task.sampling, wanted=wanted)]
        except (BudgetError, UnsupportedConstraint, BackendAnswer) as error:
            log.debug("a plan is asked for hole by hole: %s", error)
            return
        self._usage += answered(result).usage
        self._known.extend(segment.read(bytes(result.ids).decode()) or ())
