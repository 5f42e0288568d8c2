"""Where a model comes from, so that results can be kept: what decides its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

Stamp = tuple[str, int, int, int, int, int]  # of a file: name, size, times of writing and of change, inode, device


@dataclass(frozen=True)
class Origin:
    """settings   what decides what the model gives, beside the files
    folder     of its files; None: it has none
    stamps     the files as they were before they were read
    """

    settings: tuple[Any, ...]
    folder: Path | None = None
    stamps: tuple[Stamp, ...] = ()


def stamps(folder: Path) -> tuple[Stamp, ...]:
    """Of the files in a folder, links followed. The time of change cannot be set back, unlike that of writing."""
    found = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
    return tuple([(name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev) for name, s in found])
