"""The search for what causes a field.

The effect of a part is the mean over its replacements r of

    log p(value | text before)  -  log p(value | text before, with the part replaced by r)

All replacements are drawn beforehand (drawing.py), so that the changed texts are one batch of requests; each shares
with the run whatever comes before its first changed token. (Occlusion, as in Zeiler and Fergus 2014 and in Captum's
attribution of language models; replacement by predictions of a language model instead of a constant: Zhao and Shan
2024, "ReAGent". A single part at a time, because that is what can be said exactly and repeated by hand; how far the
effects of several parts add up is measured apart, by random sets of parts, as Cohen-Wang et al. 2024 judge their
"ContextCite", which fits a sparse linear model to such sets instead.)
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, get_args

import numpy as np

from ..errors import NoModel, ProgramError, RunError
from ..models import Canceller, LanguageModel
from ..run import Run, Usage
from ..runtime.remote.model import RemoteModel
from ..runtime.request import Request, Result
from ..runtime.routine import one, together
from .bar import Bar
from .context import context
from .cutting import Cutter, Piece, Unit, labels
from .drawing import Drawer, Replacement
from .fields import field_of
from .measuring import Measure
from .result import Part, Why
from .statistics import interval, spearman

NO_MODEL = "the run {why}: say which model is to be asked, as in run.why({field!r}, model=lp.load())"
NO_SCORES = "{name} does not tell how probable given texts are: run.why needs a model in this process, model=lp.load()"
TOO_MUCH = (
    "about {tokens:,} tokens would be computed, and budget= allows {budget:,}: give {unit}fewer samples or a larger one"
)
FINER = 'unit="auto", which looks into the heaviest parts only, or a coarser unit than {unit!r}, '
SPELLING = "the tokens of {name} cannot spell the text of the run: {error}"
ALL = 64  # parts that "auto" looks at without coarser ones first
MOST = 16  # parts that "auto" cuts a part into
OPENED = 3  # parts that "auto" looks into at a time
FEW = 2  # draws for parts that "auto" may look into; one, where the budget asks for it
ROUNDS = 8  # of "auto"
LIGHT = 0.1  # of the strongest effect: "auto" does not look into parts of less
BATCH = 64  # changed texts that are asked about together
WIDE = 1 << 23  # log-probabilities that are asked for together


@dataclass(frozen=True)
class Options:
    """The arguments of `Run.why`."""

    unit: Unit
    replacement: Replacement
    samples: int
    masked: bool
    check: int
    seed: int
    budget: int
    progress: bool

    def __post_init__(self) -> None:
        for name, kind in (("unit", Unit), ("replacement", Replacement)):
            if getattr(self, name) not in get_args(kind):
                known = ", ".join([repr(value) for value in get_args(kind)])
                raise ProgramError(f"{name} is one of {known}, not {getattr(self, name)!r}")
        for name, least in (("samples", 1), ("check", 0), ("budget", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ProgramError(f"{name} is a whole number of {least} or more, not {value!r}")


def find(run: Run[Any], field: str, model: LanguageModel | None, options: Options) -> Why:
    """`Run.why`."""
    asked = field_of(run, field)
    if model is None:
        raise NoModel(NO_MODEL.format(why="has no model, as it was loaded", field=field))
    if not hasattr(model, "scores"):
        raise ProgramError(f"model= is a model, as lp.load() gives one, not {model!r}")
    if isinstance(model, RemoteModel) or not model.scores:
        raise ProgramError(NO_SCORES.format(name=model.name))
    began = time.perf_counter()
    text = run.text[: asked.place[1]]
    _check_spelling(text, model)
    before = context(run, asked.capture, model)
    measure = Measure(asked.capture, before, model, options.masked, asked.span)
    cutter = Cutter(measure.before, run.text, labels(run, asked.capture.asked.unseen))
    if not cutter.spans:
        raise RunError(f"there is no text before {field!r} that could have caused it")
    search = _Search(measure, cutter, options)
    with search.bar:
        parts, groups = search.run()
        fidelity = search.check(parts) if options.check else None
    return Why(
        field,
        asked.text,
        asked.place,
        text,
        tuple(parts.values()),
        search.base,
        search.measure.name,
        options.replacement,
        search.samples,
        options.seed,
        tuple(groups),
        fidelity,
        replace(search.usage, seconds=time.perf_counter() - began),
    )


def _check_spelling(text: str, model: LanguageModel) -> None:
    try:
        model.vocab.encode(text.encode())
    except ValueError as error:
        raise RunError(SPELLING.format(name=model.name, error=error)) from None


Change = tuple[tuple[int, int | None], ...]  # positions, and the ids that come there instead; None: nothing does


class _Search:
    def __init__(self, measure: Measure, cutter: Cutter, options: Options) -> None:
        self.measure, self.context, self.cutter, self.options = measure, measure.before, cutter, options
        self.samples = 1 if options.replacement == "delete" else options.samples
        self.usage = Usage()
        self.bar = Bar(options.progress)
        self._canceller = Canceller()
        even = options.replacement == "uniform"
        self._drawer = Drawer(measure.model.vocab, self._ask, even)
        self._drawn: dict[int, list[int]] = {}  # of the last round that was about each place
        self._finest: Unit | None = None  # None: no part is looked into
        self._thrifty = False
        self._rounds = 0
        self._known: dict[Change, float] = {}
        (self.base,) = self._values([()])

    def run(self) -> tuple[dict[Piece, Part], list[Part]]:
        """All parts in order, and those that were looked into."""
        if self.options.unit != "auto":
            pieces = self.cutter.cut(self.options.unit)
            self._check_budget(pieces, self.options.unit)
            return self._effects(pieces), []
        finest = self.cutter.finest()
        pieces = self.cutter.cut(finest)
        if len(pieces) <= ALL and self._cost(pieces) <= self.options.budget:
            return self._effects(pieces), []
        self._finest = finest
        return self._inwards(finest)

    def _inwards(self, finest: Unit) -> tuple[dict[Piece, Part], list[Part]]:
        """Coarse parts first; then the heaviest of them are cut, again and again."""
        tokens = list(self.cutter.spans)
        pieces = self.cutter.finer(tokens, finest, MOST)
        self._thrifty = self._cost(pieces) > self.options.budget
        self._check_budget(pieces, "auto")
        parts, groups = self._effects(pieces), list[Part]()
        for _ in range(ROUNDS):
            chosen = self._affordable(self._heaviest(parts, finest), finest)
            if not chosen:
                break
            groups += [parts.pop(group) for group in chosen]
            parts |= self._effects([piece for finer in chosen.values() for piece in finer])
        return dict(sorted(parts.items(), key=lambda item: item[0].span)), groups

    def _affordable(self, heaviest: Sequence[Piece], finest: Unit) -> dict[Piece, list[Piece]]:
        """As many of the parts, each with what it is cut into, as the budget allows to look into."""
        left = self.options.budget - self.usage.prompt_tokens_computed
        finer = {group: self.cutter.finer(group.tokens, finest, MOST) for group in heaviest}
        for self._thrifty in (False, True):
            for count in range(len(heaviest), 0, -1):
                chosen = {group: finer[group] for group in heaviest[:count]}
                if self._cost([piece for pieces in chosen.values() for piece in pieces]) <= left:
                    return chosen
        return {}

    def _times(self, piece: Piece) -> int:
        """How often a part is replaced."""
        if self._finest is None:
            return self.samples
        if self._thrifty:
            return 1
        finest = len(self.cutter.cut(self._finest, piece.tokens)) == 1
        return self.samples if finest else min(FEW, self.samples)

    def _heaviest(self, parts: Mapping[Piece, Part], finest: Unit) -> list[Piece]:
        """What is to be looked into next, of the strongest parts."""
        ranked = sorted(parts, key=lambda piece: -parts[piece].effect)
        least = max(0.0, LIGHT * parts[ranked[0]].effect)
        strong = [piece for piece in ranked if parts[piece].effect > least]
        return [piece for piece in strong if len(self.cutter.cut(finest, piece.tokens)) > 1][:OPENED]

    def _effects(self, pieces: Sequence[Piece]) -> dict[Piece, Part]:
        self._draw(pieces)
        changes = [self._changes(piece) for piece in pieces]
        values = iter(self._values([change for one in changes for change in one]))
        found = [[self.base - next(values) for _ in one] for one in changes]
        return {piece: self._part(piece, effects) for piece, effects in zip(pieces, found, strict=True)}

    def _part(self, piece: Piece, effects: Sequence[float]) -> Part:
        begin, end = piece.span
        mean = fmean(effects) if effects else 0.0
        kind, name, _ = piece.label
        return Part(piece.span, self.cutter.text[begin:end], mean, interval(effects), kind, name)

    # -- what is replaced

    def _replaced(self, piece: Piece) -> list[int]:
        """Blanks stay where they are, in parts that are more than that: the text keeps its lines."""
        return [token for token in piece.tokens if not self.cutter.blank(token)] or list(piece.tokens)

    def _draw(self, pieces: Sequence[Piece]) -> None:
        if self.options.replacement == "delete":
            return
        parts = [(self._replaced(piece), self._times(piece)) for piece in pieces]
        self.bar.about("reading the text", sum([len(places) for places, _ in parts]))
        self._drawn |= self._drawer.draw(self.context.ids, parts, (self.options.seed, self._rounds))
        self._rounds += 1

    def _changes(self, piece: Piece) -> list[Change]:
        """None where a token has no other text to be replaced by."""
        if self.options.replacement == "delete":
            return [tuple([(token, None) for token in piece.tokens])]
        places = [place for place in self._replaced(piece) if self._drawn[place]]
        if not places:
            return []
        times = len(self._drawn[places[0]])
        return [tuple([(place, self._drawn[place][n]) for place in places]) for n in range(times)]

    # -- what the model says

    def _values(self, changes: Sequence[Change]) -> list[float]:
        """The value's log-probability in each of the changed texts, each asked once."""
        todo = [change for change in dict.fromkeys(changes) if change not in self._known]
        self.bar.about("asking the model", len(todo))
        size = max(1, min(BATCH, WIDE // max(1, self.measure.width())))
        for at in range(0, len(todo), size):
            some = todo[at : at + size]
            routine = together([self.measure.of(*self._changed(change)) for change in some])
            for change, (value, usage) in zip(some, self._canceller.run(self.measure.model, routine), strict=True):
                self._known[change] = value
                self.usage += usage
            self.bar.done(len(some))
        return [self._known[change] for change in changes]

    def _changed(self, change: Change) -> tuple[list[int], int]:
        ids: list[int | None] = list(self.context.ids)
        for place, token in change:
            ids[place] = token
        fixed = self.context.fixed
        return [i for i in ids if i is not None], sum(i is not None for i in ids[:fixed])

    def _ask(self, request: Request) -> Result:
        result = self._canceller.run(self.measure.model, one(request))
        self.usage += Usage(1, result.prompt_tokens, result.prompt_tokens_computed)
        self.bar.done(len(request.asks))
        return result

    # -- what it costs

    def _cost(self, pieces: Sequence[Piece]) -> int:
        """About how many tokens are computed for the effects of some parts."""
        whole = len(self.context.ids) + self.measure.size()
        return sum([self._times(piece) * (whole - piece.tokens[0]) for piece in pieces])

    def _check_budget(self, pieces: Sequence[Piece], unit: str) -> None:
        if (tokens := self._cost(pieces)) > self.options.budget:
            coarser = "" if unit == "auto" else FINER.format(unit=unit)
            raise ProgramError(TOO_MUCH.format(tokens=tokens, budget=self.options.budget, unit=coarser))

    # -- how far effects add up

    def check(self, parts: Mapping[Piece, Part]) -> float | None:
        """The rank correlation, over random halves of the parts, of the sum of their effects and their joint effect."""
        rng = np.random.default_rng((self.options.seed, 1))
        pieces = [piece for piece in parts if self._changes(piece)]
        sets = [[p for p in pieces if rng.random() < 0.5] for _ in range(self.options.check)]
        joint = [tuple(sorted([c for p in some for c in self._nth(p, n)])) for n, some in enumerate(sets)]
        came = [self.base - value for value in self._values(joint)]
        foretold = [math.fsum([parts[p].effect for p in some]) for some in sets]
        return spearman(foretold, came)

    def _nth(self, piece: Piece, n: int) -> Change:
        changes = self._changes(piece)
        return changes[n % len(changes)]
