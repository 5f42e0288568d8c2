"""What a program may ask about options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .covers import Exact
    from .verbalizer import Verbalizer

NORMS = ("sum", "mean", "pmi")


@dataclass(frozen=True)
class Question:
    """What `Prompt.score` was asked. `words`: the texts are words, and classes of them are what is asked about."""

    values: tuple[Any, ...]
    texts: tuple[str, ...]
    norm: str = "sum"
    premise: str = ""
    none: bool = False
    end: bytes = b""
    exact: Exact | None = None
    words: Verbalizer | None = None
