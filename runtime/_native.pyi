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
