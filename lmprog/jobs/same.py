"""When a value of an answer is the same as that of the truth."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Literal

NUMBER = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?")


@dataclass(frozen=True)
class Same:
    """When two values are the same.

    text       "exact", or "loose": letter case, width, blanks and punctuation at the ends do not count, and a text that
               is a number ("1,200") is one
    absolute   how far a number may be from the true one
    relative   the same as a share of the true one; the greater of both counts
    """

    text: Literal["exact", "loose"] = "exact"
    absolute: float = 0.0
    relative: float = 0.0

    @property
    def tolerant(self) -> bool:
        return bool(self.absolute or self.relative)

    def number(self, value: Any) -> float:
        """The value as a number, NaN when it is none."""
        if self.text == "loose" and isinstance(value, str) and NUMBER.fullmatch(value.strip()):
            value = float(value.replace(",", ""))
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan

    def key(self, value: Any) -> str:
        """Equal for values that are the same, tolerances aside."""
        number = self.number(value)
        if not math.isnan(number):
            return repr(number)
        if isinstance(value, str):
            return f"text {self.name(value)}"
        return json.dumps(value, sort_keys=True)

    def name(self, text: str) -> str:
        if self.text == "exact":
            return text
        return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(" .,;:!?\"'()[]")
