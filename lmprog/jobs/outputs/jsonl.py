"""A file of one record a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..files import file_digest, put_in_place
from . import Lines


class JSONL:
    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        return self.path.exists()

    def write(self, lines: Lines, schema: Any) -> str:
        return put_in_place(self.path, lines())

    def mark(self) -> str:
        return file_digest(self.path)
