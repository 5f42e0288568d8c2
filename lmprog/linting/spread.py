"""`lp.format_spread`: how much a program's score depends on its format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from ..batch import as_done, bar_of
from ..decoders import Decoder
from ..errors import EvaluationError
from ..evaluation.data import Data, arguments, read
from ..evaluation.measure import light
from ..evaluation.metrics import Function, Metric, metrics, number
from ..evaluation.statistics import Interval, mcnemar, mean_interval
from ..models import Canceller, LanguageModel, choose
from ..options import Options
from ..programs import Program
from ..run import Run, Usage
from .bandit import Bandit, Look
from .formats import Format, formats, styled

WIDTH = 60  # characters of the drawn interval


@dataclass(frozen=True)
class FormatScore:
    """A format's scores on the rows on which it was looked at. `interval`: 95 %, of the mean of this format alone."""

    format: Format
    scores: tuple[float, ...] = field(repr=False)

    @property
    def mean(self) -> float:
        return sum(self.scores) / len(self.scores)

    @property
    def interval(self) -> Interval:
        return mean_interval(self.scores)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.mean:.3f} [{low:.3f}, {high:.3f}] on {len(self.scores)} rows: {self.format}"


@dataclass(frozen=True)
class FormatSpread:
    """What `format_spread` found.

    best, worst   the ends of the performance interval, each with an interval of its own
    original      the program as it is
    formats       all that were looked at, the original first
    evaluations   looks that were taken, of `possible` ones
    failed        how many of them failed, and scored 0
    """

    program: str
    model: str
    metric: str
    best: FormatScore
    worst: FormatScore
    original: FormatScore
    formats: tuple[FormatScore, ...] = field(repr=False)
    evaluations: int = 0
    possible: int = 0
    failed: int = 0
    usage: Usage = field(default_factory=Usage, repr=False)

    @property
    def spread(self) -> float:
        """The best mean minus the worst."""
        return self.best.mean - self.worst.mean

    @property
    def interval(self) -> tuple[float, float]:
        """The performance interval: the means of the worst and of the best format."""
        return self.worst.mean, self.best.mean

    @property
    def p_value(self) -> float:
        """That the best is no better than the worst: an exact sign test on the rows on which both were looked at, times
        the number of all pairs of formats (Bonferroni), as these two were chosen among them."""
        pairs = list(zip(self.best.scores, self.worst.scores, strict=False))  # all formats take the rows in one order
        wins, losses = sum([a > b for a, b in pairs]), sum([a < b for a, b in pairs])
        return min(1.0, mcnemar(wins, losses) * len(self.formats) * (len(self.formats) - 1))

    @property
    def certain(self) -> bool:
        """The format matters: the p-value is below 0.05."""
        return self.p_value < 0.05

    def finding(self) -> tuple[str, str] | None:
        """What is wrong, and what to do, where the format certainly matters."""
        if not self.certain:
            return None
        low, high = self.interval
        formats = f"{len(self.formats)} formats that mean the same"
        message = f"{self.metric} is {low:.3f} in one and {high:.3f} in another of {formats}"
        return message, f"best found: {self.best}; as it is: {self.original}; say with scores in which format they were"

    def _drawn(self) -> str:
        """From 0 to 1, or to what there is: the worst, the original and the best."""
        means = self.worst.mean, self.original.mean, self.best.mean
        low, high = min(0.0, *means), max(1.0, *means)
        at = [round((mean - low) / (high - low) * (WIDTH - 1)) for mean in means]
        line = ["━" if at[0] <= n <= at[2] else "·" for n in range(WIDTH)]
        for place, sign in zip((at[0], at[2], at[1]), "├┤●", strict=True):
            line[place] = sign
        return f"{low:g} {''.join(line)} {high:g}"

    def __str__(self) -> str:
        low, high = self.interval
        failed = f", {self.failed} failed" if self.failed else ""
        p = f"p = {self.p_value:.2g} that best and worst are the same"
        return (
            f"{self.program} on {self.model}: {self.metric} from {low:.3f} to {high:.3f} by format, spread "
            f"{self.spread:.3f}\n  {self._drawn()}\n"
            f"  best      {self.best}\n  as it is  {self.original}\n  worst     {self.worst}\n"
            f"  {len(self.formats)} formats, {self.evaluations:,} of {self.possible:,} evaluations{failed}; {p}"
        )


