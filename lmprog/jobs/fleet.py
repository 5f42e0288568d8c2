"""Documents over the workers of a cluster: who has which, and what happens when one dies.

Considered for this: Ray Data, `map_batches` with a pool of actors, as Ray's own vLLM stage does it (batches of some
32, eight of them in one actor at a time: `max_concurrent_batches`). It is made for data that Ray reads itself; here the
driver alone reads the source and keeps the state of the job. And it retries a batch as a whole, in the same company,
as often as its actors die: a document that kills its worker repeats its neighbours and in the end stops the dataset,
where it is to become a record with an error, and nothing else is to be done twice. So the workers are plain actors.
Each has many documents under way, one call each, which its engine batches; the call's result is the record, so that
nothing that was answered dies with a worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..grammars.errors import LmprogError
from .errors import ClusterError, WorkerDied
from .records import failure
from .replica import About, Counts
from .suspects import Suspects
from .work import Numbered, Put, Records

if TYPE_CHECKING:
    from .cluster import Cluster
    from .extract import Job


NOTHING = Counts()
DIED = "the worker died each time that it worked on this document alone"


@dataclass(eq=False)
class Member:
    """A place for a worker; when its actor dies, another one takes over.

    starting   the call after which it is ready
    flying     the calls under way
    apart      it has suspects, and takes no more documents until they are done
    counts     of this actor, as last heard of; `past`: of those that died
    """

    actor: Any = None
    starting: Any = None
    about: About | None = None
    flying: dict[Any, Numbered] = field(default_factory=dict)
    apart: bool = False
    counts: Counts = NOTHING
    past: Counts = NOTHING

    @property
    def ready(self) -> bool:
        return self.actor is not None and self.starting is None

    @property
    def calls(self) -> list[Any]:
        return [*self.flying] if self.starting is None else [self.starting, *self.flying]

    def send(self, number: int, doc: Any) -> None:
        self.flying[self.actor.answer.remote(number, replace(doc, truth=None))] = number, doc

    def lose(self) -> None:
        """The actor is gone."""
        self.past, self.counts = add([self.past, self.counts]), NOTHING
        self.actor, self.starting, self.about, self.flying, self.apart = None, None, None, {}, False


def add(parts: Iterable[Counts]) -> Counts:
    return Counts(*map(sum, zip(*parts, strict=True)))


class Fleet:
    """One job on the workers of a cluster; `run` is what a Worker's is. With job=None the workers only load the model.

    No document is read before a worker has room for it. Raises ClusterError when workers died `cluster.deaths` times in
    a row without an answer between, or when none is ready after `cluster.patience` seconds.
    """

    def __init__(self, cluster: Cluster, job: Job | None) -> None:
        self.model, self.job = cluster, job
        self.members = cluster.members
        self.suspects = Suspects()
        self._vain = 0  # deaths since the last answer
        self._more = True

    def run(self, docs: Iterable[Numbered], put: Put) -> None:
        """Work through `docs`, giving finished records to `put` in batches, in the order in which they finish."""
        todo, self._more = iter(docs), True
        for member in self.members:
            self._start(member)
        try:
            while self._assign(todo):
                if records := self._land():
                    put(records)
        finally:
            for member in self.members:
                if member.flying:
                    self._end(member)

    def first(self) -> About:
        """Start the workers, and wait until one is ready."""
        while True:
            for member in self.members:
                if member.actor is None:
                    self._start(member)
                elif member.ready and member.about is not None:
                    return member.about
            self._land()

    def _start(self, member: Member) -> None:
        if member.actor is None:
            member.actor = self.model.spawn()
        member.starting = member.actor.start.remote(self.model.loader, self.job)

    def _end(self, member: Member) -> None:
        self.model.kill(member)
        member.lose()

    def _assign(self, todo: Iterator[Numbered]) -> bool:
        """Give the workers what they have room for. False when all is done."""
        for member in self.members:
            if member.actor is None:
                self._start(member)
            elif member.ready:
                self._fill(member, todo)
        return self._more or bool(self.suspects) or any(member.flying for member in self.members)

    def _fill(self, member: Member, todo: Iterator[Numbered]) -> None:
        if not member.flying:
            member.apart = bool(self.suspects)
            for number, doc in self.suspects.take():
                member.send(number, doc)
        while self._more and not self.suspects and not member.apart and len(member.flying) < self.model.in_flight:
            try:
                member.send(*next(todo))
            except StopIteration:
                self._more = False

    def _land(self) -> Records:
        """Wait until something ends, and take all that has."""
        records: Records = []
        dead: dict[Member, Exception] = {}
        for ref, member in self._ended():
            if (death := self._take(ref, member, records)) is not None:
                dead[member] = death
        for member, death in dead.items():
            records += self._bury(member, death)
        return records

    def _ended(self) -> list[tuple[Any, Member]]:
        import ray

        calls = {ref: member for member in self.members for ref in member.calls}
        patience = None if any(member.ready for member in self.members) else self.model.patience
        if not ray.wait(list(calls), timeout=patience)[0]:
            raise ClusterError(f"no worker was ready within {patience:g} seconds; {self.model.wants()}")
        ended, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0)
        return [(ref, calls[ref]) for ref in ended]

    def _take(self, ref: Any, member: Member, records: Records) -> Exception | None:
        """The outcome of a call that has ended: what is to be known, or the death of the worker, which is returned."""
        import ray
        from ray.exceptions import RayActorError, RayError, RayTaskError

        try:
            outcome = ray.get(ref)
        except RayActorError as death:
            return death
        except RayTaskError as error:
            cause = error.cause
            if isinstance(cause, LmprogError):
                raise cause from None
            raise ClusterError(f"a worker failed: {type(cause).__name__}: {cause}") from error
        except RayError as error:
            raise ClusterError(f"the cluster failed: {error}") from error
        if ref is member.starting:
            member.starting, member.about = None, outcome
        else:
            del member.flying[ref]
            answered, counts = outcome
            records += answered
            member.counts = Counts(*map(max, counts, member.counts))  # they may overtake one another
            self._vain = 0
        return None

    def _bury(self, member: Member, death: Exception) -> Records:
        """Take what a dead worker has still answered, and see to the rest. Gives records, errors among them."""
        records: Records = []
        self.model.kill(member)
        for ref in list(member.flying):
            self._take(ref, member, records)
        lost = list(member.flying.values())
        member.lose()
        self._vain += 1
        if self._vain > self.model.deaths:
            raise ClusterError(f"workers died {self._vain} times without an answer in between; the last one: {death}")
        return records + [(number, failure(doc, WorkerDied(DIED))) for number, doc in self.suspects.died(lost)]
