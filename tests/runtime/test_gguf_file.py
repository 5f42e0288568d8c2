"""The GGUF reader against the `gguf` package's own reader and writer."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Quant

from lmprog.runtime.gguf_file import GgufFile

KINDS = [Quant.F32, Quant.F16, Quant.BF16, Quant.Q8_0, Quant.Q5_0, Quant.Q4_0]
TEXTS = ["", "▁the", "\n\n", "日本", "a" * 3000]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    writer = gguf.GGUFWriter(tmp_path / "all.gguf", "gemma3")
    writer.add_array("texts", TEXTS)
    writer.add_array("numbers", [1.5, -2.0])
    writer.add_uint32("count", 7)
    writer.add_bool("yes", True)
    rng = np.random.default_rng(0)
    for kind in KINDS:
        rows = rng.standard_normal((5, 64)).astype(np.float32)
        writer.add_tensor(kind.name, gguf.quants.quantize(rows, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "all.gguf"


def pieces(path: Path, sizes: list[int]) -> list[Path]:
    data, out = path.read_bytes(), []
    for i, size in enumerate([*sizes, len(data)]):
        out.append(path.with_name(f"part{i}"))
        out[-1].write_bytes(data[:size])
        data = data[size:]
    return out


@pytest.mark.parametrize("sizes", [[], [1], [24, 100], [3000, 0, 777]])
def test_agrees_with_the_gguf_reader(path: Path, sizes: list[int]) -> None:
    reader = gguf.GGUFReader(path)
    expected = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}

    file = GgufFile(pieces(path, sizes))

    assert expected == file.metadata
    for tensor in reader.tensors:
        ours = np.concatenate(list(file.rows(file.tensors[tensor.name], block_bytes=200)))
        np.testing.assert_array_equal(gguf.quants.dequantize(tensor.data, tensor.tensor_type), ours)
    file.close()


def test_a_broken_file_is_told(path: Path) -> None:
    (path.parent / "short").write_bytes(path.read_bytes()[:2000])
    (path.parent / "other").write_bytes(b"PK" * 50)

    with pytest.raises(ValueError, match="ends early"):
        GgufFile([path.parent / "short"])
    with pytest.raises(ValueError, match="not a GGUF file"):
        GgufFile([path.parent / "other"])
