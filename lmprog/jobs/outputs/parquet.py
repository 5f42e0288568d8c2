"""A Parquet file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..files import beside, file_digest, flush_folder, typed
from . import Lines
from .arrow import arrow_schema, batches, import_arrow
from .columns import columns


class Parquet:
    def __init__(self, path: Path) -> None:
        import_arrow()
        self.path = path

    def exists(self) -> bool:
        return self.path.exists()

    def write(self, lines: Lines, schema: Any) -> str:
        from pyarrow.parquet import ParquetWriter

        whole, found = beside(self.path, "whole"), columns(lines, schema)
        try:
            with typed(whole):
                with whole.open("wb") as file, ParquetWriter(file, arrow_schema(found)) as writer:
                    for batch in batches(found, lines):
                        writer.write_batch(batch)
                    writer.close()
                    os.fsync(file.fileno())
                digest = file_digest(whole)
                whole.rename(self.path)
                flush_folder(self.path.parent)
        except BaseException:
            whole.unlink(missing_ok=True)
            raise
        return digest

    def mark(self) -> str:
        return file_digest(self.path)
