from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt

def exponentials(
    logits: npt.NDArray[np.float32],
    temperature: float,
    mask: npt.NDArray[np.int32] | None,
    out: npt.NDArray[np.float32],
    sums: npt.NDArray[np.float64],
    /,
) -> None: ...

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int8]

LEVEL: int  # of int8 products: 0 portable, 1 AVX2, 2 AVX-512 with VNNI

def products(
    x: Floats,
    weights: Ints,
    scales: Floats,
    bias: Floats | None,
    out: Floats,
    d: int,
    first: int,
    last: int,
    level: int,
    /,
) -> None: ...
def screen(
    x: Floats,
    weights: Ints,
    scales: Floats,
    bias: Floats | None,
    errors: Floats,
    norms: Floats,
    masks: npt.NDArray[np.int32] | None,
    upper: Floats,
    lower: Floats,
    d: int,
    first: int,
    last: int,
    level: int,
    /,
) -> None: ...
def rms_norm(x: Floats, gain: Floats, epsilon: float, out: Floats, /) -> None: ...
def watch(
    modules: frozenset[str],
    names: frozenset[str],
    changes: frozenset[str],
    near: dict[int, object],
    look: Callable[[FrameType, Any], object],
    /,
) -> None: ...
