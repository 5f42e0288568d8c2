"""What the commands for jobs load: a model in this process, or in the workers of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .jobs.cluster import Cluster
    from .models import LanguageModel


class Workers(NamedTuple):
    """What `Cluster` is to start."""

    workers: int
    address: str | None
    num_cpus: float
    num_gpus: float


class Engine(NamedTuple):
    """What `lp.load` is to load, here or, with `workers`, in each of them."""

    model: str | None
    dtype: str
    device: str | None
    deterministic: bool
    workers: Workers | None

    @property
    def parts(self) -> str:
        """What the answers depend on."""
        from .jobs.identity import identity

        return f"{identity(self.model)} {self.dtype}{' deterministic' if self.deterministic else ''}"

    @contextmanager
    def loaded(self) -> Iterator[LanguageModel | Cluster]:
        """The model, while it is needed."""
        from .jobs.cluster import Cluster
        from .runtime.load import load

        fetch = partial(load, self.model, dtype=self.dtype, device=self.device, deterministic=self.deterministic)
        if self.workers is None:
            yield fetch()
        else:
            with Cluster(fetch, **self.workers._asdict()) as cluster:
                yield cluster
