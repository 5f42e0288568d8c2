"""The messages of a chat run, and the ids that they become.

A later turn of the assistant must see its earlier ones as the ids that it generated, not as their text tokenised anew.
A template renders text, though. So the last turn's place is found by rendering a mark instead of its text: what comes
before the mark must be what that turn was prompted with, and then what comes after it is appended to the ids there are.
Where a template does not allow that (it rewrites old turns, say), its own rendering of the texts is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .models import LanguageModel
from .transcript import Place, Transcript

MARK = "\U0010fffd"  # a private-use character: no token of more than it, in no text


@dataclass(frozen=True)
class Turn:
    """A message, and for the assistant's where its text begins and ends in the ids."""

    message: dict[str, str]
    begin: Place | None = None
    end: Place | None = None


@dataclass(frozen=True)
class ChatPlace:
    """What a chat is at some point."""

    turns: tuple[Turn, ...]
    shown: tuple[dict[str, str], ...]
    open: Turn | None
    prompted: list[int]
    written: list[int] | None
    last: int


class Chat:
    """Messages so far, and the one that is being written.

    `shown` is what the model gets to see: `messages`, and what was told to it aside (`hidden`).
    """

    def __init__(self, model: LanguageModel, transcript: Transcript) -> None:
        self.model, self.transcript = model, transcript
        self.turns: list[Turn] = []
        self.shown: list[dict[str, str]] = []
        self._open: Turn | None = None
        self._prompted: list[int] = []  # the last turn's prompt as the template renders it
        self._written: list[int] | None = None  # all ids up to the end of the last turn
        self._last = -1  # the position in `shown` of the last turn's message

    @property
    def messages(self) -> tuple[dict[str, str], ...]:
        return tuple([turn.message for turn in self.turns])

    def begin(self, role: str, name: str | None) -> None:
        """Open a message. Before the assistant's, the transcript is set to the ids of everything before its text."""
        message = {"role": role, **({"name": name} if name else {}), "content": ""}
        if role == "assistant":
            rendered = self.model.chat(self.shown, add_generation_prompt=True)
            self.transcript.restart(self._continued() or rendered)
            self._prompted, self._last, self._written = rendered, len(self.shown), None
        self._open = Turn(message, self.transcript.place())

    def add(self, text: str) -> None:
        if self._open is not None:
            self._open.message["content"] += text

    def end(self, *, hidden: bool = False) -> None:
        assert self._open is not None
        turn, self._open = self._open, None
        if turn.message["role"] == "assistant":
            self._written, _ = self.transcript.border()
        self.shown.append(turn.message)
        if not hidden:
            self.turns.append(Turn(turn.message, turn.begin, self.transcript.place()))

    def play(self, turn: Turn, *, hidden: bool = False) -> None:
        """A message from elsewhere, in the assistant's own spelling."""
        self.begin(turn.message["role"], turn.message.get("name"))
        if turn.message["role"] == "assistant" and turn.begin and turn.end:
            self.transcript.take_over(turn.begin, turn.end)
        self.add(turn.message["content"])
        self.end(hidden=hidden)

    def place(self) -> ChatPlace:
        turns, shown = tuple(self.turns), tuple(self.shown)
        return ChatPlace(turns, shown, _copy(self._open), self._prompted, self._written, self._last)

    def go_to(self, place: ChatPlace) -> None:
        self.turns, self.shown, self._open = list(place.turns), list(place.shown), _copy(place.open)
        self._prompted, self._written, self._last = place.prompted, place.written, place.last

    def _continued(self) -> list[int] | None:
        if self._written is None:
            return None
        messages = [*self.shown]
        messages[self._last] = messages[self._last] | {"content": MARK}
        ids = self.model.chat(messages, add_generation_prompt=True)
        found = _find(ids, self.model.vocab.encode(MARK.encode()))
        if found is None or ids[: found.start] != self._prompted:
            return None
        return self._written + ids[found.stop :]


def _copy(turn: Turn | None) -> Turn | None:
    return turn and Turn(dict(turn.message), turn.begin)


def _find(ids: Sequence[int], part: Sequence[int]) -> range | None:
    for at in range(len(ids) - len(part), -1, -1):
        if list(ids[at : at + len(part)]) == list(part):
            return range(at, at + len(part))
    return None
