"""How documents are read, beyond the schema and the prompt."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Reading:
    """confidence   write down how probable each value is
    evidence     also look up where values stand in the text
    """

    confidence: bool = False
    evidence: bool = False

    def parts(self) -> dict[str, Any]:
        """What differs from plain reading; the output depends on it."""
        plain = asdict(PLAIN)
        return {name: value for name, value in asdict(self).items() if value != plain[name]}


PLAIN = Reading()
