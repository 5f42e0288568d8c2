"""FSD and momentum decoding against their scores by hand on a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program
from lmprog.testing import TableModel
from lmprog.testing.enumerated import Table, random_table

LETTERS = "abcd"
LANGUAGE = lp.regex("[abc]{0,2}d?[ab]{3,9}")
BEGINS = lp.regex("[abc]{0,2}d?[ab]{0,9}").matches
Score = Callable[[float, str, str], float]


@program
def one(p: lp.Prompt, hole: Any) -> Any:
    return p("abacab", hole)


def ngram(text: str, letter: str, n: int, smoothing: float) -> float:
    """The probability of the letter under the smoothed n-gram model of the text."""
    found, left = 0.0, 1.0
    for size in range(n - 1, -1, -1):
        context = text[len(text) - size :]
        after = [text[i + size] for i in range(len(text) - size) if text[i : i + size] == context]
        if letter not in after or size > len(text):
            continue
        found += left * (smoothing if size else 1) * after.count(letter) / (len(after) + bool(size))
        left -= left * smoothing
    return found


def fsd(alpha: float, n: int, smoothing: float) -> Score:
    def score(chance: float, letter: str, text: str) -> float:
        return (1 - alpha) * chance - alpha * (ngram(text, letter, n, smoothing) if letter else 0.0)

    return score


def momentum(alpha: float, n: int) -> Score:
    resistance = [0, 1, 3, 4, 5, 6]

    def score(chance: float, letter: str, text: str) -> float:
        if not letter:
            return chance
        depth = max([d for d in range(n + 1) if (text + letter)[len(text) + 1 - d :] in text and d <= len(text)])
        return chance - alpha * resistance[depth]

    return score


def by_hand(table: Table, k: int, most: int, score: Score) -> str:
    """The value, chosen letter by letter; the end is any letter that leaves the language, and the end of text."""
    begun = ""
    while len(begun) < most:
        text = "abacab" + begun
        row = dict(zip([*LETTERS, ""], table(tuple(map(LETTERS.index, text))), strict=True))
        fits = {c: row[c] for c in LETTERS if any_value(begun + c, most)}
        if LANGUAGE.matches(begun):
            fits[""] = row[""] + sum([row[c] for c in LETTERS if not BEGINS(begun + c)])
        whole = sum(fits.values())
        first = sorted(fits, key=lambda c: -fits[c])[:k]
        scores = {c: score(fits[c] / whole, c, "^" + text) for c in first}  # a text begins with a token of its own
        best = max(scores, key=lambda c: scores[c])
        if not best:
            break
        begun += best
    return begun


def any_value(begun: str, most: int) -> bool:
    """Whether a value of at most so many letters begins so."""
    return BEGINS(begun) and any(LANGUAGE.matches(begun + "a" * more) for more in range(most - len(begun) + 1))


CASES: list[tuple[Any, Score]] = [
    (lp.FSD(), fsd(0.4, 2, 0.9)),
    (lp.FSD(0.7, k=5, n=4, smoothing=0.6), fsd(0.7, 4, 0.6)),
    (lp.FSD(0.0), fsd(0.0, 1, 0.0)),
    (lp.Momentum(), momentum(0.2, 5)),
    (lp.Momentum(0.05, k=2, n=3), momentum(0.05, 3)),
]


@pytest.mark.parametrize(("decoder", "score"), CASES, ids=range(len(CASES)))
def test_every_token_is_the_best_by_hand(decoder: Any, score: Score) -> None:
    values = set()
    for seed in range(20):
        table = random_table(seed, 4)
        value = one(gen(grammar=LANGUAGE, max_tokens=9), model=TableModel([*LETTERS], table), decoder=decoder)

        assert by_hand(table, decoder.k, 9, score) == value
        values.add(value)
    assert len(values) > 5


def circle(ids: tuple[int, ...]) -> list[float]:
    """ "a" to "f" one after the other, and again."""
    follows = (ids[-1] + 1) % 6 if ids and ids[-1] < 6 else 0
    return [0.5 if token == follows else 0.1 for token in range(6)] + [0.0]


LOOP = TableModel([*"abcdef"], circle)


@pytest.mark.parametrize("decoder", [lp.FSD(0.6), lp.FSD(0.6, n=4), lp.Momentum()], ids=repr)
def test_what_goes_in_circles_leaves_them(decoder: Any) -> None:
    circles = program(lambda p: p("a", gen(max_tokens=30)))

    assert circles(model=LOOP).count("cdefab") == 4
    assert circles(model=LOOP, decoder=decoder).count("cdefab") <= 1


def test_what_has_no_meaning_is_refused() -> None:
    for wrong in ({"alpha": -0.1}, {"alpha": float("nan")}, {"k": 0}, {"n": 0}):
        for kind in (lp.FSD, lp.Momentum):
            with pytest.raises(lp.SamplingError):
                kind(**wrong)
    shares: list[dict[str, Any]] = [{"alpha": 1.5}, {"smoothing": 1.5}]
    for share in shares:
        with pytest.raises(lp.SamplingError):
            lp.FSD(**share)
    with pytest.raises(lp.SamplingError, match="FSD weighs values"):
        one(gen(regex="a", repetition_penalty=2.0), model=LOOP, decoder=lp.FSD())
    with pytest.raises(lp.BudgetError):
        one(gen(regex="a{9}", max_tokens=2), model=LOOP, decoder=lp.Momentum())
