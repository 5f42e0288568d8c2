"""Where a value ends: what the text that follows a hole says about it."""

from __future__ import annotations

import warnings

from .grammars.endings import goes_on
from .holes import Hole

UNCLEAR = """\
the value of the hole {name} could go on with {mark!r}, the text that follows it: it will end before the first {mark!r}
that the model writes. Let something else follow, or say so: where="{mark!r} not in x\""""


class UnclearEnd(UserWarning):
    """A hole's value can contain the text that is to end it."""


def end_mark(follow: str) -> bytes:
    """The part of the following text that ends a value: its first line with the line break, or the line breaks that
    it begins with. A model writes that much when it ends a value; the rest of a long text it would seldom repeat.
    """
    body = follow.lstrip("\n")
    breaks = follow[: len(follow) - len(body)]
    if breaks:
        return breaks.encode()
    line, newline, _ = follow.partition("\n")
    return (line + newline).encode()


def warn_of_unclear_end(hole: Hole, follow: str) -> None:
    """UnclearEnd, on the line that called `p`, when a value of the hole can contain what is to end it. Of free text
    that is known; options are checked when they are chosen from."""
    if not follow or hole.grammar is None or hole.free or hole.stop or hole.options is not None:
        return
    mark = end_mark(follow)
    if goes_on(hole.grammar.expr, mark):
        text = UNCLEAR.format(name=repr(hole.name) if hole.name else f"({hole.kind})", mark=mark.decode())
        warnings.warn(text.replace("\n", " "), UnclearEnd, stacklevel=3)
