"""The text of a run as the model sees it: token ids already fixed, then bytes that are not tokens yet.

Why not just ids, or just text: text that is appended in pieces must cost the same tokens as text appended at once, so
tokenising waits until a hole needs it; and what the model generated must never be tokenised anew, as another spelling
of the same bytes is another context. `ids` is therefore what was sent or generated, `pending` what came since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Spelling(Protocol):
    """The part of a Vocabulary that is needed here."""

    @property
    def token_bytes(self) -> Sequence[bytes | None]: ...
    def encode(self, data: bytes) -> list[int]: ...
    def extendable(self, tail: bytes) -> bool: ...


class Place(NamedTuple):
    """Where a transcript stands. Its ids are shared, never changed: to remember a place costs nothing."""

    ids: Sequence[int]
    pending: bytes
    written: int


class Transcript:
    """`ids` (fixed) + `pending` (bytes). `begin`: ids that come before all text, such as BOS."""

    def __init__(self, vocab: Spelling, begin: Sequence[int] = ()) -> None:
        self.vocab = vocab
        self.ids = list(begin)
        self.pending = b""
        self._written = 0

    def append(self, text: str) -> None:
        data = text.encode()
        known = min(self._written, len(data))
        self._written -= known
        self.pending += data[known:]

    def skip(self, size: int) -> None:
        """The next `size` bytes of text are among `ids` already: the model wrote them behind a value."""
        self._written = size

    def restart(self, ids: Sequence[int]) -> None:
        """Begin anew from ids that are all fixed (a rendered chat template)."""
        self.ids, self.pending = list(ids), b""

    def border(self) -> tuple[list[int], int]:
        """All ids up to here, and how many of the last ones a hole may spell anew (token healing).

        Those are backed up because a longer token could cover them: the border between text and value should not
        force a spelling that the model would not choose.
        """
        ids = self.vocab.encode(self.pending)
        backed = backed_up(self.vocab, ids)
        if not self.ids and backed == len(ids):
            backed = max(0, backed - 1)  # something must be left to continue
        return self.ids + ids, backed

    def filled(self, sent: Sequence[int], generated: Sequence[int], end: int) -> None:
        """Take over what was generated after `sent`: its first `end` bytes.

        A token that reaches over `end` goes, and its bytes before `end` become pending text.
        """
        kept, at = 0, 0
        for token in generated:
            size = len(self.vocab.token_bytes[token] or b"")
            if at + size > end:
                break
            kept, at = kept + 1, at + size
        self.ids = [*sent, *generated[:kept]]
        self.pending = spell(self.vocab, generated[kept:])[: end - at]

    def place(self) -> Place:
        return Place(self.ids, self.pending, self._written)

    def go_to(self, place: Place) -> None:
        self.ids, self.pending, self._written = list(place.ids), place.pending, place.written

    def settle(self) -> None:
        """Fix the pending text as ids."""
        self.ids, _ = self.border()
        self.pending = b""

    def take_over(self, begin: Place, end: Place) -> None:
        """Append what another transcript of the same model got between two places, in its own spelling.

        A token that reaches over `begin` is kept when this text ends with the same bytes before it; otherwise what
        came is appended as text.
        """
        same = _common(begin.ids, end.ids)
        before = spell(self.vocab, begin.ids[same:]) + begin.pending
        first, at = same, 0
        while first < len(end.ids) and at + (size := len(self.vocab.token_bytes[end.ids[first]] or b"")) <= len(before):
            first, at = first + 1, at + size
        if first < len(end.ids) and self._take_back(before[at:]):
            self.ids = [*self.ids, *end.ids[first:]]
            self.pending = end.pending
        else:
            self.pending += (spell(self.vocab, end.ids[same:]) + end.pending)[len(before) :]
        self._written = end.written

    def _take_back(self, tail: bytes) -> bool:
        """Fix all ids but for the last bytes, `tail`, which go. False: there is no border between tokens before it."""
        if self.pending.endswith(tail):
            self.pending = self.pending[: len(self.pending) - len(tail)]
            self.settle()
            return True
        ids, _ = self.border()
        count = 0
        while spell(self.vocab, ids[len(ids) - count :]) != tail:
            count += 1
            if count > len(tail):
                return False
        self.ids, self.pending = ids[: len(ids) - count], b""
        return True


def spell(vocab: Spelling, ids: Sequence[int]) -> bytes:
    return b"".join([vocab.token_bytes[i] or b"" for i in ids])


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids two sequences begin with in common."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def backed_up(vocab: Spelling, ids: Sequence[int]) -> int:
    """How many of the last `ids` are backed up: the most whose bytes together begin some longer token."""
    most, tail = 0, b""
    for count, token in enumerate(reversed(ids), start=1):
        tail = (vocab.token_bytes[token] or b"") + tail
        if len(tail) > LONGEST:
            break
        if vocab.extendable(tail):
            most = count
    return most


LONGEST = 64  # bytes: no token that matters at a border is longer
