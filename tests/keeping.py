"""Monitors whose state is the text so far, and that say nothing before the end of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Keeping:
    """`ends` says whether the text may end so; that it may not is a dead end, which nobody sees beforehand."""

    ends: Callable[[str], bool]

    def start(self, prompt: str) -> str:
        return ""

    def advance(self, state: str, text: str) -> str:
        return state + text

    def allow(self, state: str) -> None:
        return None

    def final(self, state: str) -> bool:
        return self.ends(state)


NEEDS_AN_A = Keeping(lambda text: "a" in text)
