"""Folders that are expensive to make, made once per machine and never left half made.

A folder is built beside its place under a temporary name, its manifest is written last, everything is flushed to disk,
and one rename puts it in place. Whoever needs the same folder meanwhile waits for a lock that the system itself drops
when its holder dies, so that a kill at any moment leaves at worst a temporary folder, which the next builder removes.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .load_errors import CacheError

MANIFEST = "manifest.json"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def cache_root() -> Path:
    """`$LMPROG_CACHE`, else `$XDG_CACHE_HOME/lmprog`, else `~/.cache/lmprog`. Raises CacheError without a home."""
    own, base = os.environ.get("LMPROG_CACHE"), os.environ.get("XDG_CACHE_HOME")
    try:
        if own:
            return Path(own).expanduser().absolute()
        return (Path(base) if base and Path(base).is_absolute() else Path("~/.cache").expanduser()) / "lmprog"
    except RuntimeError as error:
        raise CacheError("This user has no home folder: set LMPROG_CACHE to a folder for converted models.") from error


def cached_folder(
    target: Path, build: Callable[[Path], None], needed: int, say: Callable[[str], None] = lambda text: None
) -> Path:
    """`target`, intact; when it is absent or damaged, `build(folder)` makes it first, in about `needed` bytes.

    Raises:
        CacheError: no space (the message says how much is needed and where), or the place cannot be written.
    """
    if intact(target):
        return target
    with _typed(target, needed):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target, say):
            if not intact(target):  # nobody finished it while we waited
                _replace(target, build, needed)
    return target


def intact(folder: Path) -> bool:
    """Whether every file is as the manifest says: size and time of writing, or else the content itself."""
    try:
        entries: dict[str, Any] = json.loads((folder / MANIFEST).read_text())["files"]
        stats = {name: (folder / name).stat() for name in entries}
        if any(stats[name].st_size != entry["size"] for name, entry in entries.items()):
            return False
        touched = [name for name, entry in entries.items() if stats[name].st_mtime_ns != entry["mtime_ns"]]
        return all(_digest(folder / name) == entries[name]["blake2b"] for name in touched)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _replace(target: Path, build: Callable[[Path], None], needed: int) -> None:
    _remove_leftovers(target)  # of a killed builder: we hold the lock, so nobody is at work in them
    if os.path.lexists(target):
        target.rename(_beside(target))  # damaged; readers that have it open keep it
        _remove_leftovers(target)
    if shutil.disk_usage(target.parent).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    folder = _beside(target)
    try:
        folder.mkdir()
        build(folder)
        _seal(folder)
        folder.rename(target)
        _flush(target.parent)
    finally:
        _remove_leftovers(target)


def _beside(target: Path) -> Path:
    return target.with_name(f"{target.name}.tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}")


def _remove_leftovers(target: Path) -> None:
    for path in target.parent.glob(f"{target.name}.tmp-*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _seal(folder: Path) -> None:
    """Flushes every file to disk and writes the manifest, the mark of a complete folder, last."""
    entries = {}
    for path in sorted(folder.iterdir()):
        _flush(path)
        stat = path.stat()
        entries[path.name] = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "blake2b": _digest(path)}
    (folder / MANIFEST).write_text(json.dumps({"files": entries}, indent=2) + "\n")
    _flush(folder / MANIFEST)
    _flush(folder)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.blake2b).hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _locked(target: Path, say: Callable[[str], None]) -> Iterator[None]:
    with target.with_name(f"{target.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that is making {target}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _typed(target: Path, needed: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            why = f"it needs {needed / 1e9:.2f} GB in {target.parent}, where {_free(target.parent)} are free"
        else:
            why = f"{target.parent}: {error}"
        raise CacheError(
            f"Cannot make {target.name}: {why}. Make room, or set LMPROG_CACHE to another folder."
        ) from error


def _free(folder: Path) -> str:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return f"{shutil.disk_usage(there).free / 1e9:.2f} GB"
