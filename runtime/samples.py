"""Many samples of one prompt."""

from __future__ import annotations

import secrets
from dataclasses import replace

from .request import Request


def samples(request: Request, n: int) -> list[Request]:
    """The request n times, as arithmetic samples: each by itself is distributed as the request, and together they
    spread evenly over the distribution. A request without a seed gets one. Its temperature must be above 0.
    """
    seed = secrets.randbits(63) if request.sampling.seed is None else request.sampling.seed
    return [replace(request, sampling=replace(request.sampling, seed=seed, arithmetic=(i, n))) for i in range(n)]
