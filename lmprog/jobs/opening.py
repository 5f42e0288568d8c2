"""Opening the state of a job: begin, go on, join, find it finished, or refuse."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .database import Foreign
from .errors import JobError
from .files import beside
from .outputs import output
from .registry import register
from .state import Parts, State, state_path


def open_state(
    out: Path,
    parts: Parts,
    total: int,
    *,
    resume: bool = False,
    overwrite: bool = False,
    about: Mapping[str, Any] | None = None,
) -> State:
    """The state of a job, ready to work on, or `finished`. `about` is what else to note when it begins.

    Raises JobError rather than touch the output, or the unfinished output, of another job or an earlier run, unless it
    was told to go on (`resume`) or to start anew (`overwrite`).
    """
    if out.is_dir():
        raise JobError(f"{out} is a folder: name the file to write")
    if not overwrite and not state_path(out).exists() and output(out).exists():
        raise JobError(f"{out} exists and is no output of this job: --overwrite replaces it")
    state = _opened(out, total, overwrite)
    try:
        with state.db.write():
            _settle(state, out, parts, resume, overwrite, about or {})
            state.join()
    except BaseException:
        state.db.close()
        raise
    state.beat()
    register(state_path(out))
    return state


def _opened(out: Path, total: int, overwrite: bool) -> State:
    try:
        return State(out, total)
    except Foreign:
        if not overwrite:
            raise
    for suffix in ("state", "state-wal", "state-shm"):
        beside(out, suffix).unlink(missing_ok=True)
    return State(out, total)


def _settle(state: State, out: Path, parts: Parts, resume: bool, overwrite: bool, about: Mapping[str, Any]) -> None:
    """Begin, go on, or refuse to."""
    others, blank = state.others, state.blank
    if overwrite or (blank and not others and state.db.get("stage") != "finished"):
        if others:
            raise JobError(f"another process works on {state.path}: --resume joins it")
        if not overwrite and output(out).exists():
            raise JobError(f"{out} exists and is no output of this job: --overwrite replaces it")
        state.begin(parts, **about)
    elif state.finished and output(out).exists():
        _check_finished(state, out, parts)
    elif others and not resume:
        raise JobError(f"another process works on {state.path}: --resume joins it")
    elif not (resume or state.finished):
        raise JobError(f"{state.path} holds an unfinished run: --resume goes on with it, --overwrite starts anew")
    else:
        check(state, parts)
        state.db.set(stage="running", cancelled=False)


def _check_finished(state: State, out: Path, parts: Parts) -> None:
    if not state.intact():
        raise JobError(f"{out} exists and was changed since this job wrote it: --overwrite replaces it")
    if other := _difference(state, parts):
        raise JobError(f"{out} exists and was made with {other}: --overwrite replaces it")


def check(state: State, parts: Parts) -> None:
    """Raises JobError when the state is not that of a job with these parts."""
    if other := _difference(state, parts):
        raise JobError(f"{state.path} was begun with {other}: --overwrite starts anew")


def _difference(state: State, parts: Parts) -> str:
    theirs = state.db.get("parts", {})
    names = [name for name in {**parts, **theirs} if parts.get(name) != theirs.get(name)]
    return f"another {' and another '.join(names)}" if names else ""
