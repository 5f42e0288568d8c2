"""The durable state of a job, from the first record to the output in its place.

    out.jsonl.state   an SQLite database (see `database.py`): which records are done, and what they are. Beside it lie
                      out.jsonl.state-wal and -shm while somebody has it open, or was killed; they belong to it
    out.jsonl         only when the job is complete: the records in the order of the input, put in place by a rename

Several processes may work on one job. Each claims records by leases, a window of them at a time, and gives signs of
life; the leases of one that is gone are free at once, of one that hangs after a minute. A record's result is accepted
once, whoever brings it. The one that finds all records done writes the output.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .database import Database, Locked, lines
from .errors import JobCancelled
from .files import beside, flush_folder, json_line, typed
from .outputs import output
from .owners import Heart, enroll, myself, owners
from .trying import TRYING, Trying, failures, note, wait

WINDOW = 32  # records that are claimed at a time
Numbered = tuple[int, dict[str, Any]]
POLL = 0.1  # seconds between two looks at what other workers do
Parts = Mapping[str, Any]


class State:
    """The state of one job, open, with this worker enrolled. Every method raises JobError when the disk is full.

    out    the output; None: nothing on disk
    total  records of the input
    """

    def __init__(self, out: Path | None, total: int) -> None:
        self.out, self.total = out, total
        self.path = out and state_path(out)
        self.db = _database(self.path)
        self.owner = myself()
        self._heart: Heart | None = None

    def join(self) -> None:
        """Within `db.write`: become one of the workers."""
        enroll(self.db, self.owner)

    def beat(self) -> None:
        """Give signs of life from now on, until `close`."""
        if self.path is not None:
            self._heart = Heart(self.path, self.owner)

    def begin(self, parts: Parts, **also: Any) -> None:
        """Within `db.write`: start anew; all that is here is dropped."""
        self.db.clear()
        self.db.set(parts=parts, total=self.total, stage="running", begun=time.time(), **also)

    @property
    def blank(self) -> bool:
        """Whether no record is done, or was tried."""
        return not self.counts()[0] and not self.db.rows("SELECT 1 FROM records WHERE attempts IS NOT NULL LIMIT 1")

    @property
    def others(self) -> bool:
        """Whether other workers live."""
        return any(owner.alive for owner in owners(self.db) if owner.id != self.owner.id)

    @property
    def finished(self) -> bool:
        """Whether the output was put in place."""
        return bool(self.db.get("stage") == "finished")

    @property
    def complete(self) -> bool:
        """Whether all records are done."""
        return self.counts()[0] >= self.total

    def counts(self) -> tuple[int, int]:
        """Records that are done, and how many of them failed."""
        done = dict(self.db.rows("SELECT outcome, n FROM tally"))
        return sum(done.values()), sum(n for outcome, n in done.items() if outcome)

    def claims(self, among: Callable[[int], bool] = lambda number: True) -> Callable[[int], bool]:
        """Says of one record after the other whether this worker is to do it, and claims them in windows: those `among`
        which it chooses."""
        window, mine = range(0), frozenset[int]()

        def wants(number: int) -> bool:
            nonlocal window, mine
            if number not in window and among(number):
                window = range(number, min(number + WINDOW, self.total))
                mine = frozenset(self._claim([n for n in window if among(n)]))
            return number in mine

        return wants

    def take(self, most: int) -> Collection[int]:
        """Claim the first records that are free."""
        (begun,) = self.db.rows("SELECT ifnull(max(number) + 1, 0) FROM records")[0]
        rows = self.db.rows("SELECT number FROM records WHERE state IN ('leased', 'waiting') ORDER BY number")
        old = self._free([number for (number,) in rows]) if rows else []
        wanted = [*old, *range(begun, min(begun + most, self.total))][:most]
        return self._claim(wanted) if wanted else ()

    def _claim(self, wanted: Collection[int]) -> Collection[int]:
        if not self._free(wanted):
            return ()
        with self.db.write(durable=False):
            self._stop_if_cancelled()
            free = self._free(wanted)
            for number in free:
                self.db.execute(
                    "INSERT INTO records (number, state, owner) VALUES (?, 'leased', ?)"
                    " ON CONFLICT (number) DO UPDATE SET state = 'leased', owner = excluded.owner",
                    (number, self.owner.id),
                )
        return free

    def _free(self, wanted: Collection[int]) -> list[int]:
        query = "SELECT number, state, owner, ready FROM records WHERE number >= ? AND number <= ?"
        rows, alive, now = self.db.rows(query, min(wanted), max(wanted)), self._alive(), time.time()
        taken = {number for number, *lease in rows if not _is_free(lease, alive, now)}
        return [number for number in wanted if number not in taken]

    def _alive(self) -> set[str]:
        return {owner.id for owner in owners(self.db) if owner.alive}

    def more(self) -> bool:
        """Wait until there is a record to do. False when all are done."""
        while not self.complete:
            if self.ready():
                return True
            time.sleep(POLL)
        return False

    def ready(self) -> bool:
        """Whether there is a record that nobody does or has done."""
        self._stop_if_cancelled()
        (begun,) = self.db.rows("SELECT count(*) FROM records")[0]
        rows = self.db.rows("SELECT DISTINCT state, owner, ready FROM records WHERE state IN ('leased', 'waiting')")
        alive, now = self._alive(), time.time()
        return begun < self.total or any(_is_free(lease, alive, now) for lease in rows)

    def add(
        self, records: Iterable[Numbered], figures: Mapping[str, Any] | None = None, trying: Trying = TRYING
    ) -> int:
        """Keep finished records, on disk when this returns. How many of them nobody had brought before.

        A record whose error may not come again is not kept, but waits for its next attempt.

        figures    what this worker has used so far, for all to see
        """
        with self.db.write():
            accepted = sum([self._accept(number, record, trying) for number, record in records])
            self.db.execute("UPDATE workers SET figures = ? WHERE id = ?", (json.dumps(figures), self.owner.id))
        self._stop_if_cancelled()
        return accepted

    def _accept(self, number: int, record: dict[str, Any], trying: Trying) -> bool:
        open_ = "number = ? AND state IN ('leased', 'waiting')"
        rows = self.db.rows(f"SELECT attempts FROM records WHERE {open_}", number)
        if not rows:
            return False
        before = failures(rows[0][0])
        if trying.again(record, len(before)):
            attempts = [*before, note(record)]
            values = (time.time() + wait(len(attempts)), json.dumps(attempts), number)
            query = f"UPDATE records SET state = 'waiting', owner = NULL, ready = ?, attempts = ? WHERE {open_}"
            self.db.execute(query, values)
            return False
        outcome = (record["error"] or {}).get("type", "")
        result = json_line({**record, "attempts": len(before) + 1} if before else record)
        query = f"UPDATE records SET state = ?, owner = NULL, result = ? WHERE {open_}"
        self.db.execute(query, ("failed" if outcome else "done", result, number))
        self.db.execute("INSERT INTO tally VALUES (?, 1) ON CONFLICT (outcome) DO UPDATE SET n = n + 1", (outcome,))
        return True

    def _stop_if_cancelled(self) -> None:
        if self.db.get("cancelled"):
            raise JobCancelled(f"the job was cancelled; {self.counts()[0]} of {self.total} records are kept")

    def lines(self) -> Iterator[bytes]:
        """The records that are done, in the order of the input."""
        return lines(self.db)

    def finish(self, summary: Mapping[str, Any], before: Callable[[], None] = lambda: None) -> None:
        """Put the output in place, unless another worker does. A kill in between: the next resume finishes again.

        before    puts in place what else there is, alone among all workers
        """
        while not self.finished:
            try:
                with self.db.write():  # all others wait, and see the end of it
                    if not self.finished:
                        before()
                        self.db.set(stage="finished", summary=summary, output=self._output())
            except Locked:
                continue

    def _output(self) -> str | None:
        return None if self.out is None else output(self.out).write(self.lines, self.db.get("schema"))

    def intact(self) -> bool:
        """Whether the output is what was put in place."""
        return self.out is not None and output(self.out).mark() == self.db.get("output")

    def close(self) -> None:
        """Give back what is not done."""
        if self._heart is not None:
            self._heart.stop()
        try:
            with self.db.write(durable=False):
                leave = (
                    "UPDATE records SET state = 'waiting', owner = NULL, ready = 0 WHERE state = 'leased' AND owner = ?"
                )
                self.db.execute(leave, (self.owner.id,))
                self.db.execute("UPDATE workers SET expires = 0 WHERE id = ?", (self.owner.id,))
        finally:
            self.db.close()


def _is_free(lease: Iterable[Any], alive: Collection[str], now: float) -> bool:
    state, owner, ready = lease
    return (state == "leased" and owner not in alive) or (state == "waiting" and (ready or 0) <= now)


def state_path(out: Path) -> Path:
    return beside(out, "state")


def _database(path: Path | None) -> Database:
    if path is None:
        return Database(None)
    with typed(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        db = Database(path)
        if new:
            flush_folder(path.parent)
    return db
