"""How hard a job tries: which errors are worth another attempt, and when."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Errors of the moment: the same document may well be answered the next time. All others come again.
TRANSIENT = {"BackendAnswer", "BackendUnreachable", "DeadlineExceeded", "EngineFault", "OutOfSlots", "QueueFull"}
FIRST_WAIT, MOST_WAIT = 0.5, 60.0  # seconds before the second attempt, four times as many before each further one


@dataclass(frozen=True)
class Trying:
    """retries    attempts after the first one, for errors of the moment
    timeout    seconds that a document may take, waiting for its turn included
    """

    retries: int = 2
    timeout: float | None = None

    def again(self, record: Mapping[str, Any], failures: int) -> bool:
        """Whether to try again after this record and as many failed attempts before it."""
        error = record["error"]
        return error is not None and error["type"] in TRANSIENT and failures < self.retries


TRYING = Trying()


def failures(attempts: str | None) -> list[dict[str, Any]]:
    """The failed attempts that a state notes."""
    return json.loads(attempts) if attempts else []


def note(record: Mapping[str, Any]) -> dict[str, Any]:
    """An attempt that failed."""
    error = record["error"]
    return {"type": error["type"], "message": error["message"], "at": round(time.time(), 3)}


def wait(failures: int) -> float:
    """Seconds until the next attempt after this many."""
    return float(min(FIRST_WAIT * 4.0 ** (failures - 1), MOST_WAIT))
