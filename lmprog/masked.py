"""Infilling with models that fill masked tokens: masked language models and text diffusion by unmasking.

The most confident place first (Chang et al. 2022, "MaskGIT"; Nie et al. 2025, "Large Language Diffusion Models"): the
likeliest token of all masked places is kept if the places that are left can still be filled so that the whole is a text
of the grammar, else the next likeliest is looked at. No token is ever taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import EmptyLanguage, HoleError
from .grammars import Grammar, Vocabulary, any_text, compile, literal
from .grammars import expr as x
from .grammars.derive import minlen
from .grammars.infill import filled
from .holes import Hole
from .infilling import NOTHING, Form, checked

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CANDIDATES = 64  # likeliest tokens looked at in each place, doubled while no filling is among them
LEAST = -1e9  # for what has no probability: the last resort


class MaskedModel(Protocol):
    """What says how probable each token is in each masked place, given the tokens that are there."""

    @property
    def vocab(self) -> Vocabulary: ...

    @property
    def mask(self) -> int:
        """The id that stands in a masked place."""
        ...

    def fill(self, ids: Sequence[int]) -> NDArray[np.float64]:
        """Log-probabilities [places that hold `mask`, vocab.size], the places in their order."""
        ...


@dataclass(frozen=True)
class MaskedLM:
    """A masked language model of transformers as a `MaskedModel`.

    `begin` and `end`: ids around every text, such as those of [CLS] and [SEP].
    """

    model: PreTrainedModel
    vocab: Vocabulary
    mask: int
    begin: Sequence[int] = ()
    end: Sequence[int] = ()

    def fill(self, ids: Sequence[int]) -> NDArray[np.float64]:
        import torch

        whole = torch.tensor([[*self.begin, *ids, *self.end]], device=self.model.device)
        with torch.inference_mode():
            logits = self.model(input_ids=whole).logits[0, len(self.begin) :][: len(ids)]
        masked = [i for i, token in enumerate(ids) if token == self.mask]
        out: NDArray[np.float64] = logits[masked, : self.vocab.size].double().log_softmax(-1).cpu().numpy()
        return out


@dataclass(frozen=True)
class Infilled:
    """The whole text, and the holes' values."""

    text: str
    values: dict[str, Any]


def infill_masked(
    model: MaskedModel,
    template: str,
    lengths: Mapping[str, int],
    *,
    grammar: Grammar | None = None,
    order: Iterable[str] | None = None,
    seed: int | None = None,
    **holes: Hole,
) -> Infilled:
    """Fill the holes of `template`, `lengths[name]` tokens each, so that the whole is a text of `grammar`.

    Templates, holes and grammars are those of `Prompt.infill`.

    order  None: in all holes the place of which the model is surest comes first; else one hole after the other
    seed   None: a place gets its likeliest token among those that leave room for the rest; else it is drawn from these

    Raises HoleError for a wrong template, order, hole or length, EmptyLanguage when nothing completes the template,
    UnsupportedConstraint when that takes too many states to say.
    """
    form = Form.read(template, holes)
    if set(lengths) != set(form.holes) or any(size < 1 for size in lengths.values()):
        raise HoleError(
            f"lengths says how many tokens, 1 or more, each of {', '.join(form.holes)} has: {dict(lengths)}"
        )
    masks = _Masks(model, form, grammar or any_text(), lengths, None if seed is None else np.random.default_rng(seed))
    for names in [[name] for name in checked(order, form)] if order is not None else [list(form.holes)]:
        while any(model.mask in masks.ids[name] for name in names):
            masks.step(names)
    texts = {name: masks.spelt(masks.ids[name]).decode() for name in form.holes}
    return Infilled("".join(map(str, form.parts(texts))), {n: hole.parse(texts[n]) for n, hole in form.holes.items()})


