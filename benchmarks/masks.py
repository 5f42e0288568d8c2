"""Token masks for JSON Schemas: lmprog, llguidance and xgrammar, in one run on one machine.

    python benchmarks/masks.py [--data FILE.jsonl] [--limit 20] [--engines lmprog llguidance xgrammar] [--write]

Every engine compiles each schema and is then led through the texts of its instances, twice: the first pass is cold, in
the second every state has been seen before, as for all documents of a job but the first. `--data`: lines of
{"schema": ..., "tests": [{"data": ..., "valid": true}]} (MaskBench's form); without it, the demo's schema and truths.
The vocabulary is the default model's (262,144 tokens). Loading it is not timed.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from report import machine, report, table, versions

from lmprog.grammars import LmprogError, Vocabulary, compile, json_schema
from lmprog.runtime.default_model import default_model_folder
from lmprog.runtime.hf_files import load_tokenizer

EXAMPLES = Path(__file__).parent.parent / "examples"


class Lmprog:
    def __init__(self, tokenizer: Any, vocab: Vocabulary) -> None:
        self.vocab = vocab
        assert vocab.slices
        assert vocab.trie

    def compile(self, schema: str) -> Any:
        return compile(json_schema(json.loads(schema)), self.vocab)

    def start(self, compiled: Any) -> Any:
        return [compiled, compiled.start()]

    def mask(self, state: Any) -> Any:
        return state[0].mask(state[1])

    def advance(self, state: Any, token: int) -> None:
        state[1] = state[0].advance(state[1], token)


class Llguidance:
    def __init__(self, tokenizer: Any, vocab: Vocabulary) -> None:
        import llguidance
        import llguidance.hf
        import llguidance.numpy

        self.lib, self.fill = llguidance, llguidance.numpy.fill_next_token_bitmask
        self.tokenizer = llguidance.hf.from_tokenizer(tokenizer)
        self.buffer = llguidance.numpy.allocate_token_bitmask(1, vocab.size)

    def compile(self, schema: str) -> Any:
        matcher = self.lib.LLMatcher(self.tokenizer, self.lib.LLMatcher.grammar_from_json_schema(schema), log_level=0)
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        return matcher

    def start(self, compiled: Any) -> Any:
        return compiled.deep_copy()

    def mask(self, state: Any) -> Any:
        self.fill(state, self.buffer, 0)
        return self.buffer[0]

    def advance(self, state: Any, token: int) -> None:
        state.consume_token(token)


class Xgrammar:
    def __init__(self, tokenizer: Any, vocab: Vocabulary) -> None:
        import xgrammar

        self.lib = xgrammar
        info = xgrammar.TokenizerInfo.from_huggingface(tokenizer)
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self.buffer = xgrammar.allocate_token_bitmask(1, vocab.size)

    def compile(self, schema: str) -> Any:
        return self.compiler.compile_json_schema(schema, strict_mode=False, any_whitespace=True)

    def start(self, compiled: Any) -> Any:
        return self.lib.GrammarMatcher(compiled)

    def mask(self, state: Any) -> Any:
        state.fill_next_token_bitmask(self.buffer, 0)
        return self.buffer.numpy()[0]

    def advance(self, state: Any, token: int) -> None:
        state.accept_token(token)


ENGINES: dict[str, Callable[[Any, Vocabulary], Any]] = {
    "lmprog": Lmprog,
    "llguidance": Llguidance,
    "xgrammar": Xgrammar,
}


def cases(path: Path | None, vocab: Vocabulary, limit: int) -> Iterator[tuple[str, list[list[int]]]]:
    """(schema, token ids of its valid instances)"""
    if path is None:
        lines = [json.loads(line) for line in (EXAMPLES / "changelogs.jsonl").open()]
        texts = [json.dumps(line["truth"], ensure_ascii=False) for line in lines]
        yield (EXAMPLES / "changelogs.schema.json").read_text(), [vocab.encode(t.encode()) for t in texts]
        return
    with path.open() as file:
        for line in list(file)[:: max(1, sum(1 for _ in path.open()) // limit)][:limit]:
            job = json.loads(line)
            texts = [json.dumps(t["data"], ensure_ascii=False) for t in job["tests"] if t["valid"]]
            yield json.dumps(job["schema"]), [vocab.encode(t.encode()) for t in texts]


def follow(engine: Any, compiled: Any, instances: list[list[int]]) -> tuple[list[float], list[float]]:
    """Microseconds of each mask and each advance along the instances, as far as they are accepted."""
    masks, advances = [], []
    for ids in instances:
        state = engine.start(compiled)
        for token in ids:
            t0 = time.perf_counter()
            row = engine.mask(state)
            t1 = time.perf_counter()
            masks.append((t1 - t0) * 1e6)
            if not int(row[token >> 5]) >> (token & 31) & 1:
                break
            t0 = time.perf_counter()
            engine.advance(state, token)
            advances.append((time.perf_counter() - t0) * 1e6)
    return masks, advances


def measure(engine: Any, jobs: list[tuple[str, list[list[int]]]]) -> dict[str, list[float]]:
    out: dict[str, list[float]] = {"first": [], "cold": [], "warm": [], "advance": [], "refused": []}
    for schema, instances in jobs:
        t0 = time.perf_counter()
        try:
            compiled = engine.compile(schema)
            engine.mask(engine.start(compiled))
        except (LmprogError, ValueError, RuntimeError):
            out["refused"].append(1)
            continue
        out["first"].append((time.perf_counter() - t0) * 1e3)
        out["cold"] += follow(engine, compiled, instances)[0]
        warm, advances = follow(engine, compiled, instances)
        out["warm"] += warm
        out["advance"] += advances
    return out


def row(name: str, found: dict[str, list[float]]) -> list[str]:
    def shown(key: str, *points: float) -> str:
        values = found[key] or [float("nan")]
        return " / ".join([f"{np.mean(values):.1f}", *(f"{np.percentile(values, p):.1f}" for p in points)])

    return [
        name,
        str(len(found["refused"])),
        shown("first", 50, 99),
        shown("cold", 50, 99, 100),
        shown("warm", 50, 99, 100),
        shown("advance", 50, 99),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--limit", type=int, default=20, help="schemas out of the file, evenly spread")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--write", action="store_true", help="append the result to docs/benchmarks.md")
    args = parser.parse_args()
    tokenizer = load_tokenizer(default_model_folder())
    vocab = Vocabulary.from_tokenizer(tokenizer)
    jobs = list(cases(args.data, vocab, args.limit))
    rows = []
    for name in args.engines:
        try:
            engine = ENGINES[name](tokenizer, vocab)
        except ImportError:
            print(f"{name} is not installed: left out (pip install {name})")
            continue
        rows.append(row(name, measure(engine, jobs)))
    source = args.data.name if args.data else "the demo's schema"
    setting = (
        f"{len(jobs)} schemas of {source}, vocabulary of {vocab.size:,} tokens; {machine(1)}; "
        f"{versions('lmprog', 'llguidance', 'xgrammar')}. Mean / p50 / p99 (/ max); first mask in ms, the rest in µs."
    )
    header = ["engine", "refused", "schema to first mask", "mask, cold", "mask, warm", "advance"]
    report("Masks for JSON Schemas", setting, table(header, rows), args.write)


if __name__ == "__main__":
    main()
