"""Contrastive decoding with abstention: no answer where neither the document nor the model itself is sure of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import SamplingError
from ..runtime.routine import Routine
from ..runtime.sampling import real
from .blending import LEAST, Blended, check_text, outcomes, places_of
from .certificate import Certificate
from .dropping import dropped, without
from .method import Outcome, Problem
from .places import Floats, Places, Row, Spot, logsum

SURE = 1e-9  # an entropy, in nats, that is none


@dataclass(frozen=True)
class Abstain(Blended):
    """Answers by the document, by what the model knows, or with `value`, by how sure the first two are (CDA: Kim et
    al. 2024, "When to Speak, When to Abstain: Contrastive Decoding with Abstention"). A token comes with probability

        w_document × p(token | the prompt) + w_own × p(token | the prompt without the document)
                                           + w_abstain × [it goes on with `value`]

    Both p are of what may come under the mask, renormalised, and with their entropies H, in nats,

        sure = max(0, 1 - H / H_null)     w = sure² / (sure_document + sure_own)     w_abstain = 1 - the other two

    drop       the document: the name of a slot (`lp.slot`) before the hole or, where there is none of that name, a text
               in the prompt, where it stands last
    value      what is said instead of an answer: the text of one of the hole's values
    question   a text in the prompt without which there is nothing to answer: H_null is then the entropy behind the
               prompt without it and the document. None: H_null is the entropy of a uniform choice of what may come
    momentum   the share of the weights before in those of every token but the first. 1: those of the first token hold
               for the whole value; 0: each token has its own, as in CDA, which sets in between for CDA-m

    Where what was drawn is no beginning of `value` any more, w_abstain falls to the other two in their proportions (to
    the document where both are 0). The paper takes the third distribution from a prompt that asks for abstention; here
    it is all on one value. `certificate.support` has the three weights at the first token.

    See `Blended` for `temperature`, `seed`, and what is raised; also SamplingError where the text before a hole does
    not have what is to be dropped, and where `value` is no value of the hole, or too long for it.
    """

    drop: str
    value: str
    question: str | None = None
    momentum: float = 1.0

    def __post_init__(self) -> None:
        self.sampling()
        check_text("drop", self.drop)
        check_text("value", self.value)
        if self.question is not None:
            check_text("question", self.question)
        if not 0 <= real(self.momentum) <= 1:
            raise SamplingError(f"momentum lies in [0, 1], not {self.momentum!r}")

    def fill(self, problem: Problem) -> Routine[Outcome]:
        own = dropped(problem, self.drop)
        prompts = [own] if self.question is None else [own, without(own, self.question, problem.model)]
        nothing = sorted(problem.model.vocab.eos)[:1]
        places = [places_of(problem), *[places_of(problem, ids or nothing) for ids in prompts]]
        mixing = Mixing(self, places[0])
        outcome = yield from self.blended(problem, places, mixing.weights)
        return replace(outcome, certificate=mixing.certificate)


class Mixing:
    """The weights of one hole, from token to token."""

    def __init__(self, decoder: Abstain, places: Places) -> None:
        self.momentum, self.places = decoder.momentum, places
        self.target = places.problem.prefix + decoder.value.encode() + places.problem.follow
        self.shares: Floats | None = None
        self.first: Floats | None = None
        self._check(places.problem, decoder.value)

    def _check(self, problem: Problem, value: str) -> None:
        """Raises SamplingError where the value cannot come."""
        constraint, vocab, state, ids = problem.constraint, problem.model.vocab, problem.state, list[int]()
        for token in vocab.encode(self.target):
            after = None if constraint.finished(state) else constraint.advance(state, token)
            if after is None:
                break
            state = after
            ids.append(token)
        if not problem.hole.matches(value) or problem.value(ids, state)[0] != value.encode():
            raise SamplingError(f"{value!r}, which is to be said instead of an answer, is no value of the hole here")
        if (n := len(vocab.encode(value.encode()))) > problem.request.max_tokens:
            raise SamplingError(f"{value!r} has {n} tokens, the hole only {problem.request.max_tokens}")

    @property
    def certificate(self) -> Certificate | None:
        if self.first is None:
            return None
        document, own, abstain = self.first.tolist()
        return Certificate(support=(document, own, abstain))

    def weights(self, spot: Spot, rows: Sequence[Row]) -> Floats:
        """Logits of the row's tokens and of the end."""
        probs = [np.exp(values - max(logsum(values), LEAST)) for values in map(outcomes, rows)]
        self._weigh(probs, entropy(probs[2]) if len(rows) > 2 else math.log(_choices(rows[0])))
        assert self.shares is not None
        at = self._next(spot, rows[0])
        document, own, abstain = self.shares.tolist()
        if at is None:
            document, own = (document, own) if document + own > 0 else (1.0, 0.0)
        mixed = document * probs[0] + own * probs[1]
        if at is not None:
            mixed[at] += abstain
        with np.errstate(divide="ignore"):
            logits: Floats = np.log(mixed)
        return logits

    def _weigh(self, probs: Sequence[Floats], null: float) -> None:
        sure = [sureness(p, null) for p in probs[:2]]
        document, own = [s * s / sum(sure) if s else 0.0 for s in sure]
        shares = np.array([document, own, max(0.0, 1 - document - own)])
        self.shares = shares if self.shares is None else self.momentum * self.shares + (1 - self.momentum) * shares
        self.first = self.shares if self.first is None else self.first

    def _next(self, spot: Spot, row: Row) -> int | None:
        """Which of the outcomes goes on with the value for abstention; None: it is no longer in question."""
        vocab = self.places.problem.model.vocab
        data = b"".join([vocab.token_bytes[i] or b"" for i in spot.ids])
        if not self.target.startswith(data):
            return None
        rest = self.target[len(data) :]
        token = vocab.encode(rest)[0] if rest else -1
        at = int(np.searchsorted(row.tokens, token))
        if at < len(row.tokens) and row.tokens[at] == token:
            return at
        return len(row.tokens) if row.end > -math.inf else None


def entropy(probs: Floats) -> float:
    """In nats."""
    some = probs[probs > 0]
    return float(-(some * np.log(some)).sum())


def sureness(probs: Floats, null: float) -> float:
    """From 0, no surer than with an entropy of `null`, to 1."""
    found = entropy(probs)
    if not probs.any() or (found > SURE >= null):
        return 0.0
    return 1.0 if found <= SURE else max(0.0, 1 - found / null)


def _choices(row: Row) -> int:
    return max(1, len(row.tokens) + (row.end > -math.inf))
