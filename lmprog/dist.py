"""A distribution over options."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import Any

SHOWN = 8  # options in a repr
SURE = 1e-8


@dataclass(frozen=True, repr=False)
class Dist(Mapping[Any, float]):
    """How probable each of some options is: `dist[option]`, as a share of all options, which sum to 1.

    options    in the order given. What cannot be a key of a dict (a list, say) goes by its text
    logprobs   of each option the log-probability that the text goes on with it, not normalised: with norm="sum" all
               else follows from these
    scores     what is normalised into probabilities: the log-probabilities themselves (norm "sum"), those per token
               ("mean"), or those less the ones without the context ("pmi")
    none       the probability that the text goes on with none of the options, if that was asked for. The shares then
               sum to 1 - none
    bounds     where all spellings were added up: bounds of each of the `logprobs`. Where there were too many spellings
               to ask for all, these are apart, and the logprobs are of what was asked for
    words      where the options are the classes of a `Verbalizer`: of each class the distribution over its words, as
               shares of the class
    """

    options: tuple[Any, ...]
    logprobs: Mapping[Any, float]
    scores: Mapping[Any, float]
    norm: str = "sum"
    none: float | None = None
    texts: Mapping[Any, str] = field(default_factory=dict, compare=False)
    bounds: Mapping[Any, tuple[float, float]] | None = field(default=None, kw_only=True)
    words: Mapping[Any, Dist] = field(default_factory=dict, kw_only=True)

    @cached_property
    def probs(self) -> dict[Any, float]:
        """The share of each option."""
        top = max(self.scores.values())
        if top == -math.inf:
            return dict.fromkeys(self.options, math.nan)
        weights = {option: math.exp(self.scores[option] - top) for option in self.options}
        whole = (1 - (self.none or 0.0)) / sum(weights.values())
        return {option: weight * whole for option, weight in weights.items()}

    @property
    def exact(self) -> bool:
        """All spellings of the options were added up: what was left out can change no log-probability by 1e-8."""
        return self.bounds is not None and all(low == high or high - low < SURE for low, high in self.bounds.values())

    @property
    def best(self) -> Any:
        """The most probable option, the first of several that are equally probable."""
        return max(self.options, key=self.scores.__getitem__)

    @cached_property
    def ranked(self) -> list[Any]:
        """The options, most probable first."""
        return sorted(self.options, key=lambda option: -self.scores[option])

    @property
    def entropy(self) -> float:
        """In nats; with `none` as one more outcome."""
        outcomes = [*self.probs.values(), self.none or 0.0]
        return -sum(p * math.log(p) for p in outcomes if p > 0)

    @property
    def margin(self) -> float:
        """By how much the most probable option's share is above the next one's."""
        shares = sorted(self.probs.values(), reverse=True)
        return shares[0] - shares[1] if len(shares) > 1 else shares[0]

    def __getitem__(self, option: Any) -> float:
        return self.probs[option]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.options)

    def __len__(self) -> int:
        return len(self.options)

    def __repr__(self) -> str:
        shares = [f"{option!r}: {self.probs[option]:.3g}" for option in self.ranked[:SHOWN]]
        shares += ["…"] if len(self) > SHOWN else []
        shares += [] if self.none is None else [f"none: {self.none:.3g}"]
        return f"Dist({', '.join(shares)})"

    def _repr_html_(self) -> str:
        rows = [(str(option), self.probs[option]) for option in self.ranked]
        rows += [] if self.none is None else [("(none)", self.none)]
        cells = "".join(
            f"<tr><td>{escape(name)}</td><td>{share:.1%}</td><td><div style='background:#5b8def;height:.8em;"
            f"width:{share * 10:.2f}em'></div></td></tr>"
            for name, share in rows
        )
        return f"<table>{cells}</table>"


def keys(values: Sequence[Any], texts: Sequence[str]) -> tuple[Any, ...]:
    """What the options go by in a Dist."""
    return tuple([value if hashable(value) else text for value, text in zip(values, texts, strict=True)])


def hashable(value: Any) -> bool:
    if not isinstance(value, Hashable):
        return False
    try:
        hash(value)
    except TypeError:  # a tuple with a list in it
        return False
    return True
