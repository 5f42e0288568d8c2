"""Reads GGUF, the model format of llama.cpp, from one file or from the pieces of one.

Why not `gguf.GGUFReader`: it makes a NumPy view of every string, which takes 14 s for a vocabulary of 262,144 tokens
(0.5 s here), and it needs one file, while packages bring pieces. Dequantisation itself is `gguf.quants`.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SCALARS = {0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8"}
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)


class Pieces(io.RawIOBase):
    """Consecutive pieces of a file, read as one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [path.open("rb", buffering=0) for path in paths]
        self._sizes = [path.stat().st_size for path in paths]
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + (0, self._position, sum(self._sizes))[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        start = self._position
        for file, size in zip(self._files, self._sizes, strict=True):
            if start < size:
                file.seek(start)
                count = file.readinto(buffer)
                self._position += count
                return count
            start -= size
        return 0

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()


@dataclass(frozen=True)
class Tensor:
    """A tensor in a GGUF file; `shape` is in PyTorch's order (the reverse of the file's)."""

    name: str
    shape: tuple[int, ...]
    quant: int
    start: int  # in bytes from the beginning of the file


class GgufFile:
    """Metadata and tensors of a GGUF file.

    Raises:
        ValueError: it is not GGUF of a known version, or it ends too early.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._file = io.BufferedReader(Pieces(paths), 1 << 20)
        magic, version, tensors, fields = struct.unpack("<4sIQQ", self._read(24))
        if magic != b"GGUF" or version not in _VERSIONS:
            raise ValueError(f"not a GGUF file of version 2 or 3: {paths[0]} begins with {magic!r}, version {version}")
        self.metadata: dict[str, Any] = {self._string(): self._value(self._number("<I")) for _ in range(fields)}
        heads = [self._tensor_head() for _ in range(tensors)]
        align = self.metadata.get("general.alignment", 32)
        base = -(-self._file.tell() // align) * align
        self.tensors = {name: Tensor(name, shape, quant, base + offset) for name, shape, quant, offset in heads}

    def close(self) -> None:
        self._file.close()

    def rows(self, tensor: Tensor, block_bytes: int = 1 << 21) -> Iterator[NDArray[np.float32]]:
        """The tensor dequantised to float32, `[rows, columns]` blocks of about `block_bytes` stored bytes."""
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
        from gguf.quants import dequantize

        quant = GGMLQuantizationType(tensor.quant)
        per_block, block = GGML_QUANT_SIZES[quant]
        columns = tensor.shape[-1]
        row_bytes = columns // per_block * block
        total, step = math.prod(tensor.shape[:-1]), max(1, block_bytes // row_bytes)
        for first in range(0, total, step):
            count = min(step, total - first)
            self._file.seek(tensor.start + first * row_bytes)
            stored = np.frombuffer(self._read(count * row_bytes), np.uint8).reshape(count, row_bytes)
            yield dequantize(stored, quant).reshape(count, columns)

    def _read(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise ValueError(f"the GGUF file ends early, at byte {self._file.tell()}")
        return data

    def _number(self, layout: str) -> int:
        return int(struct.unpack(layout, self._read(struct.calcsize(layout)))[0])

    def _string(self) -> str:
        return self._read(self._number("<Q")).decode()

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            inner, count = struct.unpack("<IQ", self._read(12))
            return self._scalars(inner, count) if inner in _SCALARS else [self._value(inner) for _ in range(count)]
        return self._scalars(kind, 1)[0]

    def _scalars(self, kind: int, count: int) -> list[Any]:
        if kind not in _SCALARS:
            raise ValueError(f"unknown GGUF value type {kind} at byte {self._file.tell()}")
        dtype = np.dtype(_SCALARS[kind])
        values: list[Any] = np.frombuffer(self._read(count * dtype.itemsize), dtype).tolist()
        return values

    def _tensor_head(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string()
        shape = [self._number("<Q") for _ in range(self._number("<I"))]
        return name, tuple(reversed(shape)), self._number("<I"), self._number("<Q")
