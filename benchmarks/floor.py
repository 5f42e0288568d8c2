"""A decode step against its floor: the same matrix products alone, and one read of the keys and values in use.

    python benchmarks/floor.py [--model FOLDER] [--batch 1 8 32] [--context 256] [--write]

The floor runs each linear layer by itself on random rows, by the faster of torch's and oneDNN's packed product, and
adds up every key and value that the batch sees, a shared prefix once. Half of each context is shared. Processor time,
one thread; the modes take turns within one run, and the least of all repetitions counts. A greedy step wants the
likeliest tokens only, not whole rows of logits, and so can be below the floor. The context is this project's README.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from report import machine, report, table, versions

from lmprog.runtime.hf import HFRunner
from lmprog.runtime.hf_files import load_tokenizer, load_weights
from lmprog.runtime.load import find
from lmprog.runtime.packed import PackedHead, PackedLinear, packable_layers
from lmprog.runtime.radix import Ids
from lmprog.runtime.runner import Batch, Span

Step = Callable[[], Any]


def decode(n: int, context: int, text: Ids) -> Batch:
    """One token for each of n sequences, whose contexts have their first half in common."""
    shared = context // 2
    own = shared + np.arange(n * (context - shared + 1)).reshape(n, -1)
    tables = [np.concatenate([np.arange(shared), row]) for row in own]
    ids = text[context : context + n]
    spans = [Span(i, 1, t) for i, t in enumerate(tables)]
    positions = np.full(n, context, np.int32)
    return Batch(ids, positions, np.array([t[-1] for t in tables]), spans, np.arange(n), [None] * n)


def prefill(batch: Batch, context: int, text: Ids) -> list[Batch]:
    """What leads up to a decode: the contexts, one by one."""
    at, none = np.arange(context, dtype=np.int32), np.zeros(0, np.int64)
    return [Batch(text[:context], at, s.table[:-1], [Span(0, context, s.table[:-1])], none, []) for s in batch.spans]


def floor(model: Any, n: int, slots: int, slot_bytes: int) -> Step:
    """The products of a step, and a read of its keys and values."""
    head = model.get_output_embeddings()
    layers = [layer for layer in packable_layers(model) if layer is not head]
    parts: list[Step] = []
    for layer in layers:
        x = torch.randn(1, n, layer.in_features)
        ways = [partial(f, x) for f in (PackedLinear(layer).forward, layer.forward)]
        parts.append(ways[int(np.argmin(least(ways, 5)))])
    rows, kv = torch.randn(n, head.in_features), torch.ones(slots * slot_bytes // 4)
    whole = PackedHead(head).forward
    return lambda: [*(part() for part in parts), whole(rows), kv.sum()]


def least(steps: Sequence[Step], times: int) -> list[float]:
    """Seconds of processor time of each, in turns."""
    seconds: list[list[float]] = [[] for _ in steps]
    for i in range(times + 1):
        for step, taken in zip(steps, seconds, strict=True):
            start = time.process_time()
            step()
            if i:
                taken.append(time.process_time() - start)
    return [min(taken) for taken in seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--write", action="store_true", help="append to docs/benchmarks.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder, name = find(options.model)
    first, second, third = (load_weights(folder, "float32", "cpu") for _ in range(3))
    usual = HFRunner(first, packed=True)
    kinds = {
        "step": usual,
        "greedy step": usual,
        "deterministic": HFRunner(first, packed=True, deterministic=True, verify=False),
        "float16 weights": HFRunner(second, rounded="float16"),
        "int8 weights": HFRunner(third, rounded="int8"),
    }
    context, rows = options.context, []
    text = np.array(
        load_tokenizer(folder)((Path(__file__).parent.parent / "README.md").read_text()).input_ids, np.int32
    )
    for n in options.batch:
        slots = context // 2 + n * (context - context // 2 + 1)
        for runner in kinds.values():
            runner.reserve(slots)
        batch = decode(n, context, text)
        greedy = replace(batch, greedy=dict.fromkeys(range(n)), size=usual.width)
        for runner in kinds.values():
            for part in prefill(batch, context, text):
                runner.forward(part)
        size = usual.slot_bytes
        steps: list[Step] = [
            partial(r.forward, greedy if kind == "greedy step" else batch) for kind, r in kinds.items()
        ]
        base, *taken = least([floor(first, n, slots, size), *steps], options.times)
        rows.append([str(n), f"{base * 1e3:.0f}", *(f"{s * 1e3:.0f} ({s / base:.2f}x)" for s in taken)])
    setting = (
        f"{name}, float32, {context} tokens of context, half shared; {machine(1)}; {versions('lmprog', 'torch')}. ms"
    )
    report("A decode step against its floor", setting, table(["batch", "floor", *kinds], rows), options.write)


if __name__ == "__main__":
    main()
