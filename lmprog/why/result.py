"""What `Run.why` finds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from ..events import Span
from ..run import Usage

Kind = Literal["prompt", "slot", "capture"]


@dataclass(frozen=True)
class Part:
    """A piece of the text before a field.

    span, text  where it stands in the run's text, and what is there
    effect      log p(value | text) less the mean of log p(value | text with this part replaced), in nats: above 0 it
                makes the value more probable, below 0 less
    interval    95 % of Student's t over the draws; None: there was one draw, or nothing was drawn
    kind        "prompt": the program's own text and its arguments; "slot": the text of a slot; "capture": what the
                model wrote in an earlier hole. `name` is the slot's or the capture's
    """

    span: Span
    text: str
    effect: float
    interval: tuple[float, float] | None = None
    kind: Kind = "prompt"
    name: str = ""


@dataclass(frozen=True, repr=False)
class Why:
    """Which parts of the text before a field cause its value.

    field, value    the capture's name, and its text at `span`; `text` is the run's text up to its end
    parts           all of the text before it that was looked at, in order; no two overlap
    groups          the coarser parts that were looked at first, and then into, in that order
    logprob         of the value in the run: what the effects are differences to
    measure         "options": exactly, among the options of the choice; "masked": the sum over its tokens, each among
                    the tokens that the hole's language allowed there; "model": the same without a language
    replacement     what parts were replaced by: "model", "uniform" or "delete"
    samples, seed   draws for each part (parts that "auto" might have cut further have fewer), and what drew them
    fidelity        Spearman's rank correlation between what the effects foretell of random sets of parts, replaced
                    together, and what came (`check=`); None: not asked
    usage           what it cost. `prompt_tokens` is what it would cost without shared prefixes
    """

    field: str
    value: str
    span: Span
    text: str
    parts: tuple[Part, ...]
    logprob: float
    measure: Literal["options", "masked", "model"]
    replacement: str
    samples: int
    seed: int
    groups: tuple[Part, ...] = ()
    fidelity: float | None = None
    usage: Usage = dataclasses.field(default=Usage())

    def top(self, n: int = 5) -> tuple[Part, ...]:
        """The `n` parts that speak most for the value, the strongest first; of equal ones the first in the text."""
        return tuple(sorted(self.parts, key=lambda part: -part.effect)[:n])

    def show(self) -> None:
        """Print the text, shaded by effect, and the strongest parts, to the terminal."""
        from rich.console import Console

        Console().print(self)

    def __rich__(self) -> Any:
        from .view import shaded

        return shaded(self)

    def __repr__(self) -> str:
        from .view import plain

        return plain(self)

    def _repr_html_(self) -> str:
        from .page import fragment

        return fragment(self)
