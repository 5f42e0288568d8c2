"""What the commands for jobs load: a model in this process, or in the workers of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .jobs.cluster import Cluster
    from .models import LanguageModel

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Workers(NamedTuple):
    """What `Cluster` is to start."""

    workers: int
    address: str | None
    num_cpus: float
    num_gpus: float


class Engine(NamedTuple):
    """What `lp.load` is to load, here or, with `workers`, in each of them; `remote` are the options of `lp.connect`."""

    model: str | None
    dtype: str
    device: str | None
    deterministic: bool
    workers: Workers | None
    remote: Mapping[str, Any] = NOTHING

    @property
    def parts(self) -> str:
        """What the answers depend on. Of a model on a server that is its name, wherever the server is."""
        from .jobs.identity import identity
        from .runtime.remote.urls import is_url

        if is_url(self.model):
            with self.loaded() as model:
                return f"{model.name} on a server"
        return f"{identity(self.model)} {self.dtype}{' deterministic' if self.deterministic else ''}"

    @contextmanager
    def loaded(self) -> Iterator[LanguageModel | Cluster]:
        """The model, while it is needed."""
        from .errors import InvalidOption
        from .jobs.cluster import Cluster
        from .runtime.load import load
        from .runtime.remote.connect import connect
        from .runtime.remote.urls import is_url

        if self.model is not None and is_url(self.model):
            if self.workers is not None:
                raise InvalidOption("--engine ray starts engines of its own: it does not go with a model on a server")
            with connect(self.model, **self.remote) as remote:
                yield remote
            return
        if used := [name for name, value in self.remote.items() if value is not None]:
            option = "model-name" if used[0] == "model" else used[0].replace("_", "-")
            raise InvalidOption(f"--{option} is for models on servers: --model http://...")
        fetch = partial(load, self.model, dtype=self.dtype, device=self.device, deterministic=self.deterministic)
        if self.workers is None:
            yield fetch()
        else:
            with Cluster(fetch, **self.workers._asdict()) as cluster:
                yield cluster
