"""On a GPU: tokens per second against transformers, what masks cost a step, and a decode step against its floor.

    python benchmarks/gpu.py [--shapes 1B 8B] [--batch 1 32 256] [--prompt 512] [--tokens 128] [--write]
    python benchmarks/gpu.py --device cpu --tiny        # tries this script where there is no GPU

Llama's shapes of 1B and 8B with random weights in bfloat16. Prompts begin with the same half; no text ends early. The
floor of a decode step is one read of all weights, keys and values at the speed at which this device copies memory.
Everything runs once on other prompts first: graphs are captured and kernels chosen then.
"""

import argparse
import gc
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from overhead import vocabulary
from report import machine, report, table, versions
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig, LlamaConfig

from lmprog.grammars import Vocabulary, compile, json_schema
from lmprog.runtime.choice import ANYTHING
from lmprog.runtime.engine import Engine
from lmprog.runtime.hf import HFRunner
from lmprog.runtime.request import Request
from lmprog.runtime.runner import Batch, Span
from lmprog.runtime.sampler import Pick
from lmprog.runtime.sampling import Sampling

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 1000},
    "1B": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "tie_word_embeddings": True},
    "8B": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32},
}
HEADS = {"tiny": (4, 2), "1B": (32, 8), "8B": (32, 8)}
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
Prompts = list[list[int]]
Generate = Callable[[Prompts, int], list[list[int]]]


def random_model(shape: str, device: str) -> Any:
    heads, kv_heads = HEADS[shape]
    common = {"vocab_size": 128_256, "max_position_embeddings": 1 << 15, "rope_theta": 500_000.0}
    config = LlamaConfig(**common | SHAPES[shape], num_attention_heads=heads, num_key_value_heads=kv_heads)
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=dtype).eval()


