from __future__ import annotations

from collections.abc import Iterator

import pytest

from lmprog.testing import RandomModel


@pytest.fixture(scope="session")
def model() -> Iterator[RandomModel]:
    with RandomModel(0) as random:
        yield random
