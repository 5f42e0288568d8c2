"""A model on the workers of a Ray cluster."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .documents import Source
from .errors import ClusterError
from .fleet import Fleet, Member, add
from .replica import Counts, Loader, Replica
from .target import ALIAS

if TYPE_CHECKING:
    from .extract import Job

DEATHS = 10  # in a row, for each worker
PATIENCE = 600.0
NOWHERE = Source("", lambda: iter(()), 0, "")  # workers do not read the source
STORE = 128 << 20  # bytes of a local cluster's object store; documents in flight are all that is ever in it


class Cluster:
    """A model in each of several Ray workers, for jobs: `lp.extract(lp.Cluster("folder", workers=2), docs, schema)`.

    model        what each worker loads: a folder or hub id, as in `lp.load`, with `load` as its options, or a function
                 without arguments that gives a model. It is found on the machine of the worker
    workers      how many, each with an engine of its own
    in_flight    most documents that a worker has at a time
    address      of the cluster, such as "auto" or "10.0.0.1:6379". None: the one that this process is connected to, or
                 that RAY_ADDRESS names, or else a local one, which ends with this object
    num_cpus, num_gpus, resources  what Ray is to keep for each worker
    runtime_env  Ray's description of what the workers need: packages, files, variables
    deaths       most deaths of workers without an answer in between; after more the job ends (None: 10 a worker)
    patience     seconds until some worker must be ready

    A document that its worker died of twice, when it had no other, becomes a record with the error WorkerDied; all
    others are answered. Raises ClusterError when Ray is missing or cannot be reached.
    """

    def __init__(
        self,
        model: str | Path | Loader | None = None,
        *,
        workers: int = 2,
        in_flight: int = 64,
        address: str | None = None,
        num_cpus: float = 1.0,
        num_gpus: float = 0.0,
        resources: Mapping[str, float] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        deaths: int | None = None,
        patience: float = PATIENCE,
        **load: Any,
    ) -> None:
        if workers < 1 or in_flight < 1:
            raise ClusterError(f"workers and in_flight must be 1 or more, not {workers} and {in_flight}")
        self.loader: Loader = model if callable(model) else partial(_load, model, **load)
        self.in_flight, self.patience = in_flight, patience
        self.deaths = DEATHS * workers if deaths is None else deaths
        self.members = [Member() for _ in range(workers)]
        self._wanted = {"num_cpus": num_cpus, "num_gpus": num_gpus, "resources": dict(resources or {})}
        self._own = _connect(address, workers, self._wanted, runtime_env)

    @property
    def name(self) -> str:
        """Of the model, as a worker tells it."""
        return Fleet(self, None).first().model

    @property
    def engine(self) -> Cluster:
        return self

    @property
    def stats(self) -> Counts:
        """What the engines have done, all together; `mask_seconds` is the mean of the workers, as they run side by
        side."""
        counts = add(part for member in self.members for part in (member.past, member.counts))
        return counts._replace(mask_seconds=counts.mask_seconds / len(self.members))

    def worker(self, job: Job) -> Fleet:
        """What runs the job."""
        _send_along(job.target.spec)
        return Fleet(self, replace(job, source=NOWHERE))

    def spawn(self) -> Any:
        import ray

        return ray.remote(Replica).options(max_concurrency=self.in_flight + 1, **self._wanted).remote()

    def kill(self, member: Member) -> None:
        import ray

        if member.actor is not None:
            ray.kill(member.actor)

    def wants(self) -> str:
        """What a worker needs and what there is, for messages."""
        import ray

        free: Any = ray.available_resources
        return f"each needs {self._wanted}, and free are {free()}"

    def close(self) -> None:
        """End the workers, and the cluster if it was started for them."""
        import ray

        for member in self.members:
            self.kill(member)
            member.lose()
        if self._own:
            ray.shutdown()
            self._own = False

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _load(path: str | Path | None, **options: Any) -> Any:
    from ..runtime.load import load

    return load(path, **options)


def _send_along(spec: Any) -> None:
    """A type out of a file that cannot be imported by name is sent by value."""
    import ray

    module = getattr(spec, "__module__", None)
    if isinstance(module, str) and module.startswith(ALIAS):
        register: Any = ray.cloudpickle.register_pickle_by_value
        register(sys.modules[module])


def _connect(
    address: str | None, workers: int, wanted: Mapping[str, Any], runtime_env: Mapping[str, Any] | None
) -> bool:
    """Connect this process to a cluster, unless it is already; whether `close` is to undo that."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ClusterError(f"a job on Ray needs the extra lmprog[ray]: {error}") from None
    if ray.is_initialized():
        _check_connected(address)
        return False
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # of workers that end after another one has failed
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": runtime_env}
    if address == "local":
        options |= _local(ceil(workers * wanted["num_cpus"]), runtime_env)
    else:
        _knock(address)
    try:
        ray.init(address, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ClusterError(f"no Ray cluster can be reached at {address}: {error}") from error
    return True


def _check_connected(address: str | None) -> None:
    """Raises ClusterError when this process is connected to another cluster than the one that is meant."""
    import ray

    own = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", own):
        raise ClusterError(f"this process is connected to the Ray cluster at {own} already, not to {address}")


def _local(cpus: int, runtime_env: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options of a cluster on this machine. Its workers import what this process imports; nothing is reported home."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    installed = tuple({sys.prefix, sys.base_prefix})
    paths = [path for path in (p or os.getcwd() for p in sys.path) if not path.startswith(installed)]
    same = {"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}}
    return {
        "num_cpus": max(cpus, os.cpu_count() or 1),
        "object_store_memory": STORE,
        "include_dashboard": False,
        "runtime_env": runtime_env or same,
    }


def _knock(address: str) -> None:
    """Raises ClusterError when nobody listens there; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise ClusterError(f"no Ray cluster can be reached at {address}: {error}") from error
