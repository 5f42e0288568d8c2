"""What SMC may weigh values by, beyond the model and the hole's own language.

    f                     a function of the whole value's text: its weight, or True and False
    LogWeight(f)          the same by its logarithm, for weights that are out of a float's range
    Prefix(f)             a function of the text so far, too: weight 0 (False) ends a value at once. f(whole) is the
                          weight of the value; on the way it guides, and is 0 only where nothing good can come any more
    Also(prompt, power)   the value is to be probable behind another prompt, too ("prompt intersection": a product of
                          experts): its probability there, to that power, is part of the weight
    a Twist               a guess, token by token, of what is still to come (Zhao et al. 2024, "Probabilistic Inference
                          in Language Models via Twisted Sequential Monte Carlo"): it guides and changes no weight at
                          the end. With exact guesses every particle is an exact sample, and the estimate of Z has no
                          variance. `Guess(f)` makes one of a function of the text so far

Functions are called on the engine's thread, once for each text, and must be quick.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..errors import SamplingError
from ..runtime.sampling import real
from .method import Problem
from .places import Floats, Ids, Places, Spot
from .whole import number_of

Weigh = Callable[[str], float]
AHEAD = 64  # texts that functions are asked about before a token is drawn


@dataclass(frozen=True)
class Prefix:
    """A weight for the text so far; see the module."""

    weigh: Weigh


@dataclass(frozen=True)
class LogWeight:
    """The logarithm of the weight of the whole value's text; -inf for none."""

    of: Weigh


@dataclass(frozen=True)
class Also:
    """Another prompt, as text, for the same value; see the module. Texts are not spelt anew at its border, and the
    log-probabilities of tokens in captures and traces are those of the product."""

    prompt: str
    power: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str):
            raise SamplingError(f"Also takes another prompt, as text, not {self.prompt!r}")
        if not 0 < real(self.power) < math.inf:
            raise SamplingError(f"a power is a finite number above 0, not {self.power!r}")


@runtime_checkable
class Twist(Protocol):
    """Guesses of log E[weight of the whole value | what there is], -inf where nothing good can come of it any more.

    States are immutable; `start` gives that of an empty value, before any token.
    """

    def start(self, problem: Problem) -> Any: ...

    def value(self, state: Any) -> float:
        """The guess at a state."""
        ...

    def ahead(self, state: Any, tokens: Ids) -> Floats:
        """The guesses behind each of `tokens`, as many float64."""
        ...

    def advance(self, state: Any, token: int) -> Any: ...


@dataclass(frozen=True)
class Guess:
    """A `Twist` made of a function of the text so far: the expected weight of the whole value, given that it begins so.
    It is asked about every text that a next token may lead to where those are at most 64, else about the one drawn."""

    expect: Weigh

    def start(self, problem: Problem) -> tuple[Problem, bytes]:
        return problem, b""

    def value(self, state: tuple[Problem, bytes]) -> float:
        problem, data = state
        text = data[len(problem.prefix) :].decode(errors="ignore")
        return _log(self.expect(text), text)

    def ahead(self, state: tuple[Problem, bytes], tokens: Ids) -> Floats:
        if len(tokens) > AHEAD:
            return np.full(len(tokens), self.value(state))
        return np.array([self.value(self.advance(state, token)) for token in tokens.tolist()])

    def advance(self, state: tuple[Problem, bytes], token: int) -> tuple[Problem, bytes]:
        problem, data = state
        return problem, data + (problem.model.vocab.token_bytes[token] or b"")


Potential = Weigh | LogWeight | Prefix | Also | Twist


def listed(potential: Potential | Sequence[Potential] | None) -> tuple[Potential, ...]:
    """Raises SamplingError for what is none."""
    many = tuple(potential) if isinstance(potential, list | tuple) else () if potential is None else (potential,)
    for one in many:
        if not (isinstance(one, LogWeight | Prefix | Also | Twist) or callable(one)):
            raise SamplingError(
                f"a potential is a function of the text, LogWeight, Prefix, Also or a Twist, not {one!r}"
            )
    return many


