"""What a decoder knows of how right its answer is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Particle:
    """A value that a decoder weighed: its text, token ids, its share of all weight, and the logarithm of the weight;
    `masked`: the probability that masking gives it, where that is known; `score`: what it was ranked by, where it was
    chosen and not drawn."""

    text: str
    tokens: tuple[int, ...]
    share: float
    logweight: float
    masked: float | None = None
    score: float | None = None


@dataclass(frozen=True)
class Certificate:
    """Of one hole; None is said of what a decoder does not know. Z is the probability, under the model, of all that the
    hole lets come: what masking leaves out of account.

    logZ          the logarithm of an unbiased estimate of Z
    logZ_bounds   (lower, upper): of log Z; the decoder says in which sense
    acceptance    the share of draws that a rejection of all others would keep
    bias          an upper bound, in nats, on the divergence of what the decoder draws from its target; 0 is exact
    ess           effective sample size of the particles after each step
    particles     all values that were weighed, the heaviest first; or, where one was chosen, the best first
    gap           by how much another value can be better than this one, at most, in what they are ranked by; 0: none
    support       of `Abstain`, at the first token: how much an answer rests on the document, on what the model knows by
                  itself, and, neither being sure of one, how much weight abstention has. The three sum to 1
    drawn         how many values were drawn for one
    """

    logZ: float | None = None
    logZ_bounds: tuple[float, float] | None = None
    acceptance: float | None = None
    bias: float | None = None
    ess: tuple[float, ...] = ()
    particles: tuple[Particle, ...] = ()
    gap: float | None = None
    support: tuple[float, float, float] | None = None
    drawn: int | None = None
