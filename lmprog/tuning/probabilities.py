"""Objectives that ask the model how probable answers are, and do without a metric.

mutual information   I(Y; X) = H(Y) - H(Y | X) between inputs and answers (Sorensen et al. 2022, "An
                     Information-theoretic Approach to Prompt Engineering Without Ground Truth Labels"): great where the
                     model is sure of each answer, but gives different ones to different inputs. Needs no labels
likelihood           the log-probability of the right answer, the score by which Rubin et al. 2022 ("Learning To
                     Retrieve Prompts for In-Context Learning") choose demonstrations; finer than right or wrong
perplexity           how probable the prompt itself is, a token in the mean (Gonen et al. 2023, "Demystifying Prompts in
                     Language Models via Perplexity Estimation"): models do better with prompts that are familiar to
                     them. Needs no labels
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import LmprogError, SlotError, TuningError
from ..evaluation.data import arguments
from ..evaluation.metrics import EXPECTED
from ..programs import Program, program
from ..prompt import Prompt
from ..run import Capture, Run
from .objective import tokens
from .store import Outcome

LEAST = -50.0  # of a log-probability in a mean: one impossible answer is not to hide all others


@dataclass(frozen=True)
class Asked:
    """Runs a configuration on rows and asks for probabilities; the same arguments as `Measure`."""

    program: Program[..., Any]
    data: list[dict[str, Any]]
    how: Mapping[str, Any]
    failed: ClassVar[float] = 0.0  # the score of a row whose run fails

    def __call__(self, values: Mapping[str, Any], rows: Sequence[int]) -> list[Outcome]:
        changed = self.program.with_(values)
        with ThreadPoolExecutor(min(self.how["concurrency"], len(rows))) as threads:
            return list(threads.map(lambda row: self._one(changed, row), rows))

    def _one(self, changed: Program[..., Any], row: int) -> Outcome:
        own = arguments(changed, self.data[row], f"row {row}")
        how = {name: self.how[name] for name in ("model", "decoder", "seed")}
        try:
            return self.outcome(row, changed.run(**own, **how, logprobs=True))
        except (TuningError, SlotError):  # would be the same on every row
            raise
        except LmprogError as error:
            return Outcome(row, self.failed, 0, f"{type(error).__name__}: {error}", {})

    def outcome(self, row: int, run: Run[Any]) -> Outcome:
        raise NotImplementedError


class Information(Asked):
    """Of each row the shares of the options, and less their entropy as the score; see `information`."""

    def outcome(self, row: int, run: Run[Any]) -> Outcome:
        dist = choice(run, f"row {row}").dist
        shares = {str(dist.texts.get(option, option)): share for option, share in dist.probs.items()}
        return Outcome(row, -dist.entropy, tokens(run.usage), detail=shares)


class Likelihood(Asked):
    """Of each row the log-probability of what is expected, in nats."""

    failed = LEAST

    def outcome(self, row: int, run: Run[Any]) -> Outcome:
        if EXPECTED not in self.data[row]:
            raise TuningError(f'row {row} has no {EXPECTED!r}: method="likelihood" needs the right answers')
        score, extra = self._score(row, run, str(self.data[row][EXPECTED]))
        return Outcome(row, max(score, LEAST), tokens(run.usage) + extra)

    def _score(self, row: int, run: Run[Any], right: str) -> tuple[float, int]:
        """And the tokens that it took to ask."""
        last = run.captures[-1]
        if last.choice is not None:
            return _of(last, right, f"row {row}"), 0
        if run.messages:
            raise TuningError('method="likelihood" in a chat needs a last hole that is a choice: select(...)')
        asked = _scored.run(run.text[: last.span[0]], right, model=self.how["model"])
        return asked.value, tokens(asked.usage)


class Perplexity(Asked):
    """Of each row the log-probability of the text before the last hole, in nats a token: less the logarithm of its
    perplexity."""

    failed = LEAST

    def outcome(self, row: int, run: Run[Any]) -> Outcome:
        if run.messages:
            raise TuningError('method="perplexity" is of programs without chat messages')
        text = run.text[: run.captures[-1].span[0]] if len(run.captures) else run.text
        if not text:
            return Outcome(row, 0.0, tokens(run.usage))
        asked = _familiar.run(text, model=self.how["model"])
        return Outcome(row, max(asked.value, LEAST), tokens(run.usage) + tokens(asked.usage))


@program
def _familiar(p: Prompt, text: str) -> float:
    """The log-probability of a text, a token in the mean."""
    return p.score([text], norm="mean").scores[text]


@program
def _scored(p: Prompt, before: str, text: str) -> float:
    """The log-probability of a text."""
    p(before)
    return p.score([text]).logprobs[text]


def choice(run: Run[Any], place: str) -> Capture:
    """The last hole that was a choice. Raises TuningError."""
    found = [capture for capture in run.captures.all() if capture.choice is not None]
    if not found:
        raise TuningError(f'{place}: method="mutual-information" needs a hole that is a choice: select(...)')
    return found[-1]


def _of(capture: Capture, right: str, place: str) -> float:
    dist = capture.dist
    named = {str(dist.texts.get(option, option)).strip(): option for option in dist.options}
    if right.strip() not in named:
        raise TuningError(f"{place}: {right!r} is none of the options of {capture.name!r}: {', '.join(named)}")
    share = dist.probs[named[right.strip()]]
    return math.log(share) if share > 0 else LEAST


def information(outcomes: Collection[Outcome]) -> float:
    """I(Y; X) in nats: the entropy of the mean of all rows' shares, less the mean of their entropies; times the share
    of rows that did not fail."""
    known = [outcome for outcome in outcomes if outcome.detail]
    total: dict[str, float] = {}
    for outcome in known:
        for option, share in outcome.detail.items():
            total[option] = total.get(option, 0.0) + share / len(known)
    within = math.fsum([outcome.score for outcome in known]) / max(1, len(known))
    return (_entropy(total.values()) + within) * len(known) / len(outcomes)


def _entropy(shares: Iterable[float]) -> float:
    return -sum([share * math.log(share) for share in shares if share > 0])
