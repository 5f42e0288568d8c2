"""Places in the text of a grammar, as errors show them."""

from __future__ import annotations

SHOWN = 60  # characters of a line before and after the place


def line_and_column(source: str, at: int) -> str:
    return f"line {source.count(chr(10), 0, at) + 1}, column {at - source.rfind(chr(10), 0, at)}"


def offset(source: str, line: int, column: int) -> int:
    return min(len(source), sum(len(text) + 1 for text in source.split("\n")[: line - 1]) + column - 1)


def with_caret(message: str, source: str, at: int) -> str:
    """The message, and below it the line with a caret under the place."""
    start = max(source.rfind("\n", 0, at) + 1, at - SHOWN)
    line = source[start : at + SHOWN].split("\n")[0].expandtabs(1)
    return f"{message}\n    {line}\n    {' ' * (at - start)}^"
