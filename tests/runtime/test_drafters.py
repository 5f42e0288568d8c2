"""What each drafter proposes, and how it is decided whether that is worth a step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lmprog.grammars import Vocabulary, compile, regex
from lmprog.runtime.engine import Engine
from lmprog.runtime.model import Model
from lmprog.runtime.request import Request
from lmprog.runtime.sequence import Sequence
from lmprog.runtime.speculation.copying import Copying
from lmprog.runtime.speculation.estimates import Rates, StepCosts
from lmprog.runtime.speculation.forced import Forced
from lmprog.runtime.speculation.ngrams import Ngrams
from lmprog.runtime.speculation.small import Small, respell
from lmprog.runtime.speculation.tree import ROOT, Tree
from lmprog.runtime.table import TableRunner


def sequence(ids: list[int], *generated: int, **options: Any) -> Sequence:
    seq = Sequence(Request(ids, 50, **options))
    for token in generated:
        seq.append(token)
    return seq


def paths(tree: Tree) -> set[tuple[int, ...]]:
    """From the root to each leaf."""
    ways: dict[int, tuple[int, ...]] = {ROOT: ()}
    for node, (token, parent) in enumerate(zip(tree.tokens, tree.parents, strict=True)):
        ways[node] = (*ways[parent], token)
    return {way for node, way in ways.items() if node not in tree.parents and node != ROOT}


@pytest.mark.parametrize(
    ("ids", "limit", "expected"),
    [
        ([1], 4, set()),
        ([1, 2, 3, 4], 4, set()),
        ([1, 2, 3, 4, 5, 1, 2], 3, {(3, 4, 5)}),
        ([1, 2, 3, 4, 5, 1, 2], 9, {(3, 4, 5, 1, 2, 3, 4, 5, 1)}),  # as in a loop
        ([7, 1, 2, 3, 8, 1, 2, 4, 7, 1, 2], 2, {(3, 8), (4,)}),  # the longer match first, the other one as a branch
        ([1, 2, 3, 8, 1, 2, 4, 7, 1, 2], 2, {(4, 7), (3,)}),  # the later of two
        ([5, 5, 5], 3, {(5, 5, 5)}),
    ],
)
def test_copies(ids: list[int], limit: int, expected: set[tuple[int, ...]]) -> None:
    (tree,) = Copying().propose([sequence(ids)], [limit])

    assert expected == paths(tree)


def test_copies_of_what_came_since() -> None:
    drafter = Copying()
    seq = sequence([1, 2])
    for token in np.random.default_rng(0).integers(0, 4, 40).tolist():
        fresh = Copying().propose([seq], [5])[0]
        assert paths(fresh) == paths(drafter.propose([seq], [5])[0])
        seq.append(token)
    drafter.ended(seq)

    assert not drafter._indices


def test_the_surer_the_longer_the_match() -> None:
    (tree,) = Copying().propose([sequence([*range(40), *range(3)])], [20])

    assert tree.kinds == sorted(tree.kinds)
    assert [1, 5] == [min(tree.kinds), max(tree.kinds)]


def test_ngrams_of_earlier_results() -> None:
    drafter = Ngrams()
    for last in (4, 4, 5):
        drafter.ended(sequence([1], 2, 3, last))
    (tree,) = drafter.propose([sequence([9, 1, 2])], [4])
    (nothing,) = drafter.propose([sequence([9])], [4])

    assert {(3, 4), (3, 5)} == paths(tree)
    assert not paths(nothing)


def test_ngrams_forget_the_older_half() -> None:
    drafter = Ngrams(memory=100)
    for start in range(0, 400, 10):
        drafter.ended(sequence([start], *range(start + 1, start + 10)))
    old, new = drafter.propose([sequence([0, 1, 2]), sequence([390, 391])], [3, 3])

    assert set() == paths(old)
    assert {(392, 393, 394)} == paths(new)
    assert len(drafter._counts) <= 100


LETTERS = Vocabulary([bytes((b,)) for b in b"abcdefgh"] + [b"ab", b"cde", None], {10})
PAIRS = Vocabulary([bytes((b,)) for b in b"hgfedcba"] + [b"fg", b"abc", None], {10})


def test_forced_text_is_spelt() -> None:
    constraint = compile(regex("abcdef|h"), LETTERS)
    state = constraint.advance(constraint.start(), 0)
    seq = sequence([7], 0, constraint=constraint)
    seq.state = state
    (tree,) = Forced(LETTERS).propose([seq], [9])

    assert {tuple(LETTERS.encode(b"bcdef"))} == paths(tree)


@pytest.mark.parametrize(
    ("pieces", "tokens", "chances"),
    [
        ([b"abc", b"de"], [8, 9], [0.9, 0.5]),
        ([b"a", b"bc", b"d"], [8, 2, 3], [0.5, 0.5, 0.2]),
        ([b"gfa"], [6, 5], [0.9, 0.9]),  # what might become "ab" is not proposed
        ([b"!"], [], []),
        ([], [], []),
    ],
)
def test_texts_spelt_anew(pieces: list[bytes], tokens: list[int], chances: list[float]) -> None:
    assert (tokens, chances) == respell(pieces, [0.9, 0.5, 0.2][: len(pieces)], LETTERS)


def logits(vocab: Vocabulary) -> Any:
    """Depends on the last bytes of the text only, whatever the vocabulary."""
    by_text = {b"a": b"b", b"b": b"cde", b"e": b"f", b"f": b"g", b"g": b"h", b"h": b"ab", b"c": b"d", b"d": b"e"}

    def row(prefix: tuple[int, ...]) -> Any:
        nxt = by_text.get(vocab.decode(prefix)[-1:], b"a")
        best = max((t for t in vocab.token_bytes if t and nxt.startswith(t)), key=len)
        return np.where(np.arange(vocab.size) == vocab.ids[best], 3.0, np.arange(vocab.size) / 100)

    return row


def toy_model(vocab: Vocabulary, **options: Any) -> Model:
    return Model(TableRunner(logits(vocab), vocab.size, options.pop("context", 512)), vocab, name="toy", **options)


@pytest.fixture(params=[LETTERS, PAIRS], ids=["same vocabulary", "another one"])
def small(request: pytest.FixtureRequest) -> Iterator[Small]:
    with toy_model(request.param) as model:
        yield Small(model, LETTERS)


def test_a_smaller_model_goes_on_as_it_would(small: Small) -> None:
    seq = sequence([7])
    expected = [8, 9, 5, 6, 7]
    for n in range(4):
        (tree,) = small.propose([seq], [5 - n])
        assert (way := next(iter(paths(tree)))) == tuple(expected[n : n + len(way)])
        seq.append(expected[n])
    small.ended(seq)

    assert small.model.engine.stats.prompt_tokens_computed < 8  # the rest was cached
    assert not small._texts


def test_a_smaller_model_keeps_to_the_constraint_and_its_whole_budget() -> None:
    constraint = compile(regex("[a-h]{2,40}"), LETTERS)
    seq = sequence([7], constraint=constraint)
    seq.state = constraint.start()
    with toy_model(LETTERS) as model:
        (tree,) = Small(model, LETTERS).propose([seq], [3])

    assert {(8, 9, 5)} == paths(tree)


def test_no_proposal_where_the_smaller_model_has_no_room() -> None:
    with toy_model(LETTERS, context=8) as model:
        trees = Small(model, LETTERS).propose([sequence([7] * 9), sequence([7])], [3, 3])

    assert [0, 3] == [len(tree) for tree in trees]


def test_models_draft_for_models() -> None:
    request = Request([7], 40, ignore_eos=True)
    with toy_model(LETTERS) as model, toy_model(PAIRS) as other:
        (expected,) = model.engine.generate([request])
        for drafting in (model, other):
            with toy_model(LETTERS, drafters=[Small(drafting, LETTERS)]) as target:
                (got,) = target.engine.generate([request])

                assert expected.ids == got.ids


# -- what it is worth -------------------------------------------------------------------------------------------------


def test_rates_go_from_the_first_guess_to_what_was_seen() -> None:
    rates = Rates()
    assert rates.rate("a", "kind", 0.7) == 0.7
    for _ in range(200):
        rates.add("a", "kind", False)
        rates.add("b", "kind", True)

    assert rates.rate("a", "kind", 0.7) < 0.05
    assert rates.rate("b", "kind", 0.7) > 0.95
    assert 0.4 < rates.rate("c", "kind", 0.7) < 0.6
    rates.ended("a")
    assert 0.4 < rates.rate("a", "kind", 0.7) < 0.6


@pytest.mark.parametrize(("fixed", "row", "head"), [(50.0, 2.0, 0.5), (1.0, 3.0, 0.0), (30.0, 0.1, 4.0)])
def test_costs_of_steps_are_found(fixed: float, row: float, head: float) -> None:
    costs, chance = StepCosts(), np.random.default_rng(0)
    for _ in range(60):
        tokens, wide = int(chance.integers(1, 40)), int(chance.integers(0, 20))
        costs.observe(tokens, wide, (fixed + tokens * row + wide * head) * chance.uniform(0.95, 1.05))
    costs.observe(5, 5, 1e6)  # something else had the machine

    for tokens, wide in [(1, 1), (20, 4), (40, 0)]:
        expected = fixed + tokens * row + wide * head
        assert abs(costs.step(tokens, wide) - expected) < 0.1 * expected + 2


def test_where_rows_cost_what_steps_cost_nothing_is_drafted() -> None:
    """In Python's table every row is computed by itself; random logits are not worth guessing either."""
    vocab = Vocabulary([bytes((b,)) for b in b"abcdefgh"] + [None], {8})

    def noise(prefix: tuple[int, ...]) -> Any:
        return np.random.default_rng(prefix).normal(size=(300, 9))[0]

    with Engine(TableRunner(noise, 9), vocab, drafters=[Copying(), Ngrams()]) as engine:
        engine.generate([Request([i, 1, 2, i, 1], 60, ignore_eos=True) for i in range(4)])
        engine.generate([Request([i, 2, 1, i, 2], 60, ignore_eos=True) for i in range(4)])

        assert engine.stats.drafted < 60