def prompts(seed: int, n: int, length: int, width: int) -> Prompts:
    """The first half is the same for all."""
    rng = np.random.default_rng(seed)
    head = rng.integers(0, width, length // 2).tolist()
    return [[*head, *rng.integers(0, width, length - len(head)).tolist()] for _ in range(n)]


def runner_of(model: Any) -> HFRunner:
    """As on a GPU, but for what only a GPU can do."""
    return HFRunner(model, on_device=True, graphs=True) if model.device.type == "cpu" else HFRunner(model)


@contextmanager
def engine(model: Any, vocab: Vocabulary, batch: int, length: int, tokens: int) -> Any:
    runner = runner_of(model)
    slots = 2 * (batch * (length // 2 + tokens + 1) + length)
    with Engine(runner, vocab, max_running=batch, max_batch_tokens=8192, slots=slots) as made:
        yield made


def endless(n: int) -> GenerationConfig:
    return GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0, max_new_tokens=n)


def by_generate(model: Any) -> Generate:
    def generate(todo: Prompts, n: int) -> list[list[int]]:
        ids = torch.tensor(todo, device=model.device)
        out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=endless(n))
        return [row[len(todo[0]) :] for row in out.tolist()]

    return generate


def by_continuous_batching(model: Any) -> Generate:
    def generate(todo: Prompts, n: int) -> list[list[int]]:
        small = {"num_blocks": 16, "max_batch_tokens": 256} if model.device.type == "cpu" else {}
        done = model.generate_batch(todo, endless(n), ContinuousBatchingConfig(**small))
        return [list(one.generated_tokens) for one in done.values()]

    return generate


def by_engine(made: Engine, constraint: Any = None) -> Generate:
    def generate(todo: Prompts, n: int) -> list[list[int]]:
        requests = [Request(ids, n, constraint, ignore_eos=constraint is None) for ids in todo]
        return [result.ids for result in made.generate(requests)]

    return generate


def seconds(generate: Generate, batch: int, length: int, tokens: int, width: int) -> tuple[float, int]:
    """Of one run, after another one on other prompts; and how many tokens came."""
    generate(prompts(1, batch, length, width), tokens)
    todo = prompts(2, batch, length, width)
    wait()
    start = time.perf_counter()
    answers = generate(todo, tokens)
    wait()
    return time.perf_counter() - start, sum(map(len, answers))


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def rate(make: Callable[[], Generate], *sizes: int) -> float | None:
    """Tokens per second; None (and the reason on the screen) for what does not run here."""
    try:
        taken, count = seconds(make(), *sizes)
        return count / taken
    except Exception as error:
        print(f"failed: {error!r}")
        return None
    finally:
        gc.collect()
        torch.cuda.empty_cache()


def throughput(model: Any, vocab: Vocabulary, batch: int, length: int, tokens: int) -> list[str]:
    sizes = batch, length, tokens, vocab.size - 1
    with engine(model, vocab, batch, length, tokens) as made:
        ours = rate(lambda: by_engine(made), *sizes)
    peers = [rate(lambda make=make: make(model), *sizes) for make in (by_generate, by_continuous_batching)]
    assert ours is not None
    return [f"{ours:.0f}", *("–" if r is None else f"{r:.0f} ({ours / r:.1f}x)" for r in peers)]


def masks(model: Any, vocab: Vocabulary, batch: int, length: int, tokens: int) -> list[str]:
    """Milliseconds a step without and with masks: all of it, and the engine's own parts of it."""
    constraint = compile(json_schema(SCHEMA, whitespace="compact"), vocab)
    out = []
    with engine(model, vocab, batch, length, tokens) as made:
        for todo in (by_engine(made), by_engine(made, constraint)):
            todo(prompts(1, batch, length, vocab.size - 1), tokens)
            before, start = made.stats, time.perf_counter()
            todo(prompts(2, batch, length, vocab.size - 1), tokens)
            taken, after = time.perf_counter() - start, made.stats
            steps = after.steps - before.steps
            out.append((taken / steps, (after.mask_seconds - before.mask_seconds) / steps))
    (free, _), (held, own) = out
    return [f"{free * 1e3:.2f}", f"{held * 1e3:.2f}", f"{(held - free) * 1e6 / batch:.1f}", f"{own * 1e6 / batch:.1f}"]


def decode(model: Any, batch: int, context: int, bandwidth: float) -> list[str]:
    """Milliseconds of a greedy decode step, from ids to ids, and of reading what it has to read."""
    runner = runner_of(model)
    shared, own = context // 2, context - context // 2
    runner.reserve(shared + batch * own)
    tables = [np.concatenate([np.arange(shared), shared + i * own + np.arange(own)]) for i in range(batch)]
    ids, positions = np.full(batch, 7, np.int32), np.full(batch, context - 1, np.int32)
    spans = [Span(i, 1, table) for i, table in enumerate(tables)]
    step = Batch(ids, positions, np.array([t[-1] for t in tables]), spans, np.arange(batch), [None] * batch)
    picks = [Pick(i, ANYTHING, Sampling(), None, None) for i in range(batch)]

    def run() -> object:
        if not runner.on_device:
            return runner.forward(step)
        return runner.launch(step).rows(step.rows, step.columns, range(batch)).draw(runner.width, picks)

    taken = least(run)
    read = sum(p.numel() * p.element_size() for p in model.parameters())
    if not model.config.tie_word_embeddings:
        read -= model.get_input_embeddings().weight.numel() * model.dtype.itemsize  # of which few rows are read
    floor = (read + (shared + batch * own) * runner.slot_bytes) / bandwidth
    return [f"{floor * 1e3:.2f}", f"{taken * 1e3:.2f} ({taken / floor:.2f}x)"]


def least(run: Callable[[], object], times: int = 20) -> float:
    taken = []
    for _ in range(times):
        wait()
        start = time.perf_counter()
        run()
        wait()
        taken.append(time.perf_counter() - start)
    return min(taken)


def copied(device: str) -> float:
    """Bytes that a copy reads and writes in a second."""
    source = torch.ones(1 << (28 if device != "cpu" else 24), dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() * 4 / least(lambda: target.copy_(source))


def measured(options: argparse.Namespace, device: str, shapes: Sequence[str]) -> dict[str, list[list[str]]]:
    rows: dict[str, list[list[str]]] = {"throughput": [], "masks": [], "decode": []}
    bandwidth = copied(device)
    for shape in shapes:
        model = random_model(shape, device)
        vocab = vocabulary(model.config.vocab_size)
        for batch in options.batch:
            sizes = batch, options.prompt, options.tokens
            rows["decode"].append([shape, str(batch), *decode(model, batch, options.prompt, bandwidth)])
            rows["masks"].append([shape, str(batch), *masks(model, vocab, *sizes)])
            rows["throughput"].append([shape, str(batch), *throughput(model, vocab, *sizes)])
        del model
        gc.collect()
        torch.cuda.empty_cache()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["1B", "8B"])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, short texts, small batches")
    parser.add_argument("--write", action="store_true", help="append to docs/benchmarks.md")
    options = parser.parse_args()
    if options.tiny:
        options.shapes, options.batch, options.prompt, options.tokens = ["tiny"], [1, 3], 40, 40
    device = options.device
    name = torch.cuda.get_device_name() if device != "cpu" else machine(torch.get_num_threads())
    found = versions("lmprog", "torch", "transformers", "flashinfer-python", "flash-attn")
    rows = measured(options, device, options.shapes)
    place = f"Random weights; {name}; {found}."
    text = (
        f"Prompts of {options.prompt} tokens with half in common, {options.tokens} new tokens each; tokens per second. "
    )
    body = table(["shape", "batch", "lmprog", "generate", "continuous batching"], rows["throughput"])
    report("Throughput on a GPU", text + place, body, options.write)
    text = (
        "ms per step without masks and within a JSON string; then µs per sequence: the difference, masks on the CPU. "
    )
    body = table(["shape", "batch", "free", "JSON Schema", "difference", "on the CPU"], rows["masks"])
    report("Masks on a GPU", text + place, body, options.write)
    text = f"ms, {options.prompt} tokens of context, half of them shared. "
    body = table(["shape", "batch", "floor", "step"], rows["decode"])
    report("A decode step on a GPU against its floor", text + place, body, options.write)


if __name__ == "__main__":
    main()
