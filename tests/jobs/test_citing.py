"""Quotes of a corpus in extraction jobs."""

import json
import random
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel, Field

from lmprog.grammars.corpus import Corpus
from lmprog.grammars.errors import EmptyLanguage
from lmprog.jobs import Chunks, JobError, Quote, extract
from lmprog.jobs.documents import Document
from lmprog.jobs.review import rows
from lmprog.runtime.sampling import Sampling
from lmprog.testing import RandomModel

from .conftest import Run, read

MODEL = RandomModel(1)
QUOTE = {"type": "string", "x-quote": True, "maxLength": 20}
SCHEMA = {
    "type": "object",
    "properties": {
        "claim": {"type": "string", "maxLength": 6},
        "seen": {"type": "array", "items": {"anyOf": [QUOTE, {"type": "null"}]}, "maxItems": 3},
        "proof": {**QUOTE, "minLength": 3},
    },
    "required": ["claim", "seen", "proof"],
    "additionalProperties": False,
}
TEXTS: dict[str | int, str] = {
    f"d{n}": "".join(random.Random(n).choices('ab "\\\r\n\t/é日🙂\u0301\u2028\x00', k=90)) for n in range(5)
}


def check(record: Any) -> None:
    assert record.error is None, record.error
    assert jsonschema_rs.is_valid(SCHEMA, record.data)
    quotes = {"/proof": record.data["proof"]}
    quotes |= {f"/seen/{i}": quote for i, quote in enumerate(record.data["seen"]) if quote is not None}
    assert quotes.keys() == record.evidence.keys()
    for pointer, quote in quotes.items():
        found = record.evidence[pointer]
        assert quote == found["text"] == TEXTS[found["document"]][found["start"] : found["end"]]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_quotes_stand_in_the_corpus(temperature: float) -> None:
    questions = [f"question {n}" for n in range(25)]
    sampling = Sampling(temperature=temperature, seed=2)
    done = extract(MODEL, questions, SCHEMA, corpus=Corpus(TEXTS), sampling=sampling, max_tokens=90, confidence=True)
    for record in done.records:
        check(record)


def test_long_documents_are_read_in_pieces() -> None:
    done = extract(MODEL, ["word " * 900], SCHEMA, corpus=Corpus(TEXTS), chunks=Chunks(300), max_tokens=90)
    record = done.records[0]

    assert record.error is None or "MergeError" == record.error["type"]
    if record.error is None:
        check(record)


def test_the_same_from_a_file_a_folder_and_a_saved_corpus(tmp_path: Path) -> None:
    folder, file, saved = tmp_path / "texts", tmp_path / "texts.jsonl", tmp_path / "saved"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / f"{name}").write_bytes(text.encode())
    file.write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in TEXTS.items()))
    corpus = Corpus(TEXTS)
    corpus.index(in_json=True)
    corpus.save(saved)
    found = [extract(MODEL, ["a", "b"], SCHEMA, corpus=each, max_tokens=90).records for each in (corpus, file, saved)]
    (folder / "d0").unlink()

    assert found[0] == found[1] == found[2]
    (folder / "d1").write_bytes(b"\xff")
    with pytest.raises(JobError, match="UTF-8"):
        extract(MODEL, ["a"], SCHEMA, corpus=folder)


class Claim(BaseModel):
    proof: Quote = Field(max_length=9)


def test_types() -> None:
    proof = extract(MODEL, ["a"], Claim, corpus=Corpus(TEXTS), max_tokens=60).records[0].data.proof

    assert proof == TEXTS[proof.document][proof.start : proof.end]


def test_what_is_refused(tmp_path: Path) -> None:
    out, corpus = tmp_path / "out.jsonl", Corpus(TEXTS)
    twice = tmp_path / "twice.jsonl"
    twice.write_text('{"id": 1, "text": "a"}\n{"id": 1, "text": "b"}\n')
    extract(MODEL, ["a"], SCHEMA, out=out, corpus=corpus, max_tokens=90)

    with pytest.raises(JobError, match="made with another corpus"):
        extract(MODEL, ["a"], SCHEMA, out=out, corpus=Corpus({**TEXTS, "d5": "x"}), max_tokens=90)
    with pytest.raises(JobError, match="made with another corpus"):
        extract(MODEL, ["a"], SCHEMA, out=out, max_tokens=90)
    with pytest.raises(JobError, match="this one does so nowhere"):
        extract(MODEL, ["a"], {"type": "integer"}, corpus=corpus)
    with pytest.raises(JobError, match="two documents with the id 1"):
        extract(MODEL, ["a"], SCHEMA, corpus=twice)
    with pytest.raises(JobError, match="no input at"):
        extract(MODEL, ["a"], SCHEMA, corpus=tmp_path / "none")
    with pytest.raises(EmptyLanguage):
        extract(MODEL, ["a"], SCHEMA, corpus=Corpus({"a": "b"}))


def test_a_file_for_review_shows_the_quote_and_not_another_text() -> None:
    done = extract(MODEL, ["document " * 9], SCHEMA, corpus=Corpus(TEXTS), confidence=True, max_tokens=90).records[0]
    record = {"id": 1, "data": done.data, "confidence": done.confidence, "evidence": done.evidence}

    assert {"document " * 9} == {row["context"] for row in rows([record], [Document(1, "document " * 9)])}


def test_on_the_command_line(tmp_path: Path, tiny: Path, lmprog: Run) -> None:
    (tmp_path / "s.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "docs.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("the cat sat on the mat")
    common = ("extract", "docs.jsonl", "--schema", "s.json", "--model", str(tiny), "--corpus", "texts")
    done = lmprog(*common, "--max-tokens", "90", "-o", "o.jsonl")

    assert 0 == done.returncode, done.stderr
    record = read(tmp_path / "o.jsonl")[0]
    assert "a.txt" == record["evidence"]["/proof"]["document"]
    assert record["data"]["proof"] in "the cat sat on the mat"