def prompts(potentials: Sequence[Potential], problem: Problem) -> list[tuple[list[int], float]]:
    """The ids of other prompts, with their powers."""
    model = problem.model
    begin = [] if model.bos is None else [model.bos]
    found = [
        (begin + model.vocab.encode(one.prompt.encode()), one.power) for one in potentials if isinstance(one, Also)
    ]
    return [(ids or sorted(model.vocab.eos)[:1], power) for ids, power in found]


class Judge:
    """The potentials of one problem, at work. Weights are logarithms; all texts are of the value alone.

    looks    there is something to be asked of texts, at the end at least
    guides   there is something to be asked of them on the way
    twisted  there are twists
    """

    def __init__(self, potentials: Sequence[Potential], places: Places) -> None:
        self._places, self.problem = places, places.problem
        self._prefixes = [_logged(one.weigh) for one in potentials if isinstance(one, Prefix)]
        kinds = LogWeight | Prefix | Also | Twist
        self._finals = [_logged(one) for one in potentials if not isinstance(one, kinds)]
        self._finals += [_checked(one.of) for one in potentials if isinstance(one, LogWeight)]
        self._twists = [one for one in potentials if isinstance(one, Twist)]
        self.guides, self.twisted = bool(self._prefixes), bool(self._twists)
        self.looks = bool(self._prefixes or self._finals or self.problem.hole.check)
        self._known: dict[tuple[str, bool], float] = {}

    def start(self) -> tuple[Any, ...]:
        return tuple([twist.start(self.problem) for twist in self._twists])

    def advance(self, minds: tuple[Any, ...], token: int) -> tuple[Any, ...]:
        return tuple([twist.advance(mind, token) for twist, mind in zip(self._twists, minds, strict=True)])

    def guess(self, minds: tuple[Any, ...]) -> float:
        return math.fsum([twist.value(mind) for twist, mind in zip(self._twists, minds, strict=True)])

    def ahead(self, minds: tuple[Any, ...], tokens: Ids) -> Floats:
        """The guesses of all twists behind each of the tokens."""
        values = np.zeros(len(tokens))
        for twist, mind in zip(self._twists, minds, strict=True):
            values += twist.ahead(mind, tokens)
        return values

    def so_far(self, spot: Spot) -> float:
        """What the functions that look at beginnings say."""
        return self._weight(self.problem.text(spot.ids, spot.state), False) if self._prefixes else 0.0

    def whole(self, spot: Spot) -> float:
        """The weight of the value that ends here, 0 if there is nothing to be asked."""
        return self._weight(self.problem.text(spot.ids, spot.state), True) if self.looks else 0.0

    def _weight(self, text: str, whole: bool) -> float:
        found = self._known.get((text, whole))
        if found is None:
            functions = [*self._prefixes, *(self._finals if whole else ())]
            found = math.fsum([function(text) for function in functions])
            if whole and found > -math.inf and not self.problem.passes(text):
                found = -math.inf
            self._known[text, whole] = found
        return found


def _logged(weigh: Weigh) -> Weigh:
    return lambda text: _log(weigh(text), text)


def _checked(log_weight: Weigh) -> Weigh:
    return lambda text: _below_infinity(log_weight(text), text)


def _below_infinity(log_weight: float, text: str) -> float:
    """Raises SamplingError for what is no logarithm of a weight."""
    value = number_of(log_weight)
    if not value < math.inf:
        raise SamplingError(f"a LogWeight gives a number below infinity, not {log_weight!r} as for {text!r}")
    return value


def _log(weight: float, text: str) -> float:
    """Raises SamplingError for what is no weight."""
    if isinstance(weight, bool | np.bool_):
        return 0.0 if weight else -math.inf
    value = number_of(weight)
    if not 0 <= value < math.inf:
        raise SamplingError(f"a potential gives a finite weight of 0 or more, not {weight!r} as for {text!r}")
    return math.log(value) if value else -math.inf
