"""lmprog's own server, asked by lmprog."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import lmprog as lp
from lmprog.testing import RandomModel

from ..serve.serving import serving
from .test_programs import card, checked


@pytest.fixture(scope="module")
def model() -> Iterator[lp.RemoteModel]:
    local = RandomModel(4)
    with serving(local) as served, lp.connect(f"{served.url}/v1") as remote:
        yield remote
    local.close()


def test_it_is_known(model: lp.RemoteModel) -> None:
    assert model.capabilities.server == "lmprog"
    assert model.capabilities.grammar
    assert model.capabilities.context == 1 << 16


@pytest.mark.parametrize("seed", range(3))
def test_programs(model: lp.RemoteModel, seed: int) -> None:
    run = card.run("cats", model=model, decoder=lp.Sample(seed=seed))

    checked(run)
    assert run.usage.requests <= 3


def test_streams(model: lp.RemoteModel) -> None:
    stream = card.stream("cats", model=model)
    events = list(stream)

    assert stream.run is not None
    checked(stream.run)
    assert len([e for e in events if isinstance(e, lp.Text) and e.hole == "item"]) > 1


def test_jobs(model: lp.RemoteModel) -> None:
    done = lp.extract(model, ["a", "b", "c"], {"enum": ["one", "two"]})

    assert all(record.data in ("one", "two") for record in done.records)


def test_what_is_too_long(model: lp.RemoteModel) -> None:
    with pytest.raises(lp.ContextOverflow, match="the model's context is 65536"):
        card.run("a b " * 20_000, model=model)
