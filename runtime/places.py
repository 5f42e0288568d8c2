"""Back-pressure: how many requests of each group may wait, and who is let in when one more may.

A place is taken before a request is queued and given back when it first runs, or ends. Whoever finds no place holds a
ticket, a future that threads and coroutines can wait on alike; tickets are served in order, so that nobody who comes
later is let in first. Any thread may call.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Hashable, Sequence
from concurrent.futures import Future


class Places:
    """`most` places for each group; None: no limit."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._taken: Counter[Hashable] = Counter()
        self._tickets: dict[Hashable, deque[Future[None]]] = {}
        self._closed: Exception | None = None
        self._lock = threading.Lock()

    def take(self, groups: Sequence[Hashable]) -> bool:
        """A place for each of them (a group may be named many times), or none at all."""
        if self.most is None:
            return True
        wanted = Counter(groups)
        with self._lock:
            if any(self._tickets.get(group) or self._taken[group] + n > self.most for group, n in wanted.items()):
                return False
            self._taken += wanted
            return True

    def ask(self, group: Hashable) -> Future[None]:
        """A ticket: done as soon as a place is there. It must be waited for, or withdrawn."""
        ticket: Future[None] = Future()
        with self._lock:
            if self._closed is not None:
                ticket.set_exception(self._closed)
                return ticket
            self._tickets.setdefault(group, deque()).append(ticket)
            self._serve(group)
        return ticket

    def withdraw(self, ticket: Future[None], group: Hashable) -> None:
        """The holder waits no longer; a place that was there already is given back."""
        if not ticket.cancel() and ticket.exception() is None:
            self.give(group)

    def give(self, group: Hashable) -> None:
        """A place is no longer needed."""
        if self.most is None:
            return
        with self._lock:
            self._taken[group] -= 1
            self._serve(group)
            if not self._taken[group]:
                del self._taken[group]

    def close(self, error: Exception) -> None:
        """All who wait, and all who ask later, get this error."""
        with self._lock:
            self._closed = error
            tickets = [ticket for queue in self._tickets.values() for ticket in queue]
            self._tickets.clear()
        for ticket in tickets:
            if ticket.set_running_or_notify_cancel():
                ticket.set_exception(error)

    def _serve(self, group: Hashable) -> None:
        assert self.most is not None
        tickets = self._tickets.get(group, deque())
        while tickets and self._taken[group] < self.most:
            ticket = tickets.popleft()
            if ticket.set_running_or_notify_cancel():
                self._taken[group] += 1
                ticket.set_result(None)
        if not tickets:
            self._tickets.pop(group, None)
