"""What of a draft is its answer: in prose, in a code fence, or all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date

from .holes import Hole

FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
VALUE = re.compile(r"[-+]?\w+(?:[-.,:]\w+)*")
OPENS = re.compile(r"[\[{]")
BETWEEN = re.compile(
    r'"(?:[^"\\]|\\.)*"?|(?:(?<!\s)\s++)?([\[\]{}:,])\s*', re.DOTALL
)  # strings; brackets and their blanks
COMPACT = (",", ":")


def sketch_of(draft: str, hole: Hole) -> str:
    """The part of `draft` that is a value of `hole`: the draft itself, one of its code blocks, the first JSON value, or
    for choices, numbers and dates the first word or option, in this order. If none is a value, the part that is meant
    to be one: a code block, from the first bracket to the last, or all of it.

    JSON, also broken, is taken without the whitespace between its parts, of which a hole's values have none.
    """
    found = [tight for part in _parts(draft, hole) for tight in _spellings(part, hole)]
    return next(filter(hole.matches, found), None) or _spellings(_meant(draft, hole), hole)[-1]


def _parts(draft: str, hole: Hole) -> Iterator[str]:
    yield draft
    yield draft.strip()
    for block in FENCE.findall(draft):
        yield block.strip()
    if hole.json:
        yield from _json_parts(draft)
    if hole.options is not None:
        yield from _options(draft, hole.options)
    elif hole.type in (int, float, date):
        yield from VALUE.findall(draft)


def _json_parts(draft: str) -> Iterator[str]:
    """Every JSON object or array that is not part of another."""
    decoder, end = json.JSONDecoder(), 0
    for opening in OPENS.finditer(draft):
        if opening.start() < end:
            continue
        try:
            _, end = decoder.raw_decode(draft, opening.start())
        except (ValueError, RecursionError):
            continue
        yield draft[opening.start() : end]


def _options(draft: str, options: tuple[str, ...]) -> list[str]:
    """The options that stand in the draft as words of their own, the first and there the longest first."""
    found = [(at.start(), -len(text), text) for text in options if (at := _word(text).search(draft))]
    return [text for _, _, text in sorted(found)]


def _word(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")


def _meant(draft: str, hole: Hole) -> str:
    blocks = FENCE.findall(draft)
    if blocks:
        return str(blocks[0]).strip()
    opening = OPENS.search(draft) if hole.json else None
    if opening is None:
        return draft.strip()
    end = max(draft.rfind("}"), draft.rfind("]")) + 1
    return draft[opening.start() : end if end > opening.start() else len(draft)].strip()


def _spellings(part: str, hole: Hole) -> list[str]:
    """As it is and, of JSON, without whitespace."""
    if not hole.json:
        return [part]
    try:
        value = json.loads(part)
        return [part, json.dumps(value, separators=COMPACT, ensure_ascii=False)]
    except (ValueError, RecursionError):
        return [part, BETWEEN.sub(_tight, part) if OPENS.match(part) else part]


def _tight(found: re.Match[str]) -> str:
    return found[0] if found[1] is None else found[1]
