"""Random texts of a constraint, and near misses of them."""

from __future__ import annotations

import random

from lmprog.grammars import Constraint, Vocabulary

BYTES = Vocabulary([*(bytes((i,)) for i in range(256)), None], {256})


def walk(c: Constraint, rng: random.Random, budget: int) -> str:
    """A text of at most `budget` bytes, drawn by the masks of the vocabulary `BYTES`: at each step one of the states
    that can come next, whatever the number of bytes that lead there, so that every rule has its turn."""
    s, out = c.start(), bytearray()
    for left in range(budget, 0, -1):
        ids = c.allowed(s, limit=257, budget=left)
        assert ids is not None
        ways: dict[int | None, list[int]] = {}
        for i in ids.tolist():
            ways.setdefault(None if i == 256 else c.advance(s, i), []).append(i)
        if len(ways) > 1 and left > budget // 3 and rng.random() < 0.9:
            ways.pop(None, None)
        byte = rng.choice(ways[rng.choice(list(ways))])
        if byte == 256:
            break
        out.append(byte)
        after = c.advance(s, byte)
        assert after is not None
        s = after
    assert c.accepting(s)
    return out.decode()


def accepts(c: Constraint, text: str) -> bool:
    """What the masks say, byte by byte; mask and step must agree."""
    s = c.start()
    for byte in text.encode():
        allowed = bool(c.mask(s)[byte >> 5] >> (byte & 31) & 1)
        after = c.advance(s, byte)
        assert allowed == (after is not None)
        if after is None:
            return False
        s = after
    return c.accepting(s)


def mutated(text: str, alphabet: str, rng: random.Random) -> str:
    """One character more, less, other or twice."""
    at = rng.randrange(len(text) + 1)
    match rng.randrange(4):
        case 0:
            return text[:at] + rng.choice(alphabet) + text[at:]
        case 1:
            return text[:at] + text[at + 1 :]
        case 2:
            return text[:at] + rng.choice(alphabet) + text[at + 1 :]
        case _:
            return text[:at] + text[max(at - 2, 0) :]
