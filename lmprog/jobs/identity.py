"""What makes a model the same model when a job is resumed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..runtime.load import find

EDGE = (
    1 << 16
)  # bytes at both ends of a weight file: the header, which names and sizes all tensors, and the last values
KINDS = {".json", ".safetensors", ".model", ".jinja"}


def identity(path: str | Path | None) -> str:
    """A digest of the files that `lp.load(path)` would read: quick (weights are sampled), and the same for a copy.

    Raises ModelNotFound as `lp.load` does.
    """
    folder, name = find(path)
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.suffix in KINDS and file.name != "manifest.json":
            digest.update(f"{file.name} {file.stat().st_size}".encode() + _sample(file))
    return f"{name} {digest.hexdigest()[:16]}"


def _sample(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(EDGE)
        file.seek(max(len(head), path.stat().st_size - EDGE))
        return head + file.read()
