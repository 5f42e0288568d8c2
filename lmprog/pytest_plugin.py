"""The pytest plugin `lmprog`: models as fixtures.

    lm           a RandomModel, one for the whole session
    lm_script    makes a Scripted of answers; at the test's end all of them must have been used
    lm_default   the default model; the test is skipped where it is not installed

What is imported here is imported by every pytest on a machine with lmprog, so fixtures import what they need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .runtime.model import Model
    from .testing import RandomModel, Scripted


@pytest.fixture(scope="session")
def lm() -> Iterator[RandomModel]:
    """A model with random weights, the same in every session."""
    from .testing import RandomModel

    with RandomModel(0) as model:
        yield model  # type: ignore[misc]  # `with` gives the model itself


@pytest.fixture
def lm_script(request: pytest.FixtureRequest) -> Iterator[Callable[..., Scripted]]:
    """`lm_script("first answer", "second")`: a model that gives these answers, which the test must use up."""
    from .testing import Scripted

    made: list[Scripted] = []

    def script(*answers: str) -> Scripted:
        made.append(Scripted(answers))
        return made[-1]

    yield script
    left = sum(model.left for model in made)
    assert not left, f"{left} scripted answers were not used"


@pytest.fixture(scope="session")
def lm_default() -> Iterator[Model]:
    """The default model, loaded once; tests are skipped where it is not installed."""
    from .runtime.errors import ModelNotFound
    from .runtime.load import load

    try:
        model = load()
    except ModelNotFound as error:
        pytest.skip(f"the default model is not installed: {error}")
    with model:
        yield model
