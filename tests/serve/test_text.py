"""What a client sees of tokens, against the definition on whole texts."""

from hypothesis import given
from hypothesis import strategies as st

from lmprog.serve.text import Reply

texts = st.text("aab c\n日🙂", max_size=30)
stops = st.lists(st.text("ab c日", min_size=1, max_size=4), max_size=3)


@given(texts, stops, st.lists(st.integers(1, 5), min_size=1))
def test_a_text_ends_before_its_first_stop(text: str, stops: list[str], sizes: list[int]) -> None:
    reply, data, at = Reply(stops), text.encode(), 0
    pieces: list[str] = []
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(reply.feed(data[at : at + size]))
        at += size
        seen = "".join(pieces)
        assert not any(stop in seen for stop in stops)
        if reply.stopped:
            break
    ends = [data[:at].decode(errors="ignore").find(stop) for stop in stops]
    first = min([end for end in ends if end >= 0], default=None)
    pieces.append(reply.feed(b"", last=True))

    assert reply.stopped == (first is not None)
    assert text[:first] == "".join(pieces)
