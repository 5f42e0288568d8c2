"""Text of a model made harmless to look at: nothing in it steers a terminal or turns a line around."""

from __future__ import annotations

import re

_PICTURES = {c: 0x2400 + c for c in range(0x20) if chr(c) not in "\n\t"} | {0x7F: 0x2421}
_HIDDEN = dict.fromkeys([*range(128, 160), 1564, 8203, 8206, 8207], "�")
_TURNING = dict.fromkeys([*range(8232, 8239), *range(8288, 8304), 65279], "�")
_TABLE = _PICTURES | _HIDDEN | _TURNING
_LONE = re.compile("[\ud800-\udfff]")
_BREAKS = {ord("\n"): "⏎", ord("\t"): "⇥"}


def visible(text: str) -> str:
    """`text` with a visible character in the place of each control character, line breaks and tabs aside.

    Its length stays the same, so offsets into the text hold. Also replaced: what has no width or changes the direction
    of writing (U+202E and its like), and lone surrogates.
    """
    return _LONE.sub("\N{REPLACEMENT CHARACTER}", text.translate(_TABLE))


def inline(text: str) -> str:
    """`visible` for a single line."""
    return visible(text).translate(_BREAKS)


def token_text(data: bytes, limit: int = 24) -> str:
    """A token's bytes in a line: its text with the blanks at its ends as ␣, or the bytes in hexadecimal where they are
    no text."""
    if not data:
        return "‹special›"
    try:
        text = inline(data.decode())
        core = text.strip(" ")
        before = len(text) - len(text.lstrip(" "))
        text = "␣" * before + core + "␣" * (len(text) - before - len(core))
    except UnicodeDecodeError:
        text = f"‹{data.hex(' ')}›"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
