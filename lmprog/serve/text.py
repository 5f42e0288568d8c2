"""From tokens to the text that a client may see: whole code points, and nothing of a stop text."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class Reply:
    """The text of one answer as it grows.

    `stops`: texts before the first of which it ends. What could yet become one is held back, until it is known.

    >>> reply = Reply(["END"])
    >>> reply.feed(b"the E"), reply.feed(b"N"), reply.feed(b"NEND of")
    ('the ', '', 'ENN')
    >>> reply.stopped, reply.cut
    (True, 6)

    `cut`: bytes that came behind the text, once it has stopped.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self.stopped, self.cut = False, 0

    def feed(self, data: bytes, *, last: bool = False) -> str:
        """The text that is certain now and was not before; `last`: there will be no more."""
        if self.stopped:
            return ""
        text = self._held + self._decoder.decode(data, last)
        ends = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            self.stopped, self._held = True, ""
            self.cut = len(text[min(ends) :].encode())
            return text[: min(ends)]
        keep = 0 if last else self._beginning(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _beginning(self, text: str) -> int:
        """How many characters at the end could begin a stop."""
        keep = 0
        for stop in self._stops:
            at = text.find(stop[0], max(0, len(text) - len(stop) + 1))
            while at >= 0 and not stop.startswith(text[at:]):
                at = text.find(stop[0], at + 1)
            keep = max(keep, len(text) - at if at >= 0 else 0)
        return keep
