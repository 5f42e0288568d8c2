"""How probable a field's value is behind given ids."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..covers import Exact
from ..events import Span
from ..exact import Summed, exact_place, summing
from ..fill import constraint_of
from ..grammars import Constraint, choices, compile
from ..grammars.ebnf import gbnf
from ..models import LanguageModel
from ..option_tree import nested
from ..run import Capture, Usage
from ..runtime.request import Ask, Request
from ..runtime.routine import Routine, one
from ..scoring import Place, Weighed, weighing
from ..selecting import MANY
from ..task import covering
from ..transcript import Transcript, backed_up, spell
from ..verbalizer import Verbalizer
from .context import Context

FLOOR = math.log(1e-12)  # nothing counts as less probable than that: no option, no token
LEAST = -1e300  # for what has no probability
Measured = Routine[tuple[float, Usage]]


@dataclass(frozen=True)
class Step:
    """A token of the value, and all that could have come in its place; None: any."""

    token: int
    among: NDArray[np.int32] | None


class Measure:
    """Of a capture on a model, from the context that it had. `name` as in `Why.measure`.

    The end of the text is spelt anew (token healing) as in the run. Where that does not change, nor do the value's
    tokens; otherwise they are those that the tokenizer spells it in, with the text's end.

    `inside`: only these characters of the value are measured, by the tokens that have a part in them; what comes before
    these tokens is context too. `before` is all that is.
    """

    name: Literal["options", "masked", "model"]

    def __init__(
        self, capture: Capture, context: Context, model: LanguageModel, masked: bool, inside: Span | None = None
    ) -> None:
        self.capture, self.context, self.model = capture, context, model
        self.before, self._inner = context, list[Step]()
        self.heal = capture.asked.boundary != "token"
        self.value = capture.text.encode()
        self.options = _options(capture) if masked and inside is None else None
        self.words = None if self.options is None else _words(capture, self.options)
        if self.words is not None:
            self.options = self.words.texts
        self._known: dict[tuple[bytes, tuple[int, ...]], list[Step]] = {}
        self.constraint = _constraint(capture, context, model) if masked and self.options is None else None
        if self.options is not None:
            self.name = "options"
            return
        self.name = "masked"
        if self.constraint is None or self.constraint.forced(self.constraint.start()) == self.value:  # no other value
            self.name, self.constraint = "model", None
        if inside is not None:
            self._look_inside(inside)

    def _look_inside(self, span: Span) -> None:
        self.before, self._inner = self._split(span)
        if self.constraint is not None and not any(map(_open, self._inner)):  # no other value
            self.name, self.constraint = "model", None
            self._known.clear()
            self.before, self._inner = self._split(span)

    def _split(self, span: Span) -> tuple[Context, list[Step]]:
        """What is before the tokens that have a part in some characters of the value, and these tokens."""
        sent, steps = self._base()
        path = [step.token for step in steps]
        token_bytes = self.model.vocab.token_bytes
        over = len(spell(self.model.vocab, self.context.ids)) - len(spell(self.model.vocab, sent))
        begin, end = [over + len(self.capture.text[:at].encode()) for at in span]
        covered = covering(token_bytes, path, begin, end - begin)
        before = self.context.followed([*sent, *path[: covered.start]], self.capture, token_bytes)
        return before, steps[covered.start : covered.stop]

    def size(self) -> int:
        """About how many tokens are read behind the text."""
        return max(1, len(self._inner or self.context.path or self.capture.tokens))

    def of(self, ids: Sequence[int], fixed: int) -> Measured:
        """The value's log-probability, and what it cost. `fixed`: so many of the ids are never spelt anew."""
        ids = list(ids) or sorted(self.model.vocab.eos)[:1]  # no BOS and no text: something must be there to continue
        if self.options is not None:
            return self._among(self.options, ids, fixed)
        if self._inner:
            return self._along(ids, self._inner)
        return self._along(*self._spelt(ids, fixed))

    def width(self) -> int:
        """How many log-probabilities are asked for at a time, at most."""
        if self.options is not None:
            return 4 * len(self.options)
        steps = self._inner or self._base()[1]
        return sum([1 if step.among is None else 1 + len(step.among) for step in steps])

    # -- a choice

    def _among(self, options: tuple[str, ...], ids: list[int], fixed: int) -> Measured:
        end = self.capture.asked.follow.encode() if nested([text.encode() for text in options]) else b""
        found: Weighed | Summed
        if self.capture.asked.boundary == "exact":
            place = exact_place(Transcript(self.model.vocab, ids), self.model, Exact())
            found = yield from summing(options, end, place, self.model, Exact())
        else:
            cut = len(ids) - (self._backed(ids, fixed) if self.heal else 0)
            found = yield from weighing(options, end, Place(tuple(ids[:cut]), tuple(ids[cut:])), self.model)
        values = np.nan_to_num(found.logprobs, nan=LEAST, neginf=LEAST)
        at = options.index(self.capture.text) if self.words is None else self.words.place(self.capture.text)
        values = values if self.words is None else self.words.combined(values)
        value = float(values[at] - np.logaddexp.reduce(values))
        return max(FLOOR, value), found.usage + Usage(1)

    # -- other values

    def _base(self) -> tuple[list[int], list[Step]]:
        return self._spelt(self.context.ids, self.context.fixed)

    def _spelt(self, ids: Sequence[int], fixed: int) -> tuple[list[int], list[Step]]:
        """Where the value is asked about, and its steps."""
        context = self.context
        sent, tail = list(ids[: len(ids) - context.tail]), ids[len(ids) - context.tail :]
        if context.path and sent and list(tail) == context.ids[len(context.ids) - context.tail :]:
            return sent, self._steps(spell(self.model.vocab, tail), context.path)
        cut = len(ids) - (self._backed(ids, fixed) if self.heal else 0)
        prefix = spell(self.model.vocab, ids[cut:])
        tokens = self.model.vocab.encode(prefix + self.value)
        covered = covering(self.model.vocab.token_bytes, tokens, len(prefix), len(self.value))
        before = tokens[: covered.start]
        rest = prefix[len(spell(self.model.vocab, before)) :]
        return [*ids[:cut], *before], self._steps(rest, tuple(tokens[covered.start :]))

    def _steps(self, prefix: bytes, path: tuple[int, ...]) -> list[Step]:
        if (prefix, path) not in self._known:
            self._known[prefix, path] = list(self._walked(prefix, path))
        return self._known[prefix, path]

    def _walked(self, prefix: bytes, path: tuple[int, ...]) -> Iterator[Step]:
        """The language says what could have come, as long as it knows the path."""
        c, forced = self.constraint, list[int]()
        state = None if c is None else c.start(prefix, self.capture.asked.follow.encode())
        for token in path:
            after = None if c is None or state is None else c.advance(state, token)
            if c is None or state is None or after is None:
                yield Step(token, None)
            else:
                forced = forced or c.forced_tokens(state)
                settled = forced[:1] == [token]  # the run appends what is forced: other spellings of it do not count
                forced = forced[1:] if settled else []
                yield Step(token, np.array([token], np.int32) if settled else _allowed(c, state, self.model))
            state = after

    def _along(self, sent: list[int], steps: Sequence[Step]) -> Measured:
        asks, free = [], [step for step in steps if _open(step)]
        for i, step in enumerate(steps):
            if step.among is None:
                asks.append(Ask(len(sent) + i, np.array([step.token], np.int32)))
            elif len(step.among) > 1:
                asks.append(Ask(len(sent) + i, np.append(np.int32(step.token), step.among)))
        if not asks:
            return 0.0, Usage()
        result = yield from one(Request([*sent, *[step.token for step in steps[:-1]]], 0, asks=asks))
        total = 0.0
        for step, values in zip(free, result.answers, strict=True):
            mass = 0.0 if step.among is None else float(np.logaddexp.reduce(values[1:]))
            total += max(FLOOR, float(values[0]) - mass) if values[0] > -math.inf else FLOOR
        return total, Usage(1, result.prompt_tokens, result.prompt_tokens_computed)

    def _backed(self, ids: Sequence[int], fixed: int) -> int:
        backed = backed_up(self.model.vocab, ids[fixed:])
        return min(backed, len(ids) - 1)


def _open(step: Step) -> bool:
    return step.among is None or len(step.among) > 1


def _options(capture: Capture) -> tuple[str, ...] | None:
    """Of a choice that is made by the probabilities of whole options."""
    options = capture.asked.options
    return options if options is not None and len(options) <= MANY and capture.text in options else None


def _words(capture: Capture, options: Sequence[str]) -> Verbalizer | None:
    """Of a class that was chosen by the scores of its words: what is measured is the class."""
    classes = capture.asked.classes
    return None if classes is None else classes.among(options)


def _constraint(capture: Capture, context: Context, model: LanguageModel) -> Constraint | None:
    asked = capture.asked
    if asked.hole is None and asked.options is not None:
        return compile(choices(asked.options), model.vocab)
    if asked.hole is None:
        return compile(gbnf(asked.language), model.vocab) if asked.language else None
    if asked.hole.grammar is None:
        return None
    return constraint_of(asked.hole, Transcript(model.vocab, context.ids), model)


def _allowed(constraint: Constraint, state: int, model: LanguageModel) -> NDArray[np.int32]:
    bits = np.unpackbits(constraint.mask(state).view(np.uint8), bitorder="little")[: model.vocab.size]
    return np.flatnonzero(bits).astype(np.int32)
