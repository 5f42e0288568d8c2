"""The messages of a chat run, and the ids that they become.

A later turn of the assistant must see its earlier ones as the ids that it generated, not as their text tokenised anew.
A template renders text, though. So the last turn's place is found by rendering a mark instead of its text: what comes
before the mark must be what that turn was prompted with, and then what comes after it is appended to the ids there are.
Where a template does not allow that (it rewrites old turns, say), its own rendering of the texts is used.
"""

from __future__ import annotations

from collections.abc import Sequence

from .models import LanguageModel
from .transcript import Transcript

MARK = "\U0010fffd"  # a private-use character: no token of more than it, in no text


class Chat:
    """Messages so far, and the one that is being written."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.messages: list[dict[str, str]] = []
        self._open: dict[str, str] | None = None
        self._prompted: list[int] = []  # the last turn's prompt as the template renders it
        self._written: list[int] | None = None  # all ids up to the end of the last turn
        self._turn = -1  # the position of the last turn's message

    def begin(self, role: str, name: str | None) -> list[int] | None:
        """Open a message. For the assistant's: the ids of everything before its text."""
        self._open = {"role": role, **({"name": name} if name else {}), "content": ""}
        if role != "assistant":
            return None
        rendered = self.model.chat(self.messages, add_generation_prompt=True)
        ids = self._continued() or rendered
        self._prompted, self._turn, self._written = rendered, len(self.messages), None
        return ids

    def add(self, text: str) -> None:
        if self._open is not None:
            self._open["content"] += text

    def end(self, transcript: Transcript) -> None:
        assert self._open is not None
        if self._open["role"] == "assistant":
            self._written, _ = transcript.border()
        self.messages.append(self._open)
        self._open = None

    def _continued(self) -> list[int] | None:
        if self._written is None:
            return None
        messages = [*self.messages]
        messages[self._turn] = messages[self._turn] | {"content": MARK}
        ids = self.model.chat(messages, add_generation_prompt=True)
        found = _find(ids, self.model.vocab.encode(MARK.encode()))
        if found is None or ids[: found.start] != self._prompted:
            return None
        return self._written + ids[found.stop :]


def _find(ids: Sequence[int], part: Sequence[int]) -> range | None:
    for at in range(len(ids) - len(part), -1, -1):
        if list(ids[at : at + len(part)]) == list(part):
            return range(at, at + len(part))
    return None
