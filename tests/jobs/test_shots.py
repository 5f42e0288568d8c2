import itertools
import json
import random
from array import array
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmprog.jobs import Extraction, Fields, JobError, extract
from lmprog.jobs.documents import Document, source
from lmprog.jobs.extract import Job, by_prefix, open_memory
from lmprog.jobs.extract import run as run_job
from lmprog.jobs.layout import layout, shot
from lmprog.jobs.opening import open_state
from lmprog.jobs.shots import _canonical, _cover, choose, scorer
from lmprog.jobs.target import target
from lmprog.testing import RandomModel

SCHEMA = {"properties": {"kind": {"enum": ["cat", "dog"]}}, "required": ["kind"]}
TOPICS = ["river boat water", "forest tree leaf", "engine wheel road", "bread oven flour"]
POOL = [(f"{topic} {n}", {"kind": "cat"}) for n in range(3) for topic in TOPICS]
PLAIN = layout(SCHEMA)


def documents(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [f"{rng.choice(TOPICS)} {rng.choice('abcdefgh')} {rng.randrange(3)}" for _ in range(count)]


def test_documents_get_the_examples_that_are_like_them() -> None:
    docs = documents(40)
    prompt = choose(PLAIN, POOL, source(docs, Fields()), SCHEMA, 2, sets=12)

    for n, doc in enumerate(docs):
        shown = [prompt.shots[i] for i in prompt.sets[prompt.set_of(n)]]
        assert [doc[:5]] * 2 == [text[:5] for text in shown]
    assert shot(*POOL[0], SCHEMA) == prompt.shots[0]
    assert PLAIN.prefix == prompt.prefix


@pytest.mark.parametrize("seed", range(40))
def test_the_kept_sets_are_near_the_best_that_there_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.gamma(1.0, size=(12, 5)).astype(np.float32)
    own = {tuple(sorted(np.argsort(-row, kind="stable")[:2].tolist())) for row in scores}
    reach = np.sort(scores, axis=1)[:, -2:].sum(axis=1)

    def value(sets: Any) -> float:
        return float(
            np.mean(
                [max(row[list(members)].sum() for members in sets) / r for row, r in zip(scores, reach, strict=True)]
            )
        )

    kept = _cover(scores, 2, most=3)
    best = max(value(sets) for sets in itertools.combinations(sorted(own), min(3, len(own))))

    assert len(kept) <= 3
    assert set(kept) <= own
    assert (1 - 1 / np.e) * best <= value(kept) <= best + 1e-6


def test_common_examples_come_first_and_alike_sets_are_neighbours() -> None:
    sets, choice = _canonical(
        [(0, 1), (1, 2), (2, 3), (3, 4)], [0, 0, 1, 2, 0]
    )  # 1 in four prompts, 0 in three, 2 in two

    assert ((1, 0), (1, 2), (2, 3)) == sets
    assert array("H", [0, 0, 1, 2, 0]) == choice


def test_the_scores_are_bm25() -> None:
    """Against the formula, with Lucene's idf."""
    texts = ["a b b c", "a d", "e"]
    n, k1, b = len(texts) + 1, 1.5, 0.75  # the index holds one more, which has no word of these
    lengths = [4, 2, 1, 1]

    def weight(word: str, i: int) -> float:
        count = texts[i].split().count(word)
        df = sum(word in text.split() for text in texts)
        norm = k1 * (1 - b + b * lengths[i] / np.mean(lengths))
        return float(np.log(1 + (n - df + 0.5) / (df + 0.5)) * count / (count + norm))

    expected = [weight("a", i) + weight("b", i) for i in range(3)]

    assert expected == pytest.approx(scorer(texts)(Document(1, "A, b B! z")).tolist(), rel=1e-5)
    assert [0, 0, 0] == scorer(texts)(Document(1, "z")).tolist()
    assert [0] == scorer(["!"])(Document(1, "")).tolist()


@pytest.mark.parametrize("count", [0, 13])
def test_too_few_examples(count: int) -> None:
    with pytest.raises(JobError, match=f"cannot choose {count} examples of 12"):
        choose(PLAIN, POOL, source(documents(3), Fields()), SCHEMA, count)


def test_no_sets() -> None:
    with pytest.raises(JobError, match="no choice with 0 sets"):
        choose(PLAIN, POOL, source(documents(3), Fields()), SCHEMA, 2, sets=0)


def test_sets_may_be_weighed_on_a_part_of_the_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmprog.jobs.shots.SURVEYED", 20)
    texts = source(documents(190), Fields())
    prompt = choose(PLAIN, POOL, texts, SCHEMA, 2, sets=4)

    for n, doc in enumerate(texts.read()):
        assert all(prompt.shots[i].startswith(doc.text[:5]) for i in prompt.sets[prompt.set_of(n)])


def test_nothing_to_choose_for() -> None:
    prompt = choose(PLAIN, POOL, source([], Fields()), SCHEMA, 2)

    assert 0 == len(prompt.choice)


def run(docs: list[str], **options: Any) -> Extraction:
    return extract(RandomModel(1), docs, SCHEMA, examples=POOL, **options)


def test_prompts_share_their_examples() -> None:
    """Against the same number of examples for each document by itself, most like it first."""
    rng = random.Random(1)
    words = [chr(97 + a) + chr(97 + b) for a in range(8) for b in range(8)]
    pool = [(" ".join(rng.sample(words, 8)), {"kind": "dog"}) for _ in range(30)]
    docs = [" ".join(rng.sample(words, 8)) for _ in range(100)]
    texts, goal = source(docs, Fields()), target(SCHEMA)
    few, many = (choose(PLAIN, pool, texts, SCHEMA, 3, sets) for sets in (6, 100))
    score = scorer([text for text, _ in pool])
    best = tuple(tuple(np.argsort(-score(doc), kind="stable")[:3].tolist()) for doc in texts.read())
    naive = replace(many, sets=best, choice=range(100))

    computed = []
    for prompt in (few, many, naive):
        with closing(open_memory(100)) as state:
            job = Job(texts, goal, prompt)
            computed.append(run_job(job, job.worker(RandomModel(1)), state).prompt_tokens_computed)

    assert 6 == len(few.sets)
    for n, doc in enumerate(texts.read()):  # with sets enough, each document's examples are as good as the best
        assert score(doc)[list(best[n])].sum() == pytest.approx(score(doc)[list(many.sets[many.set_of(n)])].sum())
    assert computed[0] < computed[1] < computed[2]


def test_the_first_examples_only() -> None:
    few, all_ = run(documents(3), shots=2), run(documents(3))

    assert few.summary.prompt_tokens < all_.summary.prompt_tokens
    assert (
        few.summary.prompt_tokens
        == extract(RandomModel(1), documents(3), SCHEMA, examples=POOL[:2]).summary.prompt_tokens
    )


def test_another_choice_is_another_job(tmp_path: Path) -> None:
    docs, out = documents(30), tmp_path / "out.jsonl"
    first = run(docs, shots=2, choose="bm25", out=out)
    assert first == run(docs, shots=2, choose="bm25", out=out)

    with pytest.raises(JobError, match="another choice of examples"):
        run(docs, shots=2, choose="bm25", sets=1, out=out)
    with pytest.raises(JobError, match="another prompt and another choice of examples"):
        run(docs, shots=3, choose="bm25", out=out)
    one, other = (choose(PLAIN, POOL, source(some, Fields()), SCHEMA, 2).parts() for some in (docs, documents(9, 1)))
    assert one["prompt"] == other["prompt"]  # of which a calibration asks
    assert one != other


def test_choosing_needs_a_number() -> None:
    with pytest.raises(JobError, match="shots"):
        run(documents(3), choose="bm25")


def test_documents_with_the_same_examples_follow_one_another() -> None:
    texts = source(documents(300), Fields())
    prompt = choose(PLAIN, POOL, texts, SCHEMA, 2, sets=4)
    order = [n for n, _ in by_prefix(Job(texts, target(SCHEMA), prompt), open_memory(300))]
    sets = [prompt.set_of(n) for n in order]

    assert list(range(300)) == sorted(order)
    assert sorted(sets) == sets
    assert 4 == len(set(sets))


def test_two_workers_share_the_documents_of_each_set(tmp_path: Path) -> None:
    texts = source(documents(300), Fields())
    job = Job(texts, target(SCHEMA), choose(PLAIN, POOL, texts, SCHEMA, 2, sets=4))
    states = [open_state(tmp_path / "out.jsonl", {}, 300, resume=resume) for resume in (False, True)]
    walks, seen = [by_prefix(job, state) for state in states], [list[int](), list[int]()]
    for turn in range(400):
        seen[turn % 2] += [n for n, _ in itertools.islice(walks[turn % 2], 3)]

    assert list(range(300)) == sorted(seen[0] + seen[1])
    assert all(len(numbers) > 50 for numbers in seen)
    for state in states:
        state.close()


def test_the_input_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand documents are chosen for out of a stream that is read twice."""
    reads = 0
    texts = documents(10_000)

    class Stream:
        total, name, digest = len(texts), "", ""

        def read(self) -> Any:
            nonlocal reads
            reads += 1
            return (Document(n, text) for n, text in enumerate(texts))

    prompt = choose(PLAIN, POOL, Stream(), SCHEMA, 2)  # type: ignore[arg-type]

    assert 2 == reads
    assert 10_000 == len(prompt.choice)
    assert len(prompt.sets) <= 64


def test_command_line(lmprog: Any, tiny: Path, schema: Path, docs: Path, tmp_path: Path) -> None:
    pool = tmp_path / "pool.jsonl"
    rows = [{"text": f"{letter} and {letter}", "truth": {"word": "abcdef", "kind": "poem"}} for letter in "abcdefgh"]
    pool.write_text("\n".join(map(json.dumps, rows)))
    job = ["extract", docs, "--schema", schema, "-o", "out.jsonl", "--model", tiny, "--examples", pool]
    done = lmprog(*job, "--shots", 2, "--choose", "bm25", "--sets", 3)

    assert 1 == done.returncode, done.stderr  # two lines are broken
    assert "2 of 8 examples for each document, in 3 sets" in done.stderr
    assert 2 == lmprog(*job, "--choose", "bm25").returncode
