"""A run cut into pieces, each with what is to be said of it: the common ground of page and terminal."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Literal

from .events import Retract, RoleBegin, RoleEnd, Span
from .run import Run

Kind = Literal["text", "computed", "cached", "role", "value", "sampled", "forced", "retracted"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that belongs together.

    kind    "sampled", "forced": a token of a value; "value": a value without records; "role": the mark of a chat
            message; "cached", "computed": the program's own text, as it was when it was first sent to the model, or
            "text" where that is not known; "retracted": it was taken back here, and is not part of the run's text
    token   position in the run's `tokens`
    hole    position among the run's captures; of a token, the first one that it has a part in
    note    why it was taken back
    slot    the name of the slot whose text it is
    """

    text: str
    kind: Kind
    token: int | None = None
    hole: int | None = None
    note: str = ""
    slot: str = ""


def pieces(run: Run[Any]) -> list[Piece]:
    """All of a run in order: the texts of all but the retracted ones make up its text."""
    marks = _marks(run)
    cuts = [0, *[at for at, _ in _retracted(run)], len(run.text)]
    removed = [piece for _, piece in _retracted(run)]
    result: list[Piece] = []
    for i, (begin, end) in enumerate(pairwise(cuts)):
        for key, group in groupby(range(begin, end), key=marks.__getitem__):
            at = list(group)
            kind, token, hole, slot = key
            result.append(Piece(run.text[at[0] : at[-1] + 1], kind, token, hole, slot=slot))
        result += removed[i : i + 1]
    return result


Mark = tuple[Kind, int | None, int | None, str]


def _marks(run: Run[Any]) -> list[Mark]:
    """Kind, token, hole and slot of every character."""
    marks: list[Mark] = [(kind, None, None, "") for kind in _own_text(run)]
    for name, spans in run.slots.items():
        for begin, end in spans:
            marks[begin:end] = [(kind, None, None, name) for kind, *_ in marks[begin:end]]
    holes = [(i, c.span) for i, c in enumerate(run.captures.all())]
    for i, (begin, end) in holes:
        marks[begin:end] = [("value", None, i, "")] * (end - begin)
    for begin, end in _roles(run):
        marks[begin:end] = [("role", None, None, "")] * (end - begin)
    for i, token in enumerate(run.tokens):
        begin, end = token.span[0], min(token.span[1], len(marks))
        if begin < end and not token.retracted:
            hole = next((marks[at][2] for at in range(begin, end) if marks[at][2] is not None), None)
            marks[begin:end] = [("forced" if token.forced else "sampled", i, hole, "")] * (end - begin)
    return marks


def _roles(run: Run[Any]) -> list[Span]:
    found: list[Span] = []
    for event in run.trace:
        if event.branch:
            continue
        if isinstance(event, Retract):
            found = [span for span in found if span[1] <= event.span[1]]
        if isinstance(event, RoleBegin | RoleEnd):
            found.append(event.span)
    return found


def _own_text(run: Run[Any]) -> Iterator[Kind]:
    """Whether each character was in the prefix cache when the first request after it was sent."""
    sent = [request for request in run.requests if not request.retracted]
    starts = [request.at for request in sent]
    for at in range(len(run.text)):
        first = bisect_right(starts, at)
        known = sent[first].cached_to if first < len(sent) else None
        yield "text" if known is None else "cached" if at < known else "computed"


def _retracted(run: Run[Any]) -> list[tuple[int, Piece]]:
    """What was taken back, by its place in the text as it is in the end."""
    found: list[tuple[int, Piece]] = []
    for event in run.trace:
        if isinstance(event, Retract) and not event.branch:
            at = min(event.span[1], len(run.text))
            found = [(min(place, at), piece) for place, piece in found]
            found.append((at, Piece(event.removed, "retracted", note=event.reason)))
    return found


def percent(logprob: float | None) -> str:
    """A log-probability as a share of a hundred, with as many digits as tell it from 0 and 100."""
    if logprob is None or math.isnan(logprob):
        return "–"
    share = 100 * math.exp(logprob)
    if share < 0.01:
        return "< 0.01 %" if logprob > -math.inf else "0 %"
    digits = 2 if share < 1 or 99 < share < 99.995 else 1 if share < 10 else 0
    return f"{share:.{digits}f} %"


def branches(run: Run[Any]) -> dict[tuple[int, ...], str]:
    """What each branch of a fork wrote behind the text before the fork, by the path of the branch (see Event)."""
    begins: dict[tuple[int, ...], int] = {}
    texts: dict[tuple[int, ...], str] = {}
    for event in run.trace:
        if event.branch:
            begin = event.span[0] - begins.setdefault(event.branch, event.span[0])
            texts[event.branch] = texts.get(event.branch, "")[:begin] + event.text
    return texts


def branch_name(path: tuple[int, ...]) -> str:
    """(0, 2, 1, 0) is "0.2 / 1.0": branch 2 of fork 0, and in it branch 0 of fork 1."""
    return " / ".join([f"{fork}.{branch}" for fork, branch in zip(path[::2], path[1::2], strict=True)])