class _Masks:
    def __init__(
        self,
        model: MaskedModel,
        form: Form,
        whole: Grammar,
        lengths: Mapping[str, int],
        rng: np.random.Generator | None,
    ) -> None:
        self.model, self.form, self.whole, self.rng = model, form, whole, rng
        self.ids = {name: [model.mask] * lengths[name] for name in form.holes}
        self._texts = [model.vocab.encode(text.encode()) for text in form.texts]
        self._usable = np.array(
            [bool(data) and i not in model.vocab.eos for i, data in enumerate(model.vocab.token_bytes)]
        )

    def spelt(self, ids: Sequence[int]) -> bytes:
        return b"".join([self.model.vocab.token_bytes[i] or b"" for i in ids])

    def step(self, names: Sequence[str]) -> None:
        """Fill one place of these holes."""
        ids = list(self._texts[0])
        for name, text in zip(self.form.holes, self._texts[1:], strict=True):
            ids += self.ids[name] + text
        scores = np.where(self._usable, np.maximum(self.model.fill(ids), LEAST), -np.inf)
        places = [(name, at) for name in self.form.holes for at, i in enumerate(self.ids[name]) if i == self.model.mask]
        count = CANDIDATES
        while not self._filled(names, places, scores, count):
            if count >= len(self._usable):
                raise EmptyLanguage(NOTHING)
            count *= 2

    def _filled(self, names: Sequence[str], places: list[tuple[str, int]], scores: NDArray[Any], count: int) -> bool:
        """False: no filling with the `count` likeliest tokens of each place makes a text of the grammar."""
        likeliest = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        rows = enumerate(zip(places, likeliest, strict=True))
        tokens = {place: row[np.isfinite(scores[i, row])] for i, (place, row) in rows}
        slots = _Slots(self, {place: row.tolist() for place, row in tokens.items()})
        ranked = [(scores[i, t], i, t) for i, place in enumerate(places) if place[0] in names for t in tokens[place]]
        for _, i, token in sorted(ranked, key=lambda entry: -entry[0]):
            name, at = places[i]
            allowed = slots.allowed(name, at)
            if token in allowed:
                self.ids[name][at] = int(token if self.rng is None else self._drawn(scores[i], allowed))
                return True
            if not allowed:
                return False
        return False

    def _drawn(self, scores: NDArray[np.float64], allowed: Sequence[int]) -> int:
        assert self.rng is not None
        weights = np.exp(scores[allowed] - scores[allowed].max())
        return int(self.rng.choice(allowed, p=weights / weights.sum()))


class _Slots:
    """Which tokens may come in a place, when every masked place has one of its `tokens`."""

    def __init__(self, masks: _Masks, tokens: Mapping[tuple[str, int], list[int]]) -> None:
        self.masks, self.tokens = masks, tokens
        self._languages: dict[str, Grammar] = {}
        self._allowed: dict[tuple[str, int], list[int]] = {}

    def allowed(self, name: str, at: int) -> list[int]:
        if (name, at) not in self._allowed:
            language = filled(self._language(name), self._places(name), [at])
            self._allowed[name, at] = [] if minlen(language.expr) >= x.INF else self._complete(language, (name, at))
        return self._allowed[name, at]

    def _complete(self, language: Grammar, place: tuple[str, int]) -> list[int]:
        constraint = compile(language, self.masks.model.vocab)
        start = constraint.start()
        after = [(token, constraint.advance(start, token)) for token in self.tokens[place]]
        return [token for token, state in after if state is not None and constraint.accepting(state)]

    def _language(self, name: str) -> Grammar:
        """The values of a hole that go with a filling of the others."""
        if name not in self._languages:
            names = list(self.masks.form.holes)
            pieces = [literal(self.masks.form.texts[0])]
            for other, text in zip(names, self.masks.form.texts[1:], strict=True):
                own = self.masks.form.holes[other].grammar or any_text()
                spelt = x.concat(*[place.expr for place in self._places(other)])
                pieces += [Grammar(x.both(own.expr, spelt)), literal(text)]
            self._languages[name] = filled(self.masks.whole, pieces, [2 * names.index(name) + 1])
        return self._languages[name]

    def _places(self, name: str) -> list[Grammar]:
        bytes_of = self.masks.model.vocab.token_bytes
        return [
            Grammar(x.options([bytes_of[i] or b"" for i in self.tokens.get((name, at), [token])]))
            for at, token in enumerate(self.masks.ids[name])
        ]
