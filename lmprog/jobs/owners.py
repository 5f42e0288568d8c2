"""Who works on a job, and whether they still live."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from .database import Database
from .errors import JobError

BEAT, EXPIRY = 5.0, 60.0  # seconds between two signs of life; seconds after which one without them counts as dead


@dataclass(frozen=True)
class Owner:
    """A worker as its row says it. `host` and `born` tell a process from a later one with the same number."""

    id: str
    host: str
    pid: int
    born: str
    expires: float

    @property
    def alive(self) -> bool:
        if self.host == host() and self.born != born(self.pid):
            return False
        return self.expires > time.time()


def myself() -> Owner:
    pid = os.getpid()
    return Owner(uuid.uuid4().hex, host(), pid, born(pid), time.time() + EXPIRY)


def host() -> str:
    """The machine and, where process numbers have name spaces (containers), which one."""
    with suppress(OSError):
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    return socket.gethostname()


def born(pid: int) -> str:
    """When the process began, in ticks of which boot; "" when there is none. Without /proc: only whether there is."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return "" if fields[0] in "ZX" else f"{boot} {fields[19]}"
        return ""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, 0)
        return "running"
    return ""


def enroll(db: Database, owner: Owner) -> None:
    """Within `write`: from now on the owner's leases hold."""
    db.execute(
        "INSERT INTO workers (id, host, pid, born, expires) VALUES (?, ?, ?, ?, ?)",
        (owner.id, owner.host, owner.pid, owner.born, time.time() + EXPIRY),
    )


def owners(db: Database) -> list[Owner]:
    return [Owner(*row) for row in db.rows("SELECT id, host, pid, born, expires FROM workers")]


class Heart(threading.Thread):
    """Gives signs of life for an owner, on a connection of its own."""

    def __init__(self, path: Path, owner: Owner) -> None:
        super().__init__(name="lmprog job heartbeat", daemon=True)
        self._path, self._owner = path, owner
        self._stopped = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stopped.wait(BEAT):
            with suppress(JobError):  # a missed beat matters only when many are missed
                self._beat()

    def _beat(self) -> None:
        with closing(Database(self._path, create=False)) as db, db.write(durable=False):
            alive = (time.time() + EXPIRY, self._owner.id)
            db.execute("UPDATE workers SET expires = ? WHERE id = ? AND expires > 0", alive)

    def stop(self) -> None:
        self._stopped.set()
