from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lmprog.models import Handle, LanguageModel
from lmprog.runtime.request import Request
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

    def submit(self, request: Request) -> Handle:
        self.requests.append(request)
        return self.model.submit(request)


@pytest.fixture
def spy(model: RandomModel) -> Any:
    return Spy(model)


@pytest.fixture
def spying() -> type[Spy]:
    return Spy
