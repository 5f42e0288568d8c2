from __future__ import annotations

from collections.abc import Iterator

import pytest

from lmprog.runtime.remote import http
from lmprog.testing import RandomModel


@pytest.fixture(scope="session")
def random_model() -> Iterator[RandomModel]:
    model = RandomModel(3)
    yield model
    model.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between retries are short, and no key comes from outside."""
    monkeypatch.setattr(http, "FIRST", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
