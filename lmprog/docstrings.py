"""What a docstring says of a function and its parameters: Google's, NumPy's and Sphinx's styles, or plain columns."""

from __future__ import annotations

import inspect
import re

SECTION = re.compile(r"^(?:Args|Arguments|Parameters|Params)\s*:?\s*\n(-{3,}\n)?", re.MULTILINE)
OTHER = re.compile(r"^(?:Returns?|Yields?|Raises|Examples?|Notes?|See Also|Attributes)\s*:?\s*$", re.MULTILINE)
SPHINX = re.compile(
    r"^:(?:param|parameter|arg)\s+(?:[^:\n]*?\s)?(\w+):[ \t]*((?:.*\n?)(?:(?:[ \t]+\S.*)\n?)*)", re.MULTILINE
)
FIELD = re.compile(r"^:\w+[^:\n]*:", re.MULTILINE)


def read_docstring(doc: str | None, parameters: list[str]) -> tuple[str, dict[str, str]]:
    """The description of the function, and of those of its parameters that have one."""
    text = inspect.cleandoc(doc or "")
    begin = SECTION.search(text)
    if begin is not None:
        end = OTHER.search(text, begin.end())
        body = text[begin.end() : end.start() if end else len(text)]
        return text[: begin.start()].strip(), _entries(body, parameters)
    fields = FIELD.search(text)
    if fields is not None:
        found = {name: _joined(about) for name, about in SPHINX.findall(text) if name in parameters}
        return text[: fields.start()].strip(), found
    head = text[: other.start()] if (other := OTHER.search(text)) else text
    return _without_columns(head, parameters).strip(), _entries(head, parameters)


def _entries(body: str, parameters: list[str]) -> dict[str, str]:
    """`name: about`, `name (type): about`, `name : type` with the rest below, or `name   about`."""
    out: dict[str, str] = {}
    current, depth = "", 0
    for line in body.splitlines():
        indent = len(line) - len(line.lstrip())
        entry = _entry(line.strip(), parameters) if not current or indent <= depth else None
        if entry is not None:
            current, depth = entry[0], indent
            out[current] = entry[1]
        elif current and line.strip() and indent > depth:
            out[current] += f" {line.strip()}"
        elif line.strip():
            current = ""
    return {name: about.strip() for name, about in out.items() if about.strip()}


def _entry(line: str, parameters: list[str]) -> tuple[str, str] | None:
    match = re.match(r"\*{0,2}(\w+)(?:\s*\([^)]*\)\s*:(.*)|\s+:\s(.*)|:(.*)|\s{2,}(.*)|()$)", line)
    if match is None or match[1] not in parameters:
        return None
    numpy_type = match[3] is not None
    return match[1], "" if numpy_type else next((g for g in match.groups()[1:] if g), "")


def _without_columns(text: str, parameters: list[str]) -> str:
    lines = text.splitlines()
    at = next((i for i, line in enumerate(lines) if _column(line, parameters)), len(lines))
    return "\n".join(lines[:at])


def _column(line: str, parameters: list[str]) -> bool:
    match = re.match(r"(\w+)(?::\s|\s{2,})\S", line)
    return match is not None and match[1] in parameters


def _joined(text: str) -> str:
    return " ".join(text.split())
