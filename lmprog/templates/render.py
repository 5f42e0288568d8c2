"""One rendering of a template into a prompt: pieces are taken as the template's code yields them.

The code stands still at a piece until the piece has been written, so text comes before the hole that follows it, and
the captures of a hole are there when the code goes on. What fails while a piece is written is thrown into the code at
its place, so that the traceback leads through the template's line.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, closing
from typing import Any, cast

from ..errors import ProgramError
from ..holes import Hole
from ..prompt import Prompt
from ..slots import SlotText
from .pieces import Closed, Inner, Opened, Part

Pieces = Generator[Any, None, None]


class Rendering:
    """filled   the last value of each name, for the template
    taken    names that holes cannot have
    """

    def __init__(self, p: Prompt, filled: dict[str, Any], taken: set[str]) -> None:
        self.p, self.filled, self.taken = p, filled, taken
        self._values: dict[str, list[Any]] = {}
        self._looped: set[str] = set()
        self._ahead = ""  # text that is written already, with the hole before it
        self._blank = ""  # white space that is dropped when a message begins after it
        self._roles: list[AbstractContextManager[None]] = []
        self._chat = False

    def run(self, pieces: Pieces) -> dict[str, Any]:
        """Write everything; the values by the names of their holes."""
        try:
            self._drive(pieces)
            if self._roles:
                raise ProgramError("a message was left by {% break %} or {% continue %} before its end")
            self._flush()
        finally:
            while self._roles:
                self._roles.pop().__exit__(None, None, None)
        return {name: values if name in self._looped else values[-1] for name, values in self._values.items()}

    def _drive(self, pieces: Pieces) -> None:
        with closing(pieces):
            for piece in pieces:
                try:
                    self._take(piece)
                except Exception as error:
                    pieces.throw(error)

    def _take(self, piece: Any) -> None:
        match piece:
            case SlotText() if self._roles or not piece or piece.strip():
                self._flush()
                self.p(piece)
            case str():
                self._text(piece)
            case Part(value, follow, looped):
                self._fill(value, follow, looped)
            case Hole():
                self._fill(piece, "", False)
            case Opened(role, name):
                self._open(role, name)
            case Closed():
                self._roles.pop().__exit__(None, None, None)
            case Inner(pieces):
                self._drive(cast(Pieces, pieces()))
            case _:
                self._flush()
                self.p(piece)

    def _text(self, text: str) -> None:
        known = min(len(self._ahead), len(text))
        self._ahead, text = self._ahead[known:], text[known:]
        if self._roles or text.strip():
            self._flush()
            self.p(text)
        else:
            self._blank += text

    def _flush(self) -> None:
        blank, self._blank = self._blank, ""
        if blank and not (self._chat and not self._roles):
            self.p(blank)

    def _fill(self, hole: Hole, follow: str, looped: bool) -> None:
        self._flush()
        name = hole.name
        if name in self.taken:
            raise ProgramError(f"the hole {name!r} has the name of a variable: rename one of them")
        value = self.p(hole, follow)
        self._ahead = follow
        if name is not None:
            self.filled[name] = value
            self._values.setdefault(name, []).append(value)
            if looped:
                self._looped.add(name)

    def _open(self, role: str, name: str | None) -> None:
        self._blank, self._chat = "", True
        message = self.p._role(role, name)
        message.__enter__()
        self._roles.append(message)
