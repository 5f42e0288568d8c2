"""What a run with `trace=True` keeps of each request and of each token that came of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, TypeVar

from .events import Span

if TYPE_CHECKING:
    from .runtime.request import Result

TOP = 8  # of the likeliest tokens at each place are kept
T = TypeVar("T")
Bytes = Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that could have come, and its log-probability."""

    id: int
    data: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """One generated token, and what else could have come in its place.

    data        its bytes; b"" for a special token
    span        the characters of the run's text that it has a part in; empty for what is not in the text (stop strings,
                retracted tokens)
    forced      the language left nothing else; it was not sampled
    allowed     how many tokens of the vocabulary the language let come here, ends included; 0: not known
    logprob     under the model alone, nan for forced tokens
    masked      under the distribution that it was drawn from: constraint, temperature and filters applied
    top         the likeliest under the model alone, likeliest first
    top_masked  the likeliest under the distribution that it was drawn from
    seconds     when it came, since the run began
    request     position in the run's `requests`
    retracted   it was dropped again
    """

    id: int
    data: bytes
    span: Span
    forced: bool
    allowed: int
    logprob: float
    masked: float
    top: tuple[Candidate, ...]
    top_masked: tuple[Candidate, ...]
    seconds: float
    request: int
    retracted: bool = False


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request to the model.

    hole, language     the hole that it was for: its name and its kind
    at                 where in the run's text the hole's value begins
    begin, end         seconds since the run began
    prompt_tokens      tokens sent, of which `cached_tokens` came from the prefix cache
    cached_to          the characters of the run's text that the cached ones cover; None in a chat, whose template has
                       tokens that are not in the text
    retracted          the hole's value was dropped again
    """

    hole: str
    language: str
    at: int
    begin: float
    end: float
    prompt_tokens: int
    cached_tokens: int
    cached_to: int | None
    retracted: bool = False


@dataclass(frozen=True)
class Attempt:
    """A request of a hole as `fill` saw it: the ids sent, the bytes of the text that its first tokens spell anew, how
    many bytes of all that came are `kept` in the text, and when it `began` (time.perf_counter)."""

    sent: Sequence[int]
    prefix: bytes
    result: Result
    kept: int
    began: float


class Tracer:
    """Collects the records of a run. `vocab`: the bytes of each token; `zero`: when the run began (perf_counter)."""

    def __init__(self, vocab: Bytes, zero: float) -> None:
        self.vocab, self.zero = vocab, zero
        self.requests: list[RequestRecord] = []
        self.tokens: list[TokenRecord] = []

    def add(self, attempt: Attempt, hole: str, language: str, at: int, plain: bool) -> None:
        """`at`: the length of the run's text before the hole's value; `plain`: it is no chat."""
        result, begin = attempt.result, attempt.began - self.zero
        cached = max(0, result.prompt_tokens - result.prompt_tokens_computed)
        known = _starts(b"".join([self.vocab[i] or b"" for i in attempt.sent[:cached]])) if plain else None
        end = begin + result.seconds
        self.tokens += [self._token(attempt, i, span) for i, span in enumerate(self._spans(attempt, at))]
        self.requests.append(RequestRecord(hole, language, at, begin, end, result.prompt_tokens, cached, known))

    def retract(self, requests: int, at: int) -> None:
        """All but the first requests, and what came of them, are no longer part of the text, which ends `at`."""
        for i in range(requests, len(self.requests)):
            self.requests[i] = replace(self.requests[i], retracted=True)
        for i in range(len(self.tokens) - 1, -1, -1):
            if self.tokens[i].request < requests:
                break
            self.tokens[i] = replace(self.tokens[i], span=(at, at), retracted=True)

    def take(self, other: Tracer, shift: int) -> None:
        """The records of a branch, whose text begins `shift` characters later than it did there."""
        first = len(self.requests)
        self.requests += [replace(r, at=r.at + shift, cached_to=None if shift else r.cached_to) for r in other.requests]
        self.tokens += [
            replace(t, span=(t.span[0] + shift, t.span[1] + shift), request=first + t.request) for t in other.tokens
        ]

    def _token(self, attempt: Attempt, i: int, span: Span) -> TokenRecord:
        result = attempt.result
        raw, masked = result.logprobs[i], _get(result.masked_logprobs, i, math.nan)
        return TokenRecord(
            id=result.ids[i],
            data=self.vocab[result.ids[i]] or b"",
            span=span,
            forced=math.isnan(raw) and masked == 0,
            allowed=_get(result.allowed, i, 0),
            logprob=raw,
            masked=masked,
            top=self._candidates(_get(result.top_logprobs, i, {})),
            top_masked=self._candidates(_get(result.top_masked_logprobs, i, {})),
            seconds=attempt.began - self.zero + _get(result.times, i, result.seconds),
            request=len(self.requests),
            retracted=not attempt.kept,
        )

    def _candidates(self, top: Mapping[int, float]) -> tuple[Candidate, ...]:
        return tuple([Candidate(i, self.vocab[i] or b"", p) for i, p in top.items()])

    def _spans(self, attempt: Attempt, at: int) -> Iterator[Span]:
        """A character belongs to every token that has a byte of it."""
        data = [self.vocab[i] or b"" for i in attempt.result.ids]
        text = b"".join(data)[: attempt.kept]
        first = at - _starts(attempt.prefix) - 1  # the character of the first byte, if it begins before that
        chars = [first + n for n in accumulate([_starts(text[k : k + 1]) for k in range(len(text))])]
        end = chars[-1] + 1 if chars else at
        for a, b in pairwise(accumulate(map(len, data), initial=0)):
            last = min(b, len(text))
            yield (chars[a], chars[last - 1] + 1) if a < last else (end, end)


def _starts(data: bytes) -> int:
    """How many characters begin in `data`."""
    return len(data) - sum(0x80 <= byte < 0xC0 for byte in data)


def _get(items: Sequence[T], i: int, default: T) -> T:
    return items[i] if i < len(items) else default
