"""Quotes of a whole corpus against str.find and the list of all substrings."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lmprog as lp
from lmprog.grammars import (
    Corpus,
    EmptyLanguage,
    InvalidConstraint,
    UnsupportedConstraint,
    Vocabulary,
    compile,
    json_quote,
    literal,
    quote,
)
from lmprog.grammars.constraint import Automatic
from lmprog.grammars.derive import minlen
from lmprog.grammars.expr import INF
from lmprog.grammars.store import StoreError, save

from .test_native import agree
from .test_quote import accepted

CORPORA = [
    ["a"],
    ["ba", "na", "banana"],
    ["é日 é", "", "日😀é", "é日😀é"],
    ["aa", "aaa", "a"],
    ['say "no"\\', "\t twice\n", "\x00\x01\x7f\u2028"],
    ["x_1 x-1", "x_1 é1", "_"],
]
NASTY = 'ab é\u0301日😀\n"\\\x00_1'


def spans(doc: str, words: bool) -> Iterator[tuple[int, int]]:
    cut = re.compile(r"(?<=\w)(?=\w)")
    borders = [i for i in range(len(doc) + 1) if not (words and cut.match(doc, i))]
    return itertools.combinations(borders, 2)


def expected(docs: list[str], low: int = 1, high: int | None = None, words: bool = False) -> set[str]:
    texts = {doc[i:j] for doc in docs for i, j in spans(doc, words)}
    return {s for s in texts if low <= len(s) <= (high or len(s))}


@pytest.mark.parametrize("docs", CORPORA, ids=str)
@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize(("low", "high"), [(1, None), (1, 3), (2, 4)])
def test_exactly_the_substrings_of_documents(docs: list[str], words: bool, low: int, high: int | None) -> None:
    corpus = Corpus(docs)
    if max(map(len, docs)) < low:
        with pytest.raises(EmptyLanguage, match="has no quote of 2"):
            quote(corpus, min_chars=low)
        return
    texts = expected(docs, low, high, words)
    plain = quote(corpus, min_chars=low, max_chars=high, words=words)
    inside = json_quote(corpus, min_chars=low, max_chars=high, words=words)

    assert {b.decode() for b in accepted(plain.expr)} == texts
    assert {json.loads(b) for b in accepted(inside.expr)} == texts
    assert all(b.decode() == json.dumps(json.loads(b), ensure_ascii=False) for b in accepted(inside.expr))
    assert minlen(plain.expr) == min((len(s.encode()) for s in texts), default=INF)


def test_native_and_reference_agree() -> None:
    for n, docs in enumerate(CORPORA):
        for words in (False, True):
            agree(quote(Corpus(docs), words=words).expr, n)
            agree((literal("<") + json_quote(Corpus(docs), words=words) + "a" + quote("ab") + ">").expr, n)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(NASTY, max_size=12), min_size=1, max_size=5), st.booleans(), st.booleans(), st.randoms())
def test_all_places(docs: list[str], words: bool, in_json: bool, rng: random.Random) -> None:
    corpus = Corpus({f"d{n}": doc for n, doc in enumerate(docs)})
    found = [(n, *span) for n, doc in enumerate(docs) for span in spans(doc, words)]
    if not found:
        return
    n, start, end = rng.choice(found)
    said = docs[n][start:end]
    grammar = (json_quote if in_json else quote)(corpus, words=words)
    value = grammar.parse(json.dumps(said, ensure_ascii=False) if in_json else said)

    where = [(f"d{n}", i, j) for n, i, j in found if docs[n][i:j] == said]
    assert (value.text, where, len(where)) == (said, value.places, value.count)
    assert where[0] == (value.document, value.start, value.end)
    assert docs[int(str(value.document)[1:])][value.start : value.end] == said


TOKENS = ["a", "b", "n", "an", "ana", "ban", "na", "é", " ", "a b", "\n", "nab", '"', "\\", "\\n", 'a"']


@pytest.mark.parametrize("in_json", [False, True])
def test_masks_equal_those_of_all_substrings(in_json: bool) -> None:
    docs = ["banana ban", "nab\na", "aébé", 'a"b']
    corpus = Corpus(docs)
    texts = expected(docs)
    if in_json:
        texts = {json.dumps(text, ensure_ascii=False) for text in texts}
    grammar = json_quote(corpus) if in_json else quote(corpus)
    vocab = Vocabulary([*[t.encode() for t in TOKENS], None], {len(TOKENS)})
    c, rng = compile(grammar, vocab), random.Random(0)
    for _ in range(60):
        s, done = c.start(), ""
        while True:
            rests = {t[len(done) :] for t in texts if t.startswith(done)}
            wanted = {i for i, t in enumerate(TOKENS) if any(r.startswith(t) for r in rests)}
            ids = c.allowed(s)
            assert ids is not None
            assert wanted | ({len(TOKENS)} if "" in rests else set()) == set(ids.tolist())
            if not wanted:
                break
            token = rng.choice(sorted(wanted))
            s, done = c.advance(s, token) or 0, done + TOKENS[token]


@pytest.mark.parametrize("seed", range(12))
def test_masks_equal_running_every_token(seed: int) -> None:
    """With tokens that begin and end inside of characters, along random walks."""
    from lmprog.testing import RandomModel

    rng, vocab = random.Random(seed), RandomModel().vocab
    docs = ["".join(rng.choices('ab 日本語é🙂–…\n"\\', k=rng.randrange(30))) for _ in range(4)]
    corpus, words = Corpus([*docs, "日本"]), rng.random() < 0.5
    sources = [quote(corpus, words=words), json_quote(corpus, words=words), quote("".join(docs) + "é")]
    c = compile(literal("日") + rng.choice(sources) + "語", vocab)
    assert isinstance(c, Automatic)
    for _ in range(30):
        s: int | None = c.start()
        while s is not None and not c.finished(s):
            wanted = {i for i, t in enumerate(vocab.token_bytes) if t and c._automaton.run(s, t) >= 0}
            ids = c.allowed(s, limit=vocab.size)
            assert ids is not None
            assert wanted == set(ids.tolist()) - vocab.eos
            s = c.advance(s, rng.choice(sorted(wanted)))


def test_saved_and_loaded(tmp_path: Path) -> None:
    docs: dict[int | str, str] = {"x": 'é "日"\n', 7: "aéa", "empty": ""}
    corpus = Corpus(docs)
    corpus.index(in_json=True, words=True)
    corpus.save(tmp_path / "c")
    corpus.index()
    corpus.save(tmp_path / "c")  # in place of the other
    again = Corpus.load(tmp_path / "c")

    assert isinstance(again.index().order, np.memmap)
    assert list(docs.values()) == list(again.texts()) == list(corpus.texts())
    assert ("x", 7, "empty") == again.ids
    for words in (False, True):  # the second one is built
        assert {b.decode() for b in accepted(quote(again, words=words).expr)} == expected([*docs.values()], words=words)
    assert [("x", 0, 1), (7, 1, 2)] == quote(again).parse("é").places
    assert ("x", 2, 5) == json_quote(again, words=True).parse('"\\"日\\""').places[0]


def test_files_that_are_no_corpus(tmp_path: Path) -> None:
    Corpus(["abc", "d"]).save(tmp_path)
    about, order = tmp_path / "corpus.json", tmp_path / "text-order.npy"
    with pytest.raises(FileNotFoundError):
        Corpus.load(tmp_path / "none")
    np.save(order, np.zeros(3))
    with pytest.raises(StoreError, match="other kinds"):
        Corpus.load(tmp_path)
    np.save(order, np.array([10**6, 0], np.int32))
    with pytest.raises(ValueError, match="not an index"):
        compile(quote(Corpus.load(tmp_path)), Vocabulary([b"a", None], {1}))
    order.write_bytes(b"junk")
    with pytest.raises(StoreError, match="is damaged"):
        Corpus.load(tmp_path)
    about.write_text("[]")
    with pytest.raises(StoreError, match="does not hold a corpus"):
        Corpus.load(tmp_path)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConstraint, match="a corpus is of str"):
        Corpus([b"a"])  # type: ignore[list-item]
    with pytest.raises(InvalidConstraint, match="half a surrogate pair"):
        quote(Corpus(["\ud800"]))
    with pytest.raises(EmptyLanguage, match="a source of 0 characters"):
        quote(Corpus([]))
    with pytest.raises(ValueError, match="'ac' is no quote of the corpus"):
        quote(Corpus(["ab", "c"])).parse("ac")
    with pytest.raises(UnsupportedConstraint, match="save the corpus"):
        save(compile(quote(Corpus(["ab"])), Vocabulary([b"a", b"b", None], {2})), tmp_path / "c.npz")


def test_fields_of_a_schema() -> None:
    corpus = Corpus({"a": 'say "no"', "b": "é 日"})
    properties = {"n": {"type": "integer"}, "said": {"type": "string", "x-quote": True, "maxLength": 4}}
    schema = {"type": "object", "properties": properties, "required": ["n", "said"], "additionalProperties": False}
    grammar = lp.json_schema(schema, quotes=corpus)

    for said in expected(list(corpus.texts()), 1, 4):
        assert {"n": 1, "said": said} == grammar.parse(json.dumps({"n": 1, "said": said}, ensure_ascii=False))
    for said in ["", "é日", 'no"é', 'ay "n']:
        assert not grammar.matches(json.dumps({"n": 1, "said": said}, ensure_ascii=False))
    assert [("b", 2, 3)] == corpus.find("日").places
    assert [("a", 4, 8)] == corpus.find('"no"').places
    assert [("a", 4, 8)] == Corpus(dict(zip(corpus.ids, corpus.texts(), strict=True))).find('"no"').places
    with pytest.raises(UnsupportedConstraint, match="quotes need the text that they are from"):
        lp.json_schema(schema)


def test_a_hole(tmp_path: Path) -> None:
    from lmprog.testing import RandomModel

    corpus = lp.Corpus({"rain": "It rained all day.", "sun": "The sun shone on the sea."})

    @lp.program(model=RandomModel(3))
    def said(p: lp.Prompt) -> Any:
        return p("Evidence: ", lp.quote(corpus, words=True, name="evidence", max_tokens=8))

    run = said.run()
    run.save(tmp_path / "run.json")
    value = run.value
    kept = lp.Run.load(tmp_path / "run.json").value

    assert dict(zip(corpus.ids, corpus.texts(), strict=True))[value.document][value.start : value.end] == value.text
    assert {"text": value.text, "document": value.document, "start": value.start, "end": value.end} == kept
    assert run.captures["evidence"].value == value
