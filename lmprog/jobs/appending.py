"""An output that grows while a job watches its input: JSONL, in order, each piece on disk before the next.

The state notes how many records were written and where the file then ended. A kill between the two leaves lines behind
that end; they are cut off and written again.
"""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import BinaryIO

from .database import Database
from .errors import JobError
from .files import flush_folder, typed
from .outputs import output
from .outputs.jsonl import JSONL


class Appender:
    """Raises JobError for an output that is no JSONL file."""

    def __init__(self, out: Path | None, db: Database) -> None:
        if out is None or not isinstance(output(out), JSONL):
            raise JobError(f"the output of a watched input has to be a JSONL file, not {out}")
        self.out, self.db = out, db

    def append(self) -> None:
        """Bring the output up to the first record that is not done."""
        with self.db.write(), typed(self.out):
            written, size = self.db.get("written", 0), self.db.get("size", 0)
            there = self.out.stat().st_size if self.out.exists() else 0
            if there < size:
                raise JobError(f"{self.out} became shorter than this job wrote it")
            if there == size and not self._done(written):
                return
            with self.out.open("ab") as file:
                file.truncate(size)
                written += self._write(file, written)
                file.flush()
                os.fsync(file.fileno())
                self.db.set(written=written, size=file.seek(0, 2))
            if not size:
                flush_folder(self.out.parent)

    def _done(self, number: int) -> bool:
        return bool(self.db.rows("SELECT 1 FROM records WHERE number = ? AND result IS NOT NULL", number))

    def _write(self, file: BinaryIO, first: int) -> int:
        done = 0
        rows = self.db.each("SELECT number, result FROM records WHERE number >= ? ORDER BY number", first)
        for expected, (number, line) in zip(count(first), rows):
            if number != expected or line is None:
                break
            file.write(line)
            done += 1
        return done
