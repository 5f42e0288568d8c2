"""Places in the bounded queue, against a naive model, and with threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lmprog.runtime.places import Places

MOST = 3
GROUPS = st.sampled_from(["a", "b"])


class AgainstNaive(RuleBasedStateMachine):
    """`held`: who has a place, by group; `asking`: who waits for one, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.places = Places(MOST)
        self.held = {"a": 0, "b": 0}
        self.asking: dict[str, list[Future[None]]] = {"a": [], "b": []}

    def serve(self, group: str) -> None:
        while self.asking[group] and self.held[group] < MOST:
            assert self.asking[group].pop(0).done()
            self.held[group] += 1

    @rule(groups=st.lists(GROUPS, max_size=4))
    def take(self, groups: list[str]) -> None:
        expected = all(
            not self.asking[group] and self.held[group] + groups.count(group) <= MOST for group in set(groups)
        )

        assert expected == self.places.take(groups)
        for group in groups if expected else []:
            self.held[group] += 1

    @rule(group=GROUPS)
    def ask(self, group: str) -> None:
        self.asking[group].append(self.places.ask(group))
        self.serve(group)

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def give(self, data: st.DataObject) -> None:
        group = data.draw(st.sampled_from([group for group, n in self.held.items() if n]))
        self.places.give(group)
        self.held[group] -= 1
        self.serve(group)

    @precondition(lambda self: any(self.asking.values()))
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        group = data.draw(st.sampled_from([group for group, tickets in self.asking.items() if tickets]))
        ticket = data.draw(st.sampled_from(self.asking[group]))
        self.asking[group].remove(ticket)
        self.places.withdraw(ticket, group)

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        for group, tickets in self.asking.items():
            assert not any(ticket.done() for ticket in tickets)
            assert not tickets or self.held[group] == MOST


AgainstNaive.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAgainstNaive = AgainstNaive.TestCase


def test_a_place_that_came_in_the_nick_of_time_is_given_back() -> None:
    places = Places(1)
    ticket = places.ask("a")
    places.withdraw(ticket, "a")

    assert ticket.done()
    assert places.take(["a"])


def test_closing_wakes_all() -> None:
    places = Places(1)
    assert places.take(["a"])
    tickets = [places.ask("a"), places.ask("a")]
    places.close(KeyError("closed"))

    for ticket in [*tickets, places.ask("b")]:
        with pytest.raises(KeyError):
            ticket.result(5)


def test_no_limit() -> None:
    assert Places(None).take(["a"] * 1000)


def test_threads() -> None:
    places, inside, most = Places(MOST), 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(30):
            places.ask("a").result(30)
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0)
            with lock:
                inside -= 1
            places.give("a")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most <= MOST
    assert places.take(["a"] * MOST)
