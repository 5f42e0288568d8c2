from __future__ import annotations

from collections.abc import Iterator

import pytest

from lmprog.testing import RandomModel


@pytest.fixture(scope="session")
def model() -> Iterator[RandomModel]:
    random = RandomModel(0)
    yield random
    random.close()
