"""How much memory there is to use."""

from __future__ import annotations

from pathlib import Path

import torch

GIB = 1 << 30


def available(device: torch.device) -> int:
    """Bytes that may still be allocated on a device; a guess of 4 GiB where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return 4 * GIB
