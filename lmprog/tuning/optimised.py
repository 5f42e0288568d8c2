"""What a search found."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..evaluation import Comparison, Evaluation, evaluate
from ..evaluation.data import read
from ..programs import Program
from .assertions import Assertions, line, without
from .budget import Spent
from .space import key
from .trials import Trial, pareto


class SeenRows(UserWarning):
    """Programs are compared on rows by which one of them was chosen."""


@dataclass(frozen=True, repr=False)
class Optimised:
    """What `optimise` found.

    program   with the best values in its slots
    trials    all configurations that were tried, each once, in order; the first is the program as it was
    best      of those run on all rows: the highest score, then the fewest tokens
    spent     tokens, seconds, evaluations and rows
    method    by which it was searched
    original  the program as it was
    seen      the rows of the search, by `space.key`
    """

    program: Program[..., Any]
    trials: tuple[Trial, ...]
    best: Trial
    spent: Spent
    method: str
    original: Program[..., Any]
    metric: Any = field(repr=False)
    how: dict[str, Any] = field(repr=False)
    seen: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def start(self) -> Trial:
        """The program as it was."""
        return self.trials[0]

    @property
    def pareto(self) -> list[Trial]:
        """The trials that no other beats in both score and tokens a row, cheapest first."""
        return pareto(self.trials)

    def compare(self, data: Any, metric: Any = None) -> Comparison:
        """The best program against the one as it was, paired, on rows that the search did not see. Warns with
        SeenRows where it did.

        metric   None: that of the search
        """
        found, start = self.evaluations(data, metric)
        return found.compare(start)

    def evaluations(self, data: Any, metric: Any = None) -> tuple[Evaluation, Evaluation]:
        """Of the best program and of the one as it was, on other rows. Warns where some are rows of the search."""
        rows = read(data)
        if known := sum([key(row) in self.seen for row in rows]):
            said = f"{known} of {len(rows)} rows are rows of the search: a difference on them flatters what it found"
            warnings.warn(said, SeenRows, stacklevel=3)
        measured = [evaluate(p, rows, metric or self.metric, **self.how) for p in (self.program, self.original)]
        return measured[0], measured[1]

    def save(self, path: str | Path) -> None:
        """Write the values of the slots as TOML or JSON, for `program.load`. Raises OSError."""
        self.program.save(path)

    def assertions(self, data: Any, metric: Any = None) -> list[Assertions]:
        """What the checks of `p.attempts` do, and what backtracking does for the score, on rows of your choice: the
        program as it was and the best one, each with backtracking and without."""
        table = []
        for name, program in (("start", self.original), ("best", self.program)):
            for backtracking in (True, False):
                chosen = program if backtracking else without(program)
                found = evaluate(chosen, data, metric or self.metric, **self.how)
                table.append(line(name, backtracking, found))
        return table

    def html(self, path: str | Path | None = None) -> str:
        """The trials as a page that needs nothing else: score against cost, the Pareto front, and every configuration;
        written to `path`, if one is given."""
        from .page import page

        text = page(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def __repr__(self) -> str:
        return (
            f"<{self.program.__name__}: {self.best.score:.3f} from {self.start.score:.3f}, by {self.method} in "
            f"{len(self.trials)} trials, {self.spent.rows} rows, {self.spent.tokens} tokens>"
        )
