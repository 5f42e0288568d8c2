from collections.abc import Callable

import numpy as np
import numpy.typing as npt

class Dfa:
    def __init__(self, expand: Callable[[int, int], object]) -> None: ...
    def add(self) -> int: ...
    def set(self, state: int, low: int, high: int, to: int) -> None: ...
    def run(self, state: int, data: bytes) -> int: ...

class Trie:
    def __init__(self, tokens: list[tuple[bytes, int]], size: int) -> None: ...
    def walk(
        self,
        dfa: Dfa,
        state: int,
        mask: npt.NDArray[np.int32] | None,
        ends: npt.NDArray[np.int32] | None,
        limit: int,
    ) -> tuple[int, bytes | None, list[int]]: ...
