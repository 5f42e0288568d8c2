"""The value of a hole while it is being generated: pieces of text, each of which is there to stay.

Held back are the bytes of a character that is not complete, and what may turn out to be the beginning of a stop string
or of the text that follows the hole, which are not part of the value.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence

from .events import Retract, Text
from .run import Recorder
from .task import Task
from .transcript import Spelling, spell


class Pieces:
    """Tells `recorder`'s listener of a hole's value as its tokens come, on the engine's thread."""

    def __init__(self, recorder: Recorder, vocab: Spelling, name: str, task: Task) -> None:
        self._recorder, self._name = recorder, name
        self.vocab, self.limit = vocab, task.hole.max_tokens if task.hole.grammar is None else None
        self.ends = [end for end in [stop.encode() for stop in task.hole.stop] or [task.follow] if end]
        self._at = recorder.length  # where the value begins
        self._told = ""

    def watch(self, prefix: bytes) -> Callable[[Sequence[int]], None]:
        """A request begins, whose first bytes are `prefix`, and not of the value. What is to be told its tokens."""
        self._take_back()
        return _Request(self, len(prefix)).add

    def close(self, value: str) -> None:
        """The value is complete: tell what is missing."""
        if not value.startswith(self._told):
            self._take_back()
        self.tell(value[len(self._told) :])

    def tell(self, text: str) -> None:
        if text:
            begin = self._at + len(self._told)
            self._told += text
            branch = self._recorder.branch
            self._listen(Text(span=(begin, begin + len(text)), text=text, branch=branch, hole=self._name))

    def _take_back(self) -> None:
        if self._told:
            branch, removed, self._told = self._recorder.branch, self._told, ""
            self._listen(Retract(span=(self._at, self._at), branch=branch, removed=removed))

    def _listen(self, event: Text | Retract) -> None:
        if self._recorder.listen is not None:
            self._recorder.listen(event)


class _Request:
    """The tokens of one request; `begin`: bytes that come before the value."""

    def __init__(self, pieces: Pieces, begin: int) -> None:
        self._pieces, self._begin, self._told = pieces, begin, begin
        self._data = bytearray()
        self._count = self._first = 0  # tokens; the first that has a byte of the value
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, tokens: Sequence[int]) -> None:
        for token in tokens:
            self._take(token)
        end = len(self._data) - self._held()
        if end > self._told:
            self._pieces.tell(self._decoder.decode(bytes(self._data[self._told : end])))
            self._told = end

    def _take(self, token: int) -> None:
        """With the end of the text before it spelt anew there may be more tokens than the value is to have."""
        if len(self._data) <= self._begin:
            self._first = self._count
        if self._pieces.limit is None or self._count - self._first < self._pieces.limit:
            self._data += spell(self._pieces.vocab, [token])
        self._count += 1

    def _held(self) -> int:
        """How many of the last bytes may belong to what ends the value."""
        data, ends = self._data[self._begin :], self._pieces.ends
        for size in range(min(max(map(len, ends), default=0), len(data)), 0, -1):
            if any([end.startswith(data[len(data) - size :]) for end in ends]):
                return size
        return 0
