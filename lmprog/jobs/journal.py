"""The output of a job on disk, so that a kill at any moment, or a full disk, loses nothing that was written.

    out.jsonl.partial   while the job runs: a header, then a line per finished record, `number TAB record`, in the order
                        in which they finish, each batch flushed to disk (fsync) before the next
    out.jsonl           only when the job is complete: the records in the order of the input, put in place by a rename
    out.jsonl.job       what the finished file was made from, and its figures

A line that a kill cut short is dropped on resume and its record done again. The header names the parts that the output
depends on; a resume with another schema, prompt, model, input or other settings is refused.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import JobError

KEY, VERSION = "lmprog job", 1
HEADER = f'{{"{KEY}": '.encode()  # how a header begins
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
Parts = Mapping[str, Any]


class Journal:
    """The partial output of one job, open and locked. `places` says which records are in it.

    Raises JobError from every method when the disk is full or the files belong to another job.
    """

    def __init__(self, out: Path, parts: Parts) -> None:
        self.out, self.parts = out, dict(parts)
        self.path = beside(out, "partial")
        self.places: dict[int, tuple[int, int]] = {}  # record number → offset and length of its JSON
        with self._typed(self.path):
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._lock()
            self._end = 0

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise JobError(f"another process is writing {self.path}") from None

    def begin(self) -> None:
        """Start anew: whatever the partial file holds is dropped."""
        with self._typed(self.path):
            os.ftruncate(self._file, 0)
            self.places, self._end = {}, 0
            self._append(_line({KEY: VERSION, "parts": self.parts}))
            _flush_folder(self.path.parent)

    def resume(self) -> None:
        """Take over the finished records; start anew when there are none. Raises JobError for another job's file."""
        with self._typed(self.path), open(self._file, "rb", closefd=False) as file:
            file.seek(0)
            header = file.readline()
            if header.endswith(b"\n"):
                check(self.path, self.parts, _loads(header))
                self._end = len(header)
                for line in file:
                    if not self._take(line):
                        break
                os.ftruncate(self._file, self._end)
            else:
                self.begin()

    def _take(self, line: bytes) -> bool:
        """Whether the line is whole."""
        number, tab, record = line.partition(b"\t")
        if not (tab and number.isdigit() and record.endswith(b"\n") and _loads(record) is not None):
            return False
        self.places[int(number)] = (self._end + len(number) + 1, len(record))
        self._end += len(line)
        return True

    def add(self, records: Iterable[tuple[int, dict[str, Any]]]) -> None:
        """Append finished records and flush them to disk."""
        data, places = b"", {}
        for number, record in records:
            prefix, line = f"{number}\t".encode(), _line(record)
            places[number] = (self._end + len(data) + len(prefix), len(line))
            data += prefix + line
        with self._typed(self.path):
            self._append(data)
        self.places |= places

    def _append(self, data: bytes) -> None:
        try:
            os.lseek(self._file, self._end, os.SEEK_SET)
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fsync(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._end)  # leave whole lines only
            raise
        self._end += len(data)

    def held(self) -> frozenset[int]:
        """The numbers of the records that are here."""
        return frozenset(self.places)

    def lines(self) -> Iterator[bytes]:
        """The records in the order of the input."""
        for _, (offset, length) in sorted(self.places.items()):
            yield os.pread(self._file, length, offset)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Put the output in place. A kill in between leaves the partial file, and the next resume finishes again."""
        digest = hashlib.sha256()

        def watched() -> Iterator[bytes]:
            for line in self.lines():
                digest.update(line)
                yield line

        whole = beside(self.out, "whole")
        with self._typed(whole):
            _write(whole, watched())
            job = {KEY: VERSION, "parts": self.parts, "output": digest.hexdigest(), "summary": summary}
            note = beside(self.out, "note")
            _write(note, [json.dumps(job, indent=2).encode() + b"\n"])
            note.rename(beside(self.out, "job"))
            whole.rename(self.out)
            _flush_folder(self.out.parent)
            self.drop()

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._file)

    @contextlib.contextmanager
    def _typed(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                room = f"no space left for {path}; what {self.path} holds is valid: make room and go on with --resume"
                raise JobError(room) from error
            raise JobError(f"cannot write {path}: {error.strerror}") from error

    @property
    def blank(self) -> bool:
        """Whether there is nothing to lose here: no file before, or a run that ended before its first record."""
        with self._typed(self.path):
            data = os.pread(self._file, 1 << 20, 0)
        return not data or (data.startswith(HEADER) and data.find(b"\n") in (-1, len(data) - 1))


def open_journal(out: Path, parts: Parts, *, resume: bool = False, overwrite: bool = False) -> Journal | None:
    """The journal of a job, ready to add to; None when the output is finished already.

    Raises JobError rather than touch the output, or the unfinished output, of another job or an earlier run, unless it
    was told to go on (`resume`) or to start anew (`overwrite`).
    """
    if out.is_dir():
        raise JobError(f"{out} is a folder: name the file to write")
    journal = Journal(out, parts)
    try:
        return _opened(journal, resume, overwrite)
    except BaseException:
        if journal.blank:
            journal.drop()
        journal.close()
        raise


def _opened(journal: Journal, resume: bool, overwrite: bool) -> Journal | None:
    out = journal.out
    if overwrite:
        journal.begin()
    elif finished(out, journal.parts):
        journal.drop()
        journal.close()
        return None
    elif resume and not journal.blank:
        journal.resume()
    elif not journal.blank:
        raise JobError(f"{journal.path} holds an unfinished run: --resume goes on with it, --overwrite starts anew")
    elif out.exists():
        raise JobError(f"{out} exists{_origin(out, journal.parts)}: --overwrite replaces it")
    else:
        journal.begin()
    return journal


def finished(out: Path, parts: Parts) -> bool:
    """Whether `out` is the whole output of this very job."""
    job = read_note(out)
    return job is not None and job.get("parts") == parts and out.is_file() and _digest(out) == job.get("output")


def read_note(out: Path) -> dict[str, Any] | None:
    """What stands beside a finished output; None when nothing does."""
    path = beside(out, "job")
    return _loads(path.read_bytes()) if path.is_file() else None


def _origin(out: Path, parts: Parts) -> str:
    job = read_note(out)
    if job is None or job.get("output") != _digest(out):
        return " and is no output of this job, or was changed since"
    return f" and was made with {_difference(parts, job)}"


def check(path: Path, parts: Parts, header: Any) -> None:
    """Raises JobError when the header is not that of a job with these parts."""
    if not isinstance(header, dict) or header.get(KEY) != VERSION:
        raise JobError(f"{path} is not the partial output of a job of this version: --overwrite replaces it")
    if header.get("parts") != parts:
        raise JobError(f"{path} was begun with {_difference(parts, header)}: --overwrite starts anew")


def _difference(parts: Parts, header: Mapping[str, Any]) -> str:
    theirs = header.get("parts", {})
    names = [name for name in {**parts, **theirs} if parts.get(name) != theirs.get(name)]
    return f"another {' and another '.join(names)}"


def beside(out: Path, suffix: str) -> Path:
    return out.with_name(f"{out.name}.{suffix}")


def _line(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # JSON can name lone surrogates, UTF-8 cannot
        return json.dumps(value).encode() + b"\n"


def _loads(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, lines: Iterable[bytes]) -> None:
    try:
        with path.open("wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
