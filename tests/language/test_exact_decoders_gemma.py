"""Exact decoders on the embedded default model."""

from __future__ import annotations

from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program

pytestmark = pytest.mark.slow

SCHEMA = {
    "type": "object",
    "properties": {"legs": {"type": "integer", "minimum": 0, "maximum": 8}, "wild": {"type": "boolean"}},
    "required": ["legs", "wild"],
    "additionalProperties": False,
}


@program
def card(p: lp.Prompt) -> Any:
    return p('A dog: {"legs":4,"wild":false}\nA spider: ', gen(json=SCHEMA, name="card", max_tokens=24), "\n")


def test_decoders_fill_a_schema() -> None:
    with lp.load() as model:
        asap = lp.ASAp(3)
        runs = [card.run(model=model, decoder=asap, seed=seed) for seed in range(3)]
        weighed = card.run(model=model, decoder=lp.SMC(6), seed=1)

    bounds = [run.logZ_bounds for run in runs]
    assert all(low <= high <= 0 for low, high in filter(None, bounds))
    assert sorted(bounds, key=lambda pair: -(pair or (0, 0))[1]) == bounds
    assert bounds[-1] != bounds[0]
    for run in (*runs, weighed):
        assert {"legs", "wild"} == set(run.value)
        assert run.value["legs"] in range(9)
    assert sum(particle.share for particle in weighed.captures["card"].particles) == pytest.approx(1)
    assert (weighed.logZ or 1) < 0
