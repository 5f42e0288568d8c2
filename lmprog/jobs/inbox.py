"""A folder or a growing JSONL file that a job watches.

Documents get their numbers in the order in which they are found; the state notes which is which (`places`), so that
several processes and later runs agree. A file counts when it has not changed for a second, a line when it has its end.
What was found once is not read again when it changes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from .database import Database
from .documents import Document, Fields, Row, Source
from .errors import JobError
from .inputs.files import from_file, walk
from .inputs.lines import from_line

SETTLED = 1.0  # seconds without a change after which a file is taken to be whole


class Inbox:
    """Raises JobError when there is neither a folder nor a JSONL file at `path`."""

    def __init__(self, path: Path, fields: Fields) -> None:
        if not path.is_dir() and not (path.is_file() and path.suffix in (".jsonl", ".ndjson")):
            raise JobError(f"only a folder or a JSONL file can be watched, and {path} is neither")
        self.path, self.fields = path, fields
        self.db: Database | None = None

    def source(self) -> Source:
        """What was found, in order, once `db` is there."""
        return Source(str(self.path), self._rows, 0, f"all that comes to {self.path.resolve()}", fields=self.fields)

    def _rows(self) -> Iterator[Row]:
        if self.db is not None:
            for (place,) in self.db.each("SELECT place FROM places ORDER BY number"):
                yield self.row(place)

    def row(self, place: str) -> Row:
        """The document at a place, not read yet."""
        if self.path.is_dir():
            return from_file(self.path / place, place)
        return partial(self._line, *map(int, place.split()))

    def _line(self, n: int, offset: int) -> Document:
        with self.path.open("rb") as file:
            file.seek(offset)
            line = file.readline()
        return from_line(line, n, str(self.path), self.fields, json.loads)

    def look(self, db: Database) -> int:
        """Note what is new; how much there is in all."""
        find = self._files if self.path.is_dir() else self._lines
        if next(find(db), None) is not None:
            with db.write(durable=False):  # nothing depends on it before a result does, whose commit is durable
                (total,) = db.rows("SELECT count(*) FROM places")[0]
                for place in list(find(db)):
                    db.execute("INSERT INTO places VALUES (?, ?)", (total, place))
                    total += 1
                db.set(total=total)
        return int(db.get("total", 0))

    def _files(self, db: Database) -> Iterator[str]:
        for path in walk(self.path):
            name = path.relative_to(self.path).as_posix()
            if not db.rows("SELECT 1 FROM places WHERE place = ?", name) and _settled(path):
                yield name

    def _lines(self, db: Database) -> Iterator[str]:
        last = db.rows("SELECT place FROM places ORDER BY number DESC LIMIT 1")
        n, offset = map(int, last[0][0].split()) if last else (0, 0)
        with self.path.open("rb") as file:
            if file.seek(0, 2) < offset:
                raise JobError(f"{self.path} became shorter while it was watched")
            file.seek(offset)
            if last:
                offset += len(file.readline())
            for line in file:
                n += 1
                if line.endswith(b"\n") and line.strip():
                    yield f"{n} {offset}"
                offset += len(line)


def _settled(path: Path) -> bool:
    try:
        return path.stat().st_mtime < time.time() - SETTLED
    except FileNotFoundError:
        return False
