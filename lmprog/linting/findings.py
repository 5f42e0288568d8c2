"""What a lint finds, and how a line is silenced."""

from __future__ import annotations

import linecache
import re
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import ProgramError

RULES = {
    "LM01": "a value can contain the text that is to end it",
    "LM02": "an option begins another, and nothing tells them apart",
    "LM03": "two holes with nothing between them",
    "LM04": "a hole that leaves no choice",
    "LM05": "a hole or part that is refused",
    "LM10": "the prompt, with the room for its holes, is longer than the context",
    "LM11": "a hole that nothing ends",
    "LM20": "fixed text behind text that changes",
    "LM21": "the same text again and again",
    "LM30": "a named capture that nobody reads",
    "LM31": "a name of two holes",
    "LM32": "a value that is never used",
    "LM33": "a hole inside of a string",
    "LM40": "a condition in Python that could be a mask",
    "LM41": "a space before a hole that keeps its tokens",
    "LM42": "settings of a decoder that contradict one another",
    "LM50": "the score depends on the format",
}
IGNORE = re.compile(r"lmprog:\s*ignore(?:\[([^\]]*)\])?")


@dataclass(frozen=True)
class Finding:
    """`line` and `column` count from 1 (in a template there are no columns: 1); `file` is as Python names it."""

    code: str
    line: int
    column: int
    message: str
    advice: str
    file: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.code} {self.message}\n    {self.advice}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def silenced(self) -> bool:
        """Its line says `lmprog: ignore`, or `lmprog: ignore[LM01, LM03]` with its code."""
        found = IGNORE.search(linecache.getline(self.file, self.line))
        return found is not None and (found[1] is None or self.code in re.split(r"[\s,]+", found[1]))


def wanted(findings: Iterable[Finding], select: Collection[str] | None, ignore: Collection[str]) -> list[Finding]:
    """Those to be shown, each once, in the order of the files. Raises ProgramError for codes that there are not."""
    chosen = _codes(RULES if select is None else select) - _codes(ignore)
    found = {finding for finding in findings if finding.code in chosen and not finding.silenced}
    return sorted(
        found, key=lambda finding: (finding.file, finding.line, finding.column, finding.code, finding.message)
    )


def _codes(given: Collection[str]) -> set[str]:
    """Codes, or beginnings of codes: "LM2" is LM20 and LM21."""
    found = set()
    for part in given:
        some = {code for code in RULES if part and code.startswith(part)}
        if not some:
            raise ProgramError(f"there is no rule {part!r}; there are {', '.join(RULES)}")
        found |= some
    return found
