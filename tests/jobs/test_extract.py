import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

import lmprog
from lmprog.jobs import Chunks, Extraction, Fields, JobError, extract
from lmprog.jobs.work import IN_FLIGHT
from lmprog.runtime.routine import Routine
from lmprog.runtime.sampling import Sampling
from lmprog.testing import RandomModel

from .conftest import read


class Kind(BaseModel):
    word: str
    kind: Literal["math", "poem", "tale"]


SCHEMA = {
    "properties": {"word": {"type": "string", "maxLength": 8}, "kind": {"enum": ["math", "poem", "tale"]}},
    "required": ["word", "kind"],
}
DOCS = [f"document {n} " * (n % 7 + 1) for n in range(30)]


def data(done: Extraction) -> list[Any]:
    return [record.data for record in done.records]


def test_records_follow_the_schema_and_the_order() -> None:
    done = extract(RandomModel(1), DOCS, SCHEMA)

    assert list(range(1, 31)) == [record.id for record in done.records]
    assert all(set(value) == {"word", "kind"} for value in data(done))
    assert (30, 30, 0) == (done.summary.records, done.summary.valid, done.summary.failed)
    assert done.score is None


def test_the_shared_prompt_is_computed_once() -> None:
    done = extract(RandomModel(1), DOCS, SCHEMA, examples=[("a text " * 30, {"word": "text", "kind": "tale"})])
    own = done.summary.prompt_tokens_computed

    assert done.summary.hit_rate > 0.7
    assert own < done.summary.prompt_tokens / 3


def test_a_type_gives_its_values() -> None:
    done = extract(RandomModel(2), DOCS[:3], Kind)

    assert all(isinstance(value, Kind) for value in data(done))


def test_more_documents_than_are_kept_in_flight() -> None:
    done = extract(RandomModel(3), [f"{n}" for n in range(IN_FLIGHT + 50)], {"enum": ["a", "b"]})

    assert list(range(1, IN_FLIGHT + 51)) == [record.id for record in done.records]
    assert {"a", "b"} == set(data(done))


def test_errors_stay_with_their_record() -> None:
    long = "x y z " * 3000
    done = extract(
        RandomModel(1, context=2000), [DOCS[0], {"id": "no text"}, long, DOCS[1]], SCHEMA, chunks=Chunks(never=True)
    )
    kinds = [record.error and record.error["type"] for record in done.records]

    assert [None, "InputError", "ContextOverflow", None] == kinds
    assert "the document takes" in (done.records[2].error or {})["message"]
    assert (4, 2, 2) == (done.summary.records, done.summary.valid, done.summary.failed)


def test_an_answer_that_the_type_refuses_is_kept() -> None:
    class Picky(Kind):
        def model_post_init(self, context: Any) -> None:
            raise ValueError("never")

    done = extract(RandomModel(1), DOCS[:2], Picky)
    error = done.records[0].error or {}

    assert "OutputError" == error["type"]
    assert set(json.loads(error["answer"])) == {"word", "kind"}


def test_no_answer_fits() -> None:
    with pytest.raises(JobError, match=r"no answer fits in max_tokens=2: the shortest takes \d+"):
        extract(RandomModel(1), DOCS, SCHEMA, max_tokens=2)


def test_answers_are_scored_against_the_truth() -> None:
    docs = [{"txt": text, "gold": {"kind": "poem"}} for text in DOCS]
    done = extract(RandomModel(1), docs, SCHEMA, fields=Fields(text="txt", truth="gold"))
    expected = sum(value["kind"] == "poem" for value in data(done)) / 30

    assert done.score is not None
    assert expected == done.score.accuracy
    assert 1.0 == done.score.most_frequent


def test_sampling_depends_on_the_seed_and_the_record_only() -> None:
    def run(seed: int, docs: list[str]) -> list[Any]:
        return data(extract(RandomModel(1), docs, SCHEMA, sampling=Sampling(temperature=1.0, seed=seed)))

    first = run(5, DOCS)
    assert first == run(5, DOCS)
    assert first[:10] == run(5, DOCS[:10])
    assert first != run(6, DOCS)


def test_a_file_is_the_same_whatever_ran_before(tmp_path: Path) -> None:
    whole, part, docs = tmp_path / "whole.jsonl", tmp_path / "part.jsonl", DOCS * 12
    extract(RandomModel(1), docs, SCHEMA, out=whole)
    with pytest.raises(KeyboardInterrupt):
        extract(Interrupted(1, after=IN_FLIGHT + 60), docs, SCHEMA, out=part)
    assert not part.exists()
    done = extract(RandomModel(1), docs, SCHEMA, out=part, resume=True)

    assert whole.read_bytes() == part.read_bytes()
    assert 360 == done.summary.records
    assert 0 < done.summary.resumed < 360


class Interrupted(RandomModel):
    """Somebody presses Ctrl-C at the n-th document."""

    def __init__(self, seed: int, after: int) -> None:
        super().__init__(seed)
        self.left = after

    def run(self, routine: Routine[Any], **how: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return super().run(routine, **how)


def test_a_finished_file_is_read_not_made_again(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    first = extract(RandomModel(1), DOCS, SCHEMA, out=out)
    model = RandomModel(1)
    again = extract(model, DOCS, SCHEMA, out=out)

    assert first == again
    assert 0 == model.engine.stats.requests
    assert data(first) == [record["data"] for record in read(out)]


def test_watch_sees_every_record() -> None:
    seen: list[int] = []
    extract(RandomModel(1), DOCS, SCHEMA, watch=lambda now: seen.append(now.records))

    assert sorted(set(seen)) == seen
    assert 30 == seen[-1]


def test_no_documents(tmp_path: Path) -> None:
    done = extract(RandomModel(1), [], SCHEMA, out=tmp_path / "out.jsonl")

    assert [] == done.records
    assert b"" == (tmp_path / "out.jsonl").read_bytes()


def test_is_exported() -> None:
    assert lmprog.extract is extract
    assert lmprog.JobError is JobError