def format_spread(
    program: Program[..., Any],
    data: Data,
    metric: Metric,
    *,
    model: LanguageModel | None = None,
    formats: int = 64,
    budget: float = 0.2,
    tokens: int | None = None,
    decoder: Decoder | None = None,
    seed: int = 0,
    concurrency: int = 32,
    progress: bool = False,
) -> FormatSpread:
    """The best and the worst of the formats in which a program can be written, and how far their scores are apart.

    Formats are those of `lmprog.linting.formats`: other separators, casings and spacing of labels, other enumerators
    and bullets, in the text that the program itself writes. Which format is looked at on which row is decided by a
    bandit (`lmprog.linting.bandit`).

    data, metric   as in `lp.evaluate`
    formats        how many, drawn at random from all that are different
    budget         how many evaluations (runs on one row), or, up to 1.0, which share of formats x rows. At least two
                   runs of each format are made
    tokens         no further batch once so many were computed: of prompts, sampled and forced
    seed           of the draws, of the bandit, and of holes that sample

    The best and the worst are chosen by the same scores that their means are of, so that the spread tends to be
    somewhat too large where rows are few. A run that fails scores 0.

    Raises EvaluationError for data and metrics that cannot be, ProgramError for other wrong arguments and for a program
    that has nothing to be formatted.
    """
    function, rows = _one_metric(metric), read(data)
    calls = [arguments(program, row, f"row {n}") for n, row in enumerate(rows)]
    options = program._options({"decoder": decoder, "seed": seed})
    search = _Search(program, choose(model, program.model, program.__name__), options, rows, calls, function[1])
    search.prepare(formats, seed)
    search.go(_looks(budget, search.bandit), tokens, concurrency, progress)
    return search.result(function[0])


def _one_metric(metric: Metric) -> tuple[str, Function]:
    return next(iter(metrics(metric).items()))


def _looks(budget: float, bandit: Bandit) -> int:
    whole = bandit.arms * bandit.rows
    if isinstance(budget, bool) or not budget > 0:
        raise EvaluationError(f"budget is a number of evaluations, or a share up to 1.0, not {budget!r}")
    looks = round(budget * whole) if isinstance(budget, float) and budget <= 1 else int(budget)
    return min(whole, looks)


class _Search:
    def __init__(
        self,
        program: Program[..., Any],
        model: LanguageModel,
        options: Options,
        rows: Sequence[dict[str, Any]],
        calls: Sequence[Mapping[str, Any]],
        metric: Function,
    ) -> None:
        self.program, self.model, self.options = program, model, options
        self.rows, self.calls, self.metric = rows, calls, metric
        self.usage, self.failed, self.looks = Usage(), 0, 0
        self.errors: list[Exception] = []

    def prepare(self, most: int, seed: int) -> None:
        if isinstance(most, bool) or not isinstance(most, int) or most < 2:
            raise EvaluationError(f"formats is a whole number of 2 or more, not {most!r}")
        self.formats, labels = formats(self.program, self.calls, most, seed)
        if len(self.formats) < 2:
            raise EvaluationError(
                f"{self.program.__name__} writes no labels (as in 'Topic: '), numbers or bullets at the beginning of "
                "lines: there is nothing to be formatted in another way"
            )
        self.variants = [styled(self.program, format, labels) for format in self.formats]
        self.bandit = Bandit(len(self.formats), len(self.rows), seed)
        self.scores: list[list[float]] = [[] for _ in self.formats]

    def go(self, budget: int, tokens: int | None, concurrency: int, progress: bool) -> None:
        with bar_of(progress, f"formats of {self.program.__name__}", budget) as bar:
            for looks in self.bandit.search(budget):
                self._look(looks, concurrency, bar)
                if len(self.errors) == self.looks:
                    raise EvaluationError(f"every run fails, or its score; the first: {self.errors[0]!r}")
                if tokens is not None and _computed(self.usage) >= tokens:
                    break

    def _look(self, looks: Sequence[Look], concurrency: int, bar: Any) -> None:
        def begin(n: int, args: tuple[Any, ...], kwargs: dict[str, Any], canceller: Canceller) -> Future[Run[Any]]:
            arm, row = looks[n]
            variant = self.variants[arm]
            return variant._start(canceller, self.model, self.options.for_row(row), variant.body(args, kwargs))

        found: dict[int, float] = {}
        with closing(as_done(begin, [dict(self.calls[row]) for _, row in looks], concurrency)) as finished:
            for n, _, done in finished:
                found[n] = self._scored(looks[n][1], done)
                bar(done.result().usage if done.exception() is None else Usage(), done.exception() is not None)
        for n, (arm, row) in enumerate(looks):  # in their order, not in that in which they were done
            self.bandit.tell(arm, row, found[n])
            self.scores[arm].append(found[n])
        self.looks += len(looks)

    def _scored(self, row: int, done: Future[Run[Any]]) -> float:
        try:
            run = done.result()
            self.usage += run.usage
            return number(self.metric(dict(self.rows[row]), light(run)))
        except Exception as error:  # of the run, or of a user's metric
            self.failed += 1
            self.errors.append(error)
            return 0.0

    def result(self, metric: str) -> FormatSpread:
        found = [FormatScore(format, tuple(scores)) for format, scores in zip(self.formats, self.scores, strict=True)]
        best, worst = self.bandit.ends()
        return FormatSpread(
            self.program.__name__,
            self.model.name,
            metric,
            found[best],
            found[worst],
            found[0],
            tuple(found),
            self.looks,
            self.bandit.arms * self.bandit.rows,
            self.failed,
            self.usage,
        )


def _computed(usage: Usage) -> int:
    return usage.prompt_tokens_computed + usage.sampled_tokens + usage.forced_tokens
