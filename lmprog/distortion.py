"""What masking does to a distribution, and what other decoders make of it, for a model, a prompt and a language."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .decoders import Decoder, Sample
from .decoders.asap import ASAp
from .decoders.exhaustive import Exhaustive
from .decoders.smc import SMC
from .errors import ProgramError, TooManyValues
from .grammars import Grammar
from .holes import Hole, gen
from .models import LanguageModel
from .options import Options
from .programs import Program

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Shares = dict[str, float]
COLOURS = {"exact": "#222222", "masking": "#d1495b", "ASAp": "#3d7ea6", "SMC(16)": "#66a182"}


@dataclass(frozen=True)
class Bias:
    """Distributions over the values of a hole, by text: of "masking" (token by token), "ASAp" and "SMC(16)", and the
    "exact" one, the model's own given that its text is a value, where there are few enough to go through them all.
    Those of decoders are shares among samples, but masking's is exact where "exact" is there.

    mass   the probability that the model writes a value at all; None where it is not known
    """

    shares: dict[str, Shares]
    mass: float | None

    def distance(self, name: str) -> float | None:
        """Total variation from the exact distribution, the noise of samples included."""
        exact, other = self.shares.get("exact"), self.shares[name]
        if exact is None:
            return None
        return sum([abs(exact.get(text, 0.0) - other.get(text, 0.0)) for text in {*exact, *other}]) / 2

    def figure(self, *, most: int = 12, title: str = "") -> Figure:
        """Bars for the `most` values that are the most probable under any of them; needs the extra lmprog[plots].

        Raises ProgramError without it.
        """
        try:
            from matplotlib.figure import Figure
        except ModuleNotFoundError as error:
            raise ProgramError(f"a plot needs the extra lmprog[plots]: {error}") from None
        peak: dict[str, float] = {}
        for shares in self.shares.values():
            for text, share in shares.items():
                peak[text] = max(share, peak.get(text, 0.0))
        texts = sorted(peak, key=lambda text: (-peak[text], text))[:most]
        figure = Figure(figsize=(7.2, 0.9 + 0.08 * len(texts) * (len(self.shares) + 1)), layout="constrained")
        axes = figure.subplots()
        height = 0.8 / len(self.shares)
        for i, (name, shares) in enumerate(self.shares.items()):
            places = [row + (i + 0.5) * height - 0.4 for row in range(len(texts))]
            widths = [shares.get(text, 0.0) for text in texts]
            axes.barh(places, widths, height, label=self._label(name), color=COLOURS.get(name))
        axes.set_yticks(range(len(texts)), [_short(text) for text in texts], family="monospace", size=8)
        axes.margins(y=0.01)
        axes.invert_yaxis()
        axes.set_xlabel("probability")
        axes.set_title(title or self._title(), size=10, loc="left", wrap=True)
        axes.legend(fontsize=8, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        return figure

    def _label(self, name: str) -> str:
        distance = self.distance(name)
        return name if name == "exact" or distance is None else f"{name} (distance {distance:.2f})"

    def _title(self) -> str:
        return "" if self.mass is None else f"The model writes a value of the language with probability {self.mass:.3g}"


def bias(model: LanguageModel, prompt: str, hole: Hole | Grammar, *, samples: int = 200, seed: int = 0) -> Bias:
    """Compare what masking makes of a hole's values behind a prompt with the exact distribution, which takes a row of
    the model for every beginning of a value, up to 2,000, and with `samples` draws each of ASAp and SMC.

    Raises NoSample when no value has a probability, and whatever a run raises.
    """
    hole = replace(gen(grammar=hole) if isinstance(hole, Grammar) else hole, options=None)  # choices by tokens, too
    fill: Program[[], Any] = Program(lambda p: p(prompt, hole), model, Options())
    shares: dict[str, Shares] = {}
    mass: float | None = None
    try:
        known = fill.run(decoder=Exhaustive()).captures[0]
    except TooManyValues:
        shares["masking"] = _sampled(fill, Sample(), samples, seed)
    else:
        shares = {"exact": {}, "masking": {}}
        for particle in known.particles:
            for name, share in (("exact", particle.share), ("masking", particle.masked or 0.0)):
                shares[name][particle.text] = shares[name].get(particle.text, 0.0) + share
        mass = None if known.certificate is None else known.certificate.acceptance
    shares["ASAp"] = _sampled(fill, ASAp(), samples, seed)
    shares["SMC(16)"] = _sampled(fill, SMC(16), samples, seed)
    return Bias(shares, mass)


def plot_bias(
    model: LanguageModel,
    prompt: str,
    hole: Hole | Grammar,
    path: str | Path | None = None,
    *,
    samples: int = 200,
    seed: int = 0,
    most: int = 12,
    title: str = "",
) -> Bias:
    """`bias`, drawn: written to `path` (SVG, PNG or PDF, by its ending), or else shown by `.figure()`, which it also
    gives notebooks. Needs the extra lmprog[plots].

        lp.plot_bias(model, "Answer: ", gen(regex="yes|no|never"), "bias.svg")
    """
    found = bias(model, prompt, hole, samples=samples, seed=seed)
    figure = found.figure(most=most, title=title)
    if path is not None:
        figure.savefig(path)
    return found


def _sampled(fill: Program[[], Any], decoder: Decoder, samples: int, seed: int) -> Shares:
    runs = [run.captures[0].text for run in fill.samples(samples, decoder=decoder, seed=seed, independent=True)]
    return {text: count / samples for text, count in Counter(runs).items()}


def _short(text: str) -> str:
    return textwrap.shorten(text, 40, placeholder="…") or repr(text)
