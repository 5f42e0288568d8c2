"""Which jobs there are: a file for each in the user's state folder, which says where the state of the job lies.

It serves `lmprog jobs`; a job itself needs only its state.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from .errors import JobError
from .state import state_path


def folder() -> Path:
    """$XDG_STATE_HOME/lmprog/jobs, by default below ~/.local/state."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "lmprog" / "jobs"


def job_id(state: Path) -> str:
    """The name of a job: that of its output, and a few digits of where it lies."""
    place = state.resolve()
    return f"{place.name.split('.')[0]}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:4]}"


def register(state: Path) -> str:
    """Note a job; gives its id. A folder that cannot be written to does not stop it."""
    name = job_id(state)
    with suppress(OSError):
        folder().mkdir(parents=True, exist_ok=True)
        (folder() / name).write_text(f"{state.resolve()}\n", encoding="utf-8", errors="surrogateescape")
    return name


def entries() -> dict[str, Path]:
    """The states of the jobs that were noted, by id, the oldest first. Some may be gone."""
    if not folder().is_dir():
        return {}
    files = sorted((file for file in folder().iterdir() if file.is_file()), key=lambda file: file.stat().st_mtime_ns)
    return {file.name: Path(file.read_text("utf-8", "surrogateescape").removesuffix("\n")) for file in files}


def forget(name: str) -> None:
    (folder() / name).unlink(missing_ok=True)


def find(name: str) -> Path:
    """The state of the job with this id (its name or its beginning are enough), this output or this state file.

    Raises JobError when there is none, or more than one.
    """
    for path in (state_path(Path(name)), Path(name)):
        if path.is_file() and path.name.endswith(".state"):
            return path.resolve()
    known = entries()
    found = [known[name]] if name in known else []
    found = found or [path for key, path in known.items() if key.rpartition("-")[0] == name]
    found = found or [path for key, path in known.items() if key.startswith(name)]
    if len(found) > 1:
        raise JobError(f"{name!r} begins the names of {len(found)} jobs: say more of it")
    if not found or not found[0].is_file():
        raise JobError(f"there is no job {name!r}: lmprog jobs list shows them; an output's path will do, too")
    return found[0]
