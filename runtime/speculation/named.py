"""Drafters by name, as `load(draft=...)` takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .copying import Copying
from .drafter import Drafter
from .forced import Forced
from .ngrams import Ngrams
from .small import Small

if TYPE_CHECKING:
    from ...grammars.vocabulary import Vocabulary
    from ..model import Model

NAMED: dict[str, Callable[[Vocabulary], list[Drafter]]] = {
    "auto": lambda vocab: [Forced(vocab), Copying(), Ngrams()],
    "copy": lambda vocab: [Copying()],
    "ngrams": lambda vocab: [Ngrams()],
    "forced": lambda vocab: [Forced(vocab)],
}


def drafters(drafts: Iterable[str | Model], vocab: Vocabulary) -> list[Drafter]:
    """One for each name or smaller model; "auto" stands for all that need no model."""
    return [
        drafter
        for draft in drafts
        for drafter in (NAMED[draft](vocab) if isinstance(draft, str) else [Small(draft, vocab)])
    ]
