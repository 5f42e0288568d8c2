"""How a program runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .decoders import Decoder, derive_seed
from .holes import Boundary

# what a call may say beside the function's own arguments
CALL = ("model", "decoder", "seed", "logprobs", "trace", "preview")


@dataclass(frozen=True)
class Options:
    """How a program runs: from its decorator, laid over by the call."""

    decoder: Decoder | None = None
    seed: int | None = None
    boundary: Boundary = "heal"
    logprobs: bool = False
    trace: bool = False
    preview: bool = True
    backtracking: bool = True  # False: the first attempt is accepted, whatever its checks say
    arithmetic: tuple[int, int] | None = None

    def base_seed(self) -> int | None:
        if self.seed is not None or self.decoder is None:
            return self.seed
        return self.decoder.sampling().seed

    def for_row(self, index: int) -> Options:
        return replace(self, seed=derive_seed(self.base_seed(), "row", index))

    def for_sample(self, index: int, n: int) -> Options:
        """Of n samples that spread evenly; they share the seed, which must be there."""
        return replace(self, arithmetic=(index, n))
