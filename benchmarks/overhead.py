"""What the runtime itself costs per sequence and step: the engine on a model whose forward is free.

    python benchmarks/overhead.py [--batch 256] [--steps 60] [--vocab 32000] [--write]

The runner hands out logits that were made beforehand, so that all of the time is bookkeeping: scheduling, packing the
batch, masks and automaton states, sampling, commit. Sampling from full rows grows with the vocabulary, the rest does
not. The constraint is a JSON Schema with a long string, whose states repeat as they do in a job.
"""

import argparse
import time
from collections.abc import Callable
from itertools import islice, product
from typing import Any

import numpy as np
from report import machine, report, table, versions

from lmprog.grammars import Vocabulary, compile, json_schema
from lmprog.runtime.engine import Engine
from lmprog.runtime.request import Request
from lmprog.runtime.runner import Batch
from lmprog.runtime.sampling import Sampling

PROMPT = 500
PARTS = ("schedule", "forward", "sample", "mask")


class FreeRunner:
    """Rows of random logits, the same ones for ever; what they cost is handing them out."""

    def __init__(self, width: int) -> None:
        self.width, self.context = width, 1 << 20
        rng = np.random.default_rng(0)
        self._rows = list(rng.normal(size=(8, width)).astype(np.float32))

    def reserve(self, slots: int | None) -> int:
        return slots or 1 << 18

    def forward(self, batch: Batch) -> list[Any]:
        return [self._rows[i % 8] if c is None else self._rows[i % 8][: len(c)] for i, c in enumerate(batch.columns)]


def vocabulary(size: int) -> Vocabulary:
    """Every byte, then words of letters."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(word).encode() for word in islice(product(letters, repeat=4), size - 257)]
    return Vocabulary([*[bytes((b,)) for b in range(256)], *words, None], {size - 1})


def measure(vocab: Vocabulary, batch: int, steps: int, make: Callable[[list[int]], Request]) -> list[str]:
    """Microseconds per sequence and step: of the processor, by the clock, and of each part by the clock."""
    rng = np.random.default_rng(1)
    head = rng.integers(0, 256, PROMPT).tolist()
    requests = [make([*head, *rng.integers(0, 256, 20).tolist()]) for _ in range(batch)]
    with Engine(FreeRunner(vocab.size), vocab, max_running=batch, max_batch_tokens=1 << 16) as engine:
        engine.generate(requests)  # the second time round, masks are known and the prompts are cached
        before, start, cpu = engine.stats, time.perf_counter(), time.process_time()
        engine.generate(requests)
        seconds, cpu, after = time.perf_counter() - start, time.process_time() - cpu, engine.stats
    count = after.sampled - before.sampled
    parts = [getattr(after, f"{part}_seconds") - getattr(before, f"{part}_seconds") for part in PARTS]
    return [f"{s / count * 1e6:.1f}" for s in (cpu, seconds, *parts, seconds - sum(parts))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--vocab", type=int, default=32_000)
    parser.add_argument("--write", action="store_true", help="append to docs/benchmarks.md")
    options = parser.parse_args()
    vocab, steps = vocabulary(options.vocab), options.steps
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    constraint = compile(json_schema(schema), vocab)
    kinds: dict[str, Callable[[list[int]], Request]] = {
        "greedy": lambda ids: Request(ids, steps, ignore_eos=True),
        "greedy, JSON Schema": lambda ids: Request(ids, steps, constraint),
        "temperature 1": lambda ids: Request(ids, steps, sampling=Sampling(1.0, seed=ids[-1]), ignore_eos=True),
    }
    rows = [[kind, *measure(vocab, options.batch, steps, make)] for kind, make in kinds.items()]
    setting = (
        f"Batch {options.batch}, {steps} steps, vocabulary of {vocab.size:,}; {machine(1)}; {versions('lmprog')}. "
        "Microseconds per sequence and step; the clock runs on while other work has the processor."
    )
    body = table(["request", "CPU", "clock", *PARTS, "the rest"], rows)
    report("Overhead of the runtime with a free model", setting, body, options.write)


if __name__ == "__main__":
    main()
