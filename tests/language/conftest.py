from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from lmprog.models import LanguageModel
from lmprog.runtime.handle import Pending
from lmprog.runtime.request import Request
from lmprog.runtime.routine import Routine
from lmprog.testing import RandomModel


@pytest.fixture(scope="session")
def model() -> Iterator[RandomModel]:
    random = RandomModel(0)
    yield random
    random.close()


class Spy:
    """A model that keeps the requests made to it."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.requests: list[Request] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def run(self, routine: Routine[Any], **how: Any) -> Pending[Any]:
        return self.model.run(self._seen(routine), **how)

    def _seen(self, routine: Routine[Any]) -> Routine[Any]:
        step: Callable[[], Any] = partial(next, routine)
        while True:
            try:
                requests = step()
            except StopIteration as stop:
                return stop.value
            self.requests += requests
            try:
                step = partial(routine.send, (yield requests))
            except BaseException as error:
                step = partial(routine.throw, error)


@pytest.fixture
def spy(model: RandomModel) -> Any:
    return Spy(model)


@pytest.fixture
def spying() -> type[Spy]:
    return Spy
