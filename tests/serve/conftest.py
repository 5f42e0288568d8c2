from collections.abc import Iterator

import pytest

from lmprog.testing import RandomModel

from .serving import Serving, serving


@pytest.fixture(scope="module")
def live() -> Iterator[Serving]:
    with RandomModel(0) as model, serving(model) as found:
        yield found
        found.check()
