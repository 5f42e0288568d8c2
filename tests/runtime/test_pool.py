from __future__ import annotations

import numpy as np
import pytest

from lmprog.runtime.errors import OutOfSlots
from lmprog.runtime.pool import SlotPool


def test_every_slot_is_given_once() -> None:
    pool = SlotPool(10)

    taken = np.concatenate([pool.take(3), pool.take(7)])

    assert list(range(10)) == sorted(taken.tolist())
    assert pool.free == 0


def test_fresh_slots_are_consecutive() -> None:
    assert SlotPool(5).take(3).tolist() == [0, 1, 2]


def test_slots_come_back() -> None:
    pool = SlotPool(4)
    slots = pool.take(4)
    pool.give(slots[1:3])

    assert {1, 2} == set(pool.free_slots().tolist())
    assert {1, 2} == set(pool.take(2).tolist())


def test_too_many_names_the_numbers() -> None:
    pool = SlotPool(4)
    pool.take(3)

    with pytest.raises(OutOfSlots, match="2 KV slots wanted, 1 of 4 are free"):
        pool.take(2)


def test_giving_back_twice_is_noticed() -> None:
    pool = SlotPool(4)

    with pytest.raises(AssertionError, match="1 slots given back, but 4 of 4 are free"):
        pool.give(np.array([0]))
