"""Examples in the prompt: the same for all documents, or chosen for each by BM25, in few sets or in its own.

    python benchmarks/shots.py [--shots 4] [--random 10000] [--write]

The job is that of the demo: every other document of examples/changelogs.jsonl is read, the others are the examples to
choose from. A model with an empty cache for each way; hit rates are those of the job's summary. `--random N`: hit rates
only, of N made-up documents and 1,000 examples on a model that costs nothing, with a cache of 65,536 tokens.

    first      the first examples for all
    shared     chosen for each document, in the sets that `--choose bm25` makes
    own        each document's best examples, the best of all last, as they would be chosen without a thought of sharing
"""

import argparse
import gc
import json
import random
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from report import machine, report, table, versions

import lmprog as lp
from lmprog.jobs.documents import Fields, Source, source
from lmprog.jobs.extract import Job, open_memory, run
from lmprog.jobs.layout import Layout, layout
from lmprog.jobs.score import score
from lmprog.jobs.shots import prompts, scorer
from lmprog.jobs.target import target
from lmprog.testing import RandomModel

EXAMPLES = Path(__file__).parent.parent / "examples"
Pairs = list[tuple[str, Any]]


def ways(schema: Any, pool: Pairs, docs: Source, count: int) -> Iterator[tuple[str, Layout]]:
    yield "first", layout(schema, pool[:count])
    shared = prompts(schema, pool, docs, count=count, how="bm25")
    yield "shared", shared
    rank = scorer([text for text, _ in pool])
    own = tuple(tuple(np.argsort(-rank(doc), kind="stable")[:count][::-1].tolist()) for doc in docs.read())
    yield "own", replace(shared, sets=own, choice=range(len(own)))


def figures(model: Any, schema: Any, docs: Source, prompt: Layout) -> list[str]:
    """Sets, hit rate, prompt tokens computed, processor seconds, field accuracy."""
    job = Job(docs, target(schema), prompt)
    with closing(open_memory(docs.total)) as state:
        worker, began = job.worker(model), time.process_time()
        summary = run(job, worker, state)
        seconds = time.process_time() - began
        answers = [json.loads(line)["data"] for line in state.lines()]
    right = score(zip(answers, (doc.truth for doc in docs.read()), strict=True))
    computed = f"{summary.prompt_tokens_computed:,} of {summary.prompt_tokens:,}"
    accuracy = f"{right.accuracy:.1%}" if right else ""
    return [str(len(prompt.sets)), f"{summary.hit_rate:.1%}", computed, f"{seconds:.1f}", accuracy]


def changelogs(count: int) -> list[list[str]]:
    rows = [json.loads(line) for line in (EXAMPLES / "changelogs.jsonl").open(encoding="utf-8")]
    schema = json.loads((EXAMPLES / "changelogs.schema.json").read_text())
    docs, pool = source(rows[::2], Fields()), [(row["text"], row["truth"]) for row in rows[1::2]]
    lines = []
    for name, prompt in ways(schema, pool, docs, count):
        gc.collect()  # the model before this one
        with lp.load() as model:
            lines.append([f"{docs.total} changelogs", name, *figures(model, schema, docs, prompt)])
    return lines


def made_up(total: int, count: int) -> list[list[str]]:
    """Documents of 40 words, of one of 50 subjects each."""
    rng = random.Random(1)
    words = [f"{a}{b}{c}" for a in "bdfgklmn" for b in "aeiou" for c in "rstv"]
    subjects = [rng.sample(words, 30) for _ in range(50)]

    def text() -> str:
        return " ".join([*rng.choices(rng.choice(subjects), k=30), *rng.choices(words, k=10)])

    schema = {"enum": ["a", "b"]}
    pool: Pairs = [(text(), "a") for _ in range(1000)]
    docs = source([text() for _ in range(total)], Fields())
    return [
        [f"{total:,} made up", name, *figures(RandomModel(1, slots=65536), schema, docs, prompt)]
        for name, prompt in ways(schema, pool, docs, count)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--random", type=int, default=10_000)
    parser.add_argument("--write", action="store_true", help="append the table to docs/benchmarks.md")
    options = parser.parse_args()
    rows = [*changelogs(options.shots), *made_up(options.random, options.shots)]
    header = ["job", "examples", "sets", "hit rate", "prompt tokens computed", "CPU s", "field accuracy"]
    setting = f"{options.shots} examples a document; {machine(1)}; {versions('lmprog', 'torch', 'bm25s')}"
    report("Examples chosen for each document", setting, table(header, rows), options.write)


if __name__ == "__main__":
    main()
