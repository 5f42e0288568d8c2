"""What a program may ask about options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .covers import Exact

NORMS = ("sum", "mean", "pmi")


@dataclass(frozen=True)
class Question:
    """What `Prompt.score` was asked."""

    values: tuple[Any, ...]
    texts: tuple[str, ...]
    norm: str = "sum"
    premise: str = ""
    none: bool = False
    end: bytes = b""
    exact: Exact | None = None
