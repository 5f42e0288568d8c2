"""How much memory there is to use."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from .errors import OutOfSlots

GIB = 1 << 30
log = logging.getLogger("lmprog")


def available(device: torch.device) -> int:
    """Bytes that may still be allocated on a device; a guess of 4 GiB where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return 4 * GIB


def fits(slots: int, slot_bytes: int, room: int, device: str) -> None:
    """Log how large a pool of slots is. Raises OutOfSlots, with the numbers, if it exceeds the room there is."""
    size = slots * slot_bytes
    sizes = (
        f"{slots:,} KV slots of {slot_bytes:,} bytes are {size / GIB:.2f} GiB; {device} has {room / GIB:.2f} GiB free"
    )
    if size > room:
        raise OutOfSlots(f"{sizes}, enough for {room // slot_bytes:,}: load the model with fewer slots")
    if slot_bytes:
        log.info(sizes)
