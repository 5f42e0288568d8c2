from __future__ import annotations

import math
from typing import Any

import pytest

import lmprog as lp


def dist(shares: dict[Any, float], none: float | None = None) -> lp.Dist:
    logs = {option: math.log(share) if share else -math.inf for option, share in shares.items()}
    return lp.Dist(tuple(shares), logs, logs, none=none)


def test_shares_are_of_all_options() -> None:
    found = dist({"a": 0.2, "b": 0.6, "c": 0.0})

    assert {"a": 0.25, "b": 0.75, "c": 0.0} == pytest.approx(dict(found))
    assert ("b", ["b", "a", "c"]) == (found.best, found.ranked)
    assert pytest.approx(0.5) == found.margin
    assert -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) == pytest.approx(found.entropy)
    assert math.log(0.2) == found.logprobs["a"]


def test_with_none_the_shares_are_what_is_left() -> None:
    found = dist({"a": 0.2, "b": 0.3}, none=0.5)

    assert {"a": 0.2, "b": 0.3} == pytest.approx(dict(found))
    assert -(0.2 * math.log(0.2) + 0.3 * math.log(0.3) + 0.5 * math.log(0.5)) == pytest.approx(found.entropy)
    assert "Dist('b': 0.3, 'a': 0.2, none: 0.5)" == repr(found)


def test_of_equally_probable_options_the_first_is_best() -> None:
    assert 2 == dist({2: 0.25, 1: 0.25}).best
    assert 0 == dist({2: 0.25, 1: 0.25}).margin
    assert 1 == dist({2: 0.25}).margin


def test_what_is_shown() -> None:
    assert "Dist(1: 0.1, 0: 0.1" in repr(dist(dict.fromkeys((1, 0, *range(2, 10)), 0.1)))
    assert "…" in repr(dist(dict.fromkeys(range(10), 0.1)))
    assert "<td>&lt;b&gt;</td><td>100.0%</td>" in dist({"<b>": 0.5})._repr_html_()


def test_nothing_is_possible() -> None:
    assert all(math.isnan(share) for share in dist({"a": 0.0, "b": 0.0}).values())
