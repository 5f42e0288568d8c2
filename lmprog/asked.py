"""How the model was asked for a value: what `Run.why` needs to ask again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .events import Span
from .holes import Boundary, Hole
from .verbalizer import Verbalizer


@dataclass(frozen=True)
class Asked:
    """A hole, and what was around it.

    options   all texts that the value could be, where it was a choice between a few
    follow    the text that was known to come behind the value, up to where it ends one
    boundary  as of the hole
    unseen    stretches of the run's text before the value that the model had not read: branches beside its own
    language  what the value could be, as GBNF; only of a run that was loaded, and only if that can be written
    words     the words of classes and the rest of a verbalizer, the classes as texts; of a run that was loaded
    hole      only of a run that was not
    """

    options: tuple[str, ...] | None = None
    follow: str = ""
    boundary: Boundary = "heal"
    unseen: tuple[Span, ...] = ()
    language: str = ""
    words: Verbalizer | None = None
    hole: Hole | None = field(default=None, repr=False, compare=False, metadata={"saved": False})

    def __getstate__(self) -> dict[str, Any]:
        """A copy of a run is like one that was loaded: holes have functions in them."""
        return self.__dict__ | {"hole": None, "words": self.classes}

    @property
    def classes(self) -> Verbalizer | None:
        """Of a choice between classes, which are their texts."""
        if self.hole is None or self.hole.words is None:
            return self.words
        return self.hole.words.named()

    def moved(self, fork: int, shift: int) -> Asked:
        """In a branch of a fork at that character, the text of which is appended so much later than it was written."""
        if not shift:
            return self
        later = [(a + shift, b + shift) if a >= fork else (a, b) for a, b in self.unseen]
        return replace(self, unseen=tuple(sorted([*later, (fork, fork + shift)])))
