"""What comes back: an answer in the words of the OpenAI protocol, whole or in pieces."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import BackendAnswer

ENDS = ("stop", "length", "eos")


@dataclass
class Reply:
    """An answer: why it ended ("stop" or "length"), tokens as the server counts them, `logprobs` of (text, value)."""

    text: str = ""
    finish: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0
    logprobs: list[tuple[str, float]] = field(default_factory=list)
    url: str = ""

    def add(self, answer: Mapping[str, Any]) -> str:
        """Take an answer in, or a piece of one; the text that is new. Raises BackendAnswer."""
        new = ""
        for choice in answer.get("choices") or ():
            if choice.get("index", 0) == 0:
                new += self._choice(choice)
        if isinstance(usage := answer.get("usage"), dict):
            self._usage(usage)
        return new

    def _choice(self, choice: Mapping[str, Any]) -> str:
        message = choice.get("message") or choice.get("delta")
        new = (message.get("content") if isinstance(message, dict) else choice.get("text")) or ""
        if not isinstance(new, str):
            raise BackendAnswer(f"{self.url} answers with a text that is none: {new!r}", self.url)
        if isinstance(message, dict) and message.get("refusal"):
            raise BackendAnswer(f"{self.url}: the model refuses: {message['refusal']}", self.url)
        self.text += new
        self.finish = choice.get("finish_reason") or self.finish
        if isinstance(scored := choice.get("logprobs"), dict):
            self.logprobs += _logprobs(scored)
        return new

    def _usage(self, usage: Mapping[str, Any]) -> None:
        self.prompt_tokens = int(usage.get("prompt_tokens") or 0)
        self.tokens = int(usage.get("completion_tokens") or 0)
        details = usage.get("prompt_tokens_details")
        self.cached_tokens = int((details or {}).get("cached_tokens") or 0)

    def checked(self) -> Reply:
        """Raises BackendAnswer for an end that is none of the model's own."""
        if self.finish not in ENDS:
            what = f"ended for the reason {self.finish!r}" if self.finish else "has no choices or no finish_reason"
            raise BackendAnswer(f"the answer of {self.url} {what}", self.url)
        return self

    def logprob_of(self, begin: int, end: int) -> float:
        """The sum over the tokens that share a character with text[begin:end]; nan where the server told nothing."""
        at, total, known = 0, 0.0, False
        for token, value in self.logprobs:
            if at < end and at + len(token) > begin:
                total, known = total + value, True
            at += len(token)
        return total if known else math.nan


def _logprobs(scored: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Both notations: of completions, and of chats."""
    if scored.get("content") is not None:
        return [(one["token"], float(one["logprob"])) for one in scored["content"]]
    pairs = zip(scored.get("tokens") or (), scored.get("token_logprobs") or (), strict=False)
    return [(str(token), math.nan if value is None else float(value)) for token, value in pairs]
