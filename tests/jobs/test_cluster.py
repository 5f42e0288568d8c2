"""Jobs on a Ray cluster of this machine: the same records as without it, whatever happens to the workers."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray

import lmprog as lp
from lmprog.jobs.cluster import Cluster
from lmprog.jobs.documents import Fields, source
from lmprog.jobs.errors import ClusterError
from lmprog.jobs.extract import Job
from lmprog.jobs.layout import layout
from lmprog.jobs.served import Served
from lmprog.jobs.summary import Summary
from lmprog.jobs.target import target
from lmprog.runtime.routine import Routine
from lmprog.runtime.sampling import Sampling
from lmprog.testing import RandomModel

from .conftest import Run
from .test_kill import extract_command, run_until

psutil: Any = pytest.importorskip("psutil")
SCHEMA = {"properties": {"word": {"type": "string", "maxLength": 20}, "n": {"type": "integer"}}}
DOCS = [{"id": f"d{n}", "text": f"document {n} " * (n % 4 + 1)} for n in range(120)] + [{"id": "broken"}]
extract = partial(lp.extract, schema=SCHEMA, max_tokens=40)


class Fragile(RandomModel):
    """It writes down which documents it is asked about. Poison kills its process; so does, once, each of `deaths`: a
    number of documents that all workers together have been asked about."""

    def __init__(self, log: Path, deaths: Sequence[int] = ()) -> None:
        super().__init__(1)
        self.log, self.deaths = log, deaths

    def run(self, routine: Routine[Any], **how: Any) -> Any:
        return super().run(self._watched(routine), **how)

    def _watched(self, routine: Routine[Any]) -> Routine[Any]:
        try:
            requests = next(routine)
            self._note(self.vocab.decode(list(requests[0].ids)[1:]).decode().split("---")[-1])
            while True:
                requests = routine.send((yield requests))
        except StopIteration as stop:
            return stop.value

    def _note(self, text: str) -> None:
        with self.log.open("a") as file:
            file.write(" ".join(text.split()[:2]) + "\n")
        if "poison" in text or any(self._due(count) for count in self.deaths):
            os.kill(os.getpid(), signal.SIGKILL)

    def _due(self, count: int) -> bool:
        if len(self.log.read_text().splitlines()) < count:
            return False
        try:
            self.log.with_suffix(f".{count}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    """One local cluster for all; `Cluster` uses what the process is connected to."""
    register: Any = ray.cloudpickle.register_pickle_by_value
    register(sys.modules[__name__])
    with closing(Cluster(partial(RandomModel, 1), workers=2)):
        yield


Make = Callable[..., Cluster]


@pytest.fixture
def cluster() -> Iterator[Make]:
    """Makes one, and ends the one before, as there is room for two workers."""
    with ExitStack() as stack:

        def make(model: Any, **options: Any) -> Cluster:
            stack.close()
            return stack.enter_context(Cluster(model, **options))

        yield make


@pytest.mark.parametrize(
    "options", [{}, {"sampling": Sampling(1.0, seed=5), "confidence": True, "evidence": True, "abstain": 0.2}]
)
def test_the_records_are_those_of_a_local_run(cluster: Make, options: dict[str, Any]) -> None:
    here = extract(RandomModel(1), DOCS, **options)
    there = extract(cluster(partial(RandomModel, 1)), DOCS, **options)

    assert here.records == there.records
    assert (121, 1) == (there.summary.records, there.summary.failed)
    assert here.summary.output_tokens == there.summary.output_tokens
    assert here.summary.prompt_tokens == there.summary.prompt_tokens
    assert 0.5 < there.summary.hit_rate < 1


def test_killed_workers(cluster: Make, tmp_path: Path) -> None:
    """Nothing is lost, and only what a dead worker had not answered is done again."""
    log = tmp_path / "log"
    deaths = 20, 21, 70
    there = extract(cluster(partial(Fragile, log, deaths), in_flight=16), DOCS, out=tmp_path / "out.jsonl")

    assert 3 == len(list(tmp_path.glob("log.*")))
    assert extract(RandomModel(1), DOCS).records == there.records
    assert 120 < len(log.read_text().splitlines()) <= 120 + len(deaths) * 16


def test_a_document_that_kills_its_worker(cluster: Make, tmp_path: Path) -> None:
    docs = [*DOCS[:30], {"id": "bad", "text": "poison"}, *DOCS[30:60], {"id": "worse", "text": "more poison"}]
    there = extract(cluster(partial(Fragile, tmp_path / "log"), in_flight=16), docs)
    here = extract(RandomModel(1), docs)
    log = (tmp_path / "log").read_text().splitlines()

    assert [n for n, (a, b) in enumerate(zip(here.records, there.records, strict=True)) if a != b] == [30, 61]
    assert ["WorkerDied"] * 2 == [there.records[n].error["type"] for n in (30, 61)]  # type: ignore[index]
    assert 2 <= log.count("poison JSON:") <= 5
    assert max(log.count(line) for line in log) <= 5


def test_no_more_is_read_than_workers_have_room_for(cluster: Make) -> None:
    read = done = ahead = 0

    def docs() -> Iterator[Any]:
        nonlocal read, ahead
        for numbered in enumerate(source(DOCS, Fields()).read()):
            read += 1
            ahead = max(ahead, read - done)
            yield numbered

    def put(records: Any) -> None:
        nonlocal done
        done += len(records)

    goal = target(SCHEMA)
    job = Job(source(DOCS, Fields()), goal, layout(goal.schema), 40)
    job.worker(cluster(partial(RandomModel, 1), in_flight=5)).run(docs(), put)

    assert (121, 121) == (read, done)
    assert ahead <= 10


def test_a_type_out_of_a_file(cluster: Make, tmp_path: Path) -> None:
    path = tmp_path / "shapes.py"
    path.write_text(
        "from enum import Enum\nfrom pydantic import BaseModel\nfrom lmprog.jobs import Quote\n"
        "class Kind(Enum):\n    a = 'a'\n    b = 'b'\n"
        "class Item(BaseModel):\n    kind: Kind\n"
        "class Shape(BaseModel):\n    items: list[Item]\n    n: int\n    said: Quote\n"
    )
    there = lp.extract(cluster(partial(RandomModel, 1), workers=1), ["a b", "b"], f"{path}:Shape", max_tokens=80)

    here = lp.extract(RandomModel(1), ["a b", "b"], f"{path}:Shape", max_tokens=80)

    assert [str(record) for record in here.records] == [str(record) for record in there.records]


def test_errors_of_loading_come_as_they_are(cluster: Make) -> None:
    with pytest.raises(lp.ModelNotFound, match="nowhere/none"):
        extract(cluster("nowhere/none"), DOCS)
    with pytest.raises(lp.JobError, match="no answer fits in max_tokens=1"):
        lp.extract(cluster(partial(RandomModel, 1)), DOCS, SCHEMA, max_tokens=1)
    with pytest.raises(ClusterError, match="a worker failed: ZeroDivisionError: division by zero"):
        extract(cluster(lambda: 1 / 0), DOCS)


def test_workers_that_never_live(cluster: Make) -> None:
    def load() -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ClusterError, match="workers died 2 times without an answer in between"):
        extract(cluster(load, workers=1, deaths=1), DOCS)


def test_workers_that_find_no_place(cluster: Make) -> None:
    with pytest.raises(
        ClusterError, match=r"no worker was ready within 1 seconds; each needs .*'num_gpus': 3.* and free are"
    ):
        extract(cluster(partial(RandomModel, 1), num_gpus=3, patience=1), DOCS)


def test_without_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClusterError, match="workers and in_flight must be 1 or more, not 0 and 64"):
        Cluster(workers=0)
    with pytest.raises(ClusterError, match=r"connected to the Ray cluster at .*:\d+ already, not to 127.0.0.1:9"):
        Cluster(address="127.0.0.1:9")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ClusterError, match=r"no Ray cluster can be reached at 127.0.0.1:9: .*refused"):
        Cluster(address="127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"needs the extra lmprog\[ray\]"):
        Cluster()


@pytest.mark.slow
def test_the_command_killed_and_resumed(tmp_path: Path, tiny: Path, docs: Path, schema: Path, lmprog: Run) -> None:
    """Its workers go with it, and the next run does what is left."""
    many, out, whole = tmp_path / "many.jsonl", tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    many.write_text(docs.read_text() * 2)
    command = [*extract_command(tiny, many, schema, out), "--engine", "ray", "--workers", "2", "--deterministic"]
    killed = run_until(command, out, 3)
    done = lmprog(*command[2:])
    lmprog(*extract_command(tiny, many, schema, whole)[2:], "--deterministic")

    assert killed
    assert 1 == done.returncode  # some documents are broken
    assert "by other runs" in done.stdout
    assert whole.read_bytes() == out.read_bytes()


def serving(*options: str) -> list[str]:
    return [sys.executable, "-m", "lmprog", "serve", "--port", "{port}", *options]


def test_servers_as_engines(cluster: Make) -> None:
    """Each worker starts one, and it goes with the worker, which is killed here when its first answers are there."""
    crew = cluster(Served(serving("--model", "random:3")), in_flight=8)
    pids: list[int] = []

    def watch(now: Summary) -> None:
        if not pids and (about := crew.members[0].about) is not None:
            pids.append(about.pid)
            pids.extend(process.pid for process in psutil.Process(about.pid).children(recursive=True))
            os.kill(about.pid, signal.SIGKILL)

    done = extract(crew, DOCS[:40], watch=watch)

    assert [None] * 40 == [record.error for record in done.records]
    assert done.summary.prompt_tokens > 0
    assert len(pids) >= 3  # the worker, the warden, the server, and what that started
    until = time.monotonic() + 30
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(psutil.pid_exists, pids))


def test_servers_that_do_not_start(cluster: Make) -> None:
    with pytest.raises(ClusterError, match=r"--model nowhere/none ended with 2: .*ModelNotFound"):
        extract(cluster(Served(serving("--model", "nowhere/none"))), DOCS)
    with pytest.raises(ClusterError, match="sleep 100 did not answer in time"):
        extract(cluster(Served("sleep 100", seconds=1)), DOCS)
