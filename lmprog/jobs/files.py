"""Files that are whole or not there at all, also after a kill or a power cut."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .errors import JobError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def beside(out: Path, suffix: str) -> Path:
    return out.with_name(f"{out.name}.{suffix}")


def put_in_place(path: Path, lines: Iterable[bytes]) -> str:
    """Write `lines` to `path`: to another file first, flushed to disk, then renamed. Gives the SHA-256.

    Raises JobError; `path` is then what it was.
    """
    whole, digest = beside(path, "whole"), hashlib.sha256()

    def watched() -> Iterator[bytes]:
        for line in lines:
            digest.update(line)
            yield line

    with typed(whole):
        _write(whole, watched())
        whole.rename(path)
        flush_folder(path.parent)
    return digest.hexdigest()


def _write(path: Path, lines: Iterable[bytes]) -> None:
    try:
        with path.open("wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def typed(path: Path) -> Iterator[None]:
    """Errors of the operating system as JobError."""
    try:
        yield
    except OSError as error:
        raise (full(path) if error.errno in FULL else JobError(f"cannot write {path}: {error.strerror}")) from error


def full(path: Path) -> JobError:
    return JobError(f"no space left for {path}; all that was done before is kept: make room and go on with --resume")


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_line(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # JSON can name lone surrogates, UTF-8 cannot
        return json.dumps(value).encode() + b"\n"
