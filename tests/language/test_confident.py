"""Branches by confidence, against the same by hand on a table."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program
from lmprog.testing import TableModel
from lmprog.testing.enumerated import Table, random_table

LETTERS = "abc="
LANGUAGE = lp.regex("[abc]{1,3}=[abc]{2}")
VALUES = [
    text for n in (4, 5, 6) for text in map("".join, itertools.product(LETTERS, repeat=n)) if LANGUAGE.matches(text)
]


@program
def one(p: lp.Prompt, hole: Any) -> Any:
    return p(hole)


def shares(table: Table, begun: str, values: list[str]) -> dict[str, float]:
    """Of the letters that may come next, the most probable one first."""
    may = {text[len(begun)] for text in values if text.startswith(begun) and len(text) > len(begun)}
    row = table(tuple(map(LETTERS.index, begun)))
    whole = sum([row[LETTERS.index(letter)] for letter in may])
    found = {letter: row[LETTERS.index(letter)] / whole for letter in may}
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def greedy(table: Table, begun: str) -> str:
    while begun not in VALUES:
        begun += next(iter(shares(table, begun, VALUES)))
    return begun


def margin(table: Table, text: str, i: int) -> float | None:
    row = shares(table, text[:i], VALUES)
    own = row.pop(text[i])
    return own - max(row.values()) if row else None


def confidence(table: Table, text: str, places: range) -> float:
    found = [m for i in places if (m := margin(table, text, i)) is not None]
    return sum(found) / len(found)


def by_hand(table: Table, k: int, rounds: int, answer: str | None) -> dict[str, float]:
    """The best value, and each answer's confidence."""
    texts = [greedy(table, letter) for letter in list(shares(table, "", VALUES))[:k]]
    begun = dict.fromkeys(texts, 1) | {texts[0]: 0}
    for _ in range(rounds - 1):
        places = []
        for text in texts:
            for i in range(begun[text], text.index("=") + 1 if answer else len(text)):
                second = list(shares(table, text[:i], VALUES))[1:2]
                if second and not any(other.startswith(text[:i] + second[0]) for other in texts):
                    places.append((margin(table, text, i), text, i, second[0]))
        for _, text, i, letter in sorted(places)[:k]:
            new = greedy(table, text[:i] + letter)
            texts.append(new)
            begun[new] = i + 1
    sums: dict[str, float] = {}
    for text in texts:
        said = text[text.index("=") + 1 :] if answer else text
        start = len(text) - len(said)
        sums[said] = sums.get(said, 0.0) + confidence(table, text, range(start, len(text)))
    return sums


@pytest.mark.parametrize("answer", [None, "=(.*)"])
@pytest.mark.parametrize(("k", "rounds"), [(1, 1), (2, 1), (3, 1), (1, 4), (2, 3)])
def test_answers_and_their_confidence_are_as_by_hand(k: int, rounds: int, answer: str | None) -> None:
    for seed in range(15):
        table = random_table(seed, 4)
        hole = gen(grammar=LANGUAGE, name="x")
        run = one.run(hole, model=TableModel([*LETTERS], table), decoder=lp.Confident(k, answer, rounds=rounds))
        exact = by_hand(table, k, rounds, answer)
        found = {p.text[p.text.index("=") + 1 :] if answer else p.text: p.score for p in run.captures["x"].particles}

        assert pytest.approx(exact, abs=1e-5) == found
        assert (
            next(iter(found))
            == max(exact, key=lambda said: exact[said])
            == (run.value.split("=")[1] if answer else run.value)
        )


def test_a_sure_answer_behind_an_unlikely_beginning_wins() -> None:
    """ "0" comes first, and then nothing is sure; "1" leads to one answer."""

    def row(ids: tuple[int, ...]) -> list[float]:
        return [0.6, 0.4, 0.0] if not ids else [0.5, 0.5, 0.0] if ids[0] == 0 else [0.01, 0.99, 0.0]

    model, hole = TableModel(["0", "1"], row), gen(regex="[01]{3}")

    assert "000" == one(hole, model=model)
    assert "111" == one(hole, model=model, decoder=lp.Confident(2, ".{2}$"))
    assert "000" == one(hole, model=model, decoder=lp.Confident(1, ".{2}$"))
    assert "000" == one(hole, model=model, decoder=lp.Confident(2, "7"))  # no answer: the first value


def test_conditions_and_what_has_no_meaning() -> None:
    table = random_table(1, 4)
    model = TableModel([*LETTERS], table)

    assert "b" == one(gen(grammar=LANGUAGE, where=lambda x: x[0] == "b"), model=model, decoder=lp.Confident(3))[0]
    with pytest.raises(lp.NoSample, match="none of the 3 values found passes"):
        one(gen(grammar=LANGUAGE, where=lambda x: False), model=model, decoder=lp.Confident(3))
    for wrong in ({"k": 0}, {"rounds": 0}, {"answer": "("}, {"answer": 3}):
        with pytest.raises(lp.SamplingError):
            lp.Confident(**wrong)
    assert lp.Confident(answer="a") == lp.Confident(answer="a") != lp.Confident(answer="b")
