"""Workers that die of some documents, played through without any."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lmprog.jobs.documents import Document
from lmprog.jobs.suspects import Suspects


@settings(deadline=None)
@given(st.integers(1, 300), st.sets(st.integers(0, 299), max_size=4))
def test_the_guilty_and_no_others(count: int, killers: set[int]) -> None:
    suspects, guilty, deaths = Suspects(), [], 1
    docs = [(n, Document(n, "")) for n in range(count)]
    assert [] == suspects.died(docs) or count == 0
    tried: list[int] = []
    while suspects:
        group = suspects.take()
        if bad := [n for n, _ in group if n in killers]:
            deaths += 1
            guilty += [n for n, _ in suspects.died(group)]
            assert bad
        else:
            tried += [n for n, _ in group]

    assert sorted(killers & set(range(count))) == sorted(guilty)
    assert sorted(set(range(count)) - killers) == sorted(tried)
    assert deaths <= 1 + 6 * len(killers)
