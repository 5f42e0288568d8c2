"""What a run's decoders know of how right it is, in words: the common ground of page and terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from .decoders.certificate import Certificate, Particle
from .run import Run
from .view import percent
from .visible import inline

SHOWN = 20  # particles of a hole


def facts(run: Run[Any]) -> dict[str, str]:
    """What is known of all holes together, and then of single ones; empty where nothing is."""
    found = {}
    if run.logZ is not None:
        found["log Z"] = number(run.logZ)
    if run.logZ_bounds is not None:
        found["bounds of log Z"] = " to ".join(map(number, run.logZ_bounds))
    if run.acceptance is not None:
        found["acceptance"] = percent(_log(run.acceptance))
    if run.bias is not None:
        found["bias"] = f"at most {number(run.bias)} nats"
    return found | dict(_of_holes(run))


def _of_holes(run: Run[Any]) -> Iterator[tuple[str, str]]:
    for capture in run.captures.all():
        known, name = capture.certificate or Certificate(), inline(capture.name)
        if known.gap is not None:
            yield f"gap of {name}", number(known.gap)
        if known.support is not None:
            document, own, none = [percent(_log(share)) for share in known.support]
            yield f"support of {name}", f"document {document}, model {own}, none {none}"


def rows(particles: tuple[Particle, ...]) -> list[tuple[str, ...]]:
    """Of the first particles: share, log weight, score (empty where there is none), text."""
    return [(percent(_log(p.share)), number(p.logweight), _score(p), p.text) for p in particles[:SHOWN]]


def _score(particle: Particle) -> str:
    return "" if particle.score is None else number(particle.score)


def _log(share: float) -> float:
    return math.log(share) if share > 0 else -math.inf


def number(value: float) -> str:
    """As people read it: 0.0012, -12.3, ∞."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.4g}"
