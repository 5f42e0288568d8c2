"""An extraction job by lmprog and by transformers' `generate`, in one run on one machine.

    python benchmarks/extract_vs_generate.py [--documents 64] [--threads 1] [--write]

Both get the same weights in float32, the same prompts, the same constraint (for `generate` through a LogitsProcessor
over the same compiled masks) and decode greedily. `generate` runs in batches of 16, sorted by length, which pads least.
Loading is not timed; compiling the schema is part of lmprog's time, and its masks are then reused by `generate`.
"""

import argparse
import json
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from report import machine, report, table, versions
from transformers import AutoModelForCausalLM, LogitsProcessor, LogitsProcessorList

import lmprog as lp
from lmprog.jobs.documents import Document, Fields, source
from lmprog.jobs.extract import Job, Memory, run
from lmprog.jobs.layout import layout, read_examples
from lmprog.jobs.score import score
from lmprog.jobs.summary import Summary
from lmprog.jobs.target import target
from lmprog.jobs.work import Worker
from lmprog.runtime.load import find

EXAMPLES = Path(__file__).parent.parent / "examples"
BATCH = 16


class Mask(LogitsProcessor):
    """The constraint for one batch: a state a row, advanced by the row's newest token."""

    def __init__(self, worker: Worker, rows: int, eos: int) -> None:
        self.constraint, self.eos = worker.constraint, eos
        self.states: list[int | None] = [worker.state] * rows
        self.begun = False

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        masked = np.full(scores.shape, -np.inf, np.float32)
        values = scores.numpy()
        for row, token in enumerate(input_ids[:, -1].tolist()):
            ids = self._allowed(row, token)
            masked[row, ids] = values[row, ids]
        self.begun = True
        return torch.from_numpy(masked)

    def _allowed(self, row: int, token: int) -> Any:
        state = self.states[row]
        if self.begun and state is not None:
            state = self.states[row] = self.constraint.advance(state, token)
        if state is None or self.constraint.finished(state):
            self.states[row] = None
            return [self.eos]
        ids = self.constraint.allowed(state)
        return self._all(state) if ids is None else ids

    def _all(self, state: int) -> Any:
        return np.flatnonzero(np.unpackbits(self.constraint.mask(state).view(np.uint8), bitorder="little"))


def generate(model: Any, worker: Worker, docs: Sequence[Document], max_tokens: int) -> dict[int, str]:
    """The answers by number."""
    vocab = worker.model.vocab
    prompts = {
        n: [*worker.prefix, *vocab.encode(worker.layout.suffix(doc.text).encode())] for n, doc in enumerate(docs)
    }
    order = iter(sorted(prompts, key=lambda n: len(prompts[n])))
    answers = {}
    while batch := list(islice(order, BATCH)):
        width = max(len(prompts[n]) for n in batch)
        eos = min(vocab.eos)
        ids = torch.tensor([[eos] * (width - len(prompts[n])) + prompts[n] for n in batch])
        seen = torch.tensor([[0] * (width - len(prompts[n])) + [1] * len(prompts[n]) for n in batch])
        out = model.generate(
            input_ids=ids,
            attention_mask=seen,
            max_new_tokens=max_tokens,
            do_sample=False,
            eos_token_id=sorted(vocab.eos),
            pad_token_id=eos,
            logits_processor=LogitsProcessorList([Mask(worker, len(batch), eos)]),
        )
        for n, row in zip(batch, out[:, width:].tolist(), strict=True):
            answers[n] = vocab.decode([token for token in row if token not in vocab.eos]).decode(errors="replace")
    return answers


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    goal = target(str(options.schema))
    prompt = layout(goal.schema, read_examples(options.examples, Fields()))
    docs = list(islice(source(options.docs, Fields()).read(), options.documents))
    job = Job(source(docs, Fields()), goal, prompt, options.max_tokens)

    model = lp.load(options.model)
    ours, data, summary = with_lmprog(job, model)
    worker = job.worker(model)
    theirs, answers = with_generate(job, worker, docs, find(options.model)[0])
    same = sum(a == b for a, b in zip(data, answers, strict=True))
    setting = (
        f"{machine(options.threads)}; {versions('torch', 'transformers')}; {model.name}, float32, greedy; "
        f"{len(docs)} documents of {options.docs.name}, shared prompt of {len(worker.prefix)} tokens, "
        f"{summary.prompt_tokens} prompt and {summary.output_tokens} output tokens in all; "
        f"{same} of {len(docs)} answers are the same in both."
    )
    rows = [
        row("lmprog extract", ours, theirs, summary.prompt_tokens_computed, accuracy(data, docs)),
        row(f"transformers generate, batch {BATCH}", theirs, theirs, None, accuracy(answers, docs)),
    ]
    header = ["system", "seconds", "against generate", "prompt tokens computed", "field accuracy"]
    report("Extraction against transformers generate", setting, table(header, rows), options.write)


def with_lmprog(job: Job, model: Any) -> tuple[float, list[Any], Summary]:
    started, memory = time.perf_counter(), Memory()
    summary = run(job, job.worker(model), memory)
    return time.perf_counter() - started, [json.loads(line)["data"] for line in memory.lines()], summary


def with_generate(job: Job, worker: Worker, docs: Sequence[Document], folder: Path) -> tuple[float, list[Any]]:
    stock = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    started = time.perf_counter()
    answers = generate(stock, worker, docs, job.max_tokens)
    return time.perf_counter() - started, [parsed(answers[n]) for n in range(len(docs))]


def row(name: str, seconds: float, base: float, computed: int | None, right: str) -> list[object]:
    return [name, f"{seconds:.1f}", f"{base / seconds:.1f}x", computed or "all, padded", right]


def parsed(answer: str) -> Any:
    try:
        return json.loads(answer)
    except ValueError:
        return None


def accuracy(data: Sequence[Any], docs: Sequence[Document]) -> str:
    result = score(zip(data, (doc.truth for doc in docs), strict=True))
    return "no truth" if result is None else f"{result.accuracy:.1%}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, default=EXAMPLES / "changelogs.jsonl")
    parser.add_argument("--schema", type=Path, default=EXAMPLES / "changelogs.schema.json")
    parser.add_argument("--examples", type=Path, default=EXAMPLES / "changelogs.shots.jsonl")
    parser.add_argument("--model", help="a folder or cached hub id; the default model otherwise")
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--write", action="store_true", help="append the table to docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
