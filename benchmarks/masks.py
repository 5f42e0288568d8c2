"""Token masks for JSON Schemas: lmprog, llguidance and xgrammar, in one run on one machine.

    python benchmarks/masks.py [--data FILE.jsonl] [--limit 20] [--vocab FILE.json.gz] [--write]

Every engine compiles each schema and is then led through the texts of its instances, twice: the first pass is cold, in
the second every state has been seen before, as for all documents of a job but the first. `--data`: lines of
{"schema": ..., "tests": [{"data": ..., "valid": true}]} (MaskBench's form); without it, the demo's schema and truths.
The vocabulary is the default model's (262,144 tokens), or one from a file: {"tokens": [text in latin-1, ...],
"special": [ids], "eos": id}. Loading it is not timed. Times are of the CPU, so that other work on the machine matters
less; reading that clock takes about 1 µs, which is in every figure. An engine that takes longer than --seconds for a
schema is stopped there.
"""

import argparse
import gzip
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from report import machine, report, table, versions

from lmprog.grammars import LmprogError, Vocabulary, compile, json_schema
from lmprog.runtime.default_model import default_model_folder
from lmprog.runtime.hf_files import load_tokenizer

EXAMPLES = Path(__file__).parent.parent / "examples"
Job = tuple[str, list[list[int]]]
Figures = dict[str, list[float]]


@dataclass
class Tokens:
    """One vocabulary, in the forms that the engines want."""

    vocab: Vocabulary
    texts: list[bytes]
    special: list[int]
    eos: int
    tokenizer: Any = None

    @classmethod
    def load(cls, path: Path | None) -> "Tokens":
        if path is None:
            tokenizer = load_tokenizer(default_model_folder())
            vocab = Vocabulary.from_tokenizer(tokenizer)
            return cls(vocab, [t or b"" for t in vocab.token_bytes], [], min(vocab.eos), tokenizer)
        with gzip.open(path, "rt", encoding="utf-8") as file:
            found = json.load(file)
        texts = [text.encode("latin-1") for text in found["tokens"]]
        special = {*found["special"], found["eos"]}
        vocab = Vocabulary([None if i in special else t for i, t in enumerate(texts)], {found["eos"]})
        return cls(vocab, texts, sorted(special), found["eos"])


class Lmprog:
    def __init__(self, tokens: Tokens) -> None:
        self.vocab = tokens.vocab
        assert self.vocab.slices

    def compile(self, schema: str) -> Any:
        return compile(json_schema(json.loads(schema)), self.vocab)

    def start(self, compiled: Any) -> Any:
        return [compiled, compiled.start()]

    def mask(self, state: Any) -> Any:
        return state[0].mask(state[1])

    def advance(self, state: Any, token: int) -> None:
        state[1] = state[0].advance(state[1], token)


class Wrapped:
    """A vocabulary as llguidance wants it where there is no tokenizer."""

    bos_token_id = None

    def __init__(self, tokens: Tokens) -> None:
        self.eos_token_id, self.tokens, self.special_token_ids = tokens.eos, tokens.texts, tokens.special
        self.encode = tokens.vocab.encode

    def __call__(self, text: bytes | str) -> list[int]:
        return self.encode(text.encode() if isinstance(text, str) else text)


class Llguidance:
    def __init__(self, tokens: Tokens) -> None:
        import llguidance
        import llguidance.hf
        import llguidance.numpy

        self.lib, self.fill = llguidance, llguidance.numpy.fill_next_token_bitmask
        if tokens.tokenizer is not None:
            self.tokenizer = llguidance.hf.from_tokenizer(tokens.tokenizer)
        else:
            self.tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Wrapped(tokens)))
        self.buffer = llguidance.numpy.allocate_token_bitmask(1, tokens.vocab.size)

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
    def __init__(self, tokens: Tokens) -> None:
        import torch
        import xgrammar

        torch.set_num_threads(1)
        self.lib = xgrammar
        if tokens.tokenizer is not None:
            info = xgrammar.TokenizerInfo.from_huggingface(tokens.tokenizer)
        else:
            info = xgrammar.TokenizerInfo(tokens.texts, xgrammar.VocabType.RAW, stop_token_ids=[tokens.eos])
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self.buffer = xgrammar.allocate_token_bitmask(1, tokens.vocab.size)

    def compile(self, schema: str) -> Any:
        return self.compiler.compile_json_schema(schema, strict_mode=False, any_whitespace=True)

    def start(self, compiled: Any) -> Any:
        return self.lib.GrammarMatcher(compiled)

    def mask(self, state: Any) -> Any:
        state.fill_next_token_bitmask(self.buffer, 0)
        return self.buffer.numpy()[0]

    def advance(self, state: Any, token: int) -> None:
        state.accept_token(token)


ENGINES: dict[str, Callable[[Tokens], Any]] = {"lmprog": Lmprog, "llguidance": Llguidance, "xgrammar": Xgrammar}


def cases(path: Path | None, vocab: Vocabulary, limit: int) -> Iterator[Job]:
    """(schema, token ids of its valid instances)"""
    if path is None:
        lines = [json.loads(line) for line in (EXAMPLES / "changelogs.jsonl").open()]
        texts = [json.dumps(line["truth"], ensure_ascii=False) for line in lines]
        yield (EXAMPLES / "changelogs.schema.json").read_text(), [vocab.encode(t.encode()) for t in texts]
        return
    lines = path.read_text().splitlines()
    for line in lines[:: max(1, len(lines) // limit)][:limit]:
        job = json.loads(line)
        texts = [json.dumps(t["data"], ensure_ascii=False) for t in job["tests"] if t["valid"]]
        yield json.dumps(job["schema"]), [vocab.encode(t.encode()) for t in texts]


def follow(engine: Any, compiled: Any, instances: list[list[int]]) -> tuple[list[float], list[float]]:
    """Microseconds of each mask and each advance along the instances, as far as they are accepted."""
    masks, advances = [], []
    for ids in instances:
        state = engine.start(compiled)
        for token in ids:
            t0 = time.process_time_ns()
            row = engine.mask(state)
            masks.append((time.process_time_ns() - t0) / 1e3)
            if not int(row[token >> 5]) >> (token & 31) & 1:
                break
            t0 = time.process_time_ns()
            engine.advance(state, token)
            advances.append((time.process_time_ns() - t0) / 1e3)
    return masks, advances


def measure(engine: Any, schema: str, instances: list[list[int]]) -> Figures:
    t0 = time.process_time()
    try:
        compiled = engine.compile(schema)
        engine.mask(engine.start(compiled))
    except (LmprogError, ValueError, RuntimeError):
        return {"refused": [1]}
    first = (time.process_time() - t0) * 1e3
    cold = follow(engine, compiled, instances)[0]
    warm, advances = follow(engine, compiled, instances)
    return {"first": [first], "cold": cold, "warm": warm, "advance": advances}


def serve(engine: Any, jobs: list[Job], out: Connection) -> None:
    for job in jobs:
        out.send(measure(engine, *job))


def measure_all(engine: Any, jobs: list[Job], seconds: float) -> Figures:
    """In a process of its own, which is started anew behind a schema that takes too long."""
    total: Figures = {key: [] for key in ("first", "cold", "warm", "advance", "refused", "stopped")}
    fork, done = get_context("fork"), 0
    while done < len(jobs):
        ours, theirs = fork.Pipe()
        process = fork.Process(target=serve, args=(engine, jobs[done:], theirs))
        process.start()
        theirs.close()
        while done < len(jobs):
            found: Figures = ours.recv() if ours.poll(seconds) else {"stopped": [1]}
            done += 1
            for key, values in found.items():
                total[key] += values
            if "stopped" in found:
                break
        process.kill()
        process.join()
    return total


def row(name: str, found: Figures) -> list[str]:
    def shown(key: str, *points: float) -> str:
        values = found[key] or [float("nan")]
        return " / ".join([f"{np.mean(values):.1f}", *(f"{np.percentile(values, p):.1f}" for p in points)])

    return [
        name,
        f"{len(found['refused'])} / {len(found['stopped'])}",
        shown("first", 50, 99),
        shown("cold", 50, 90, 99, 100),
        shown("warm", 50, 90, 99, 100),
        shown("advance", 50, 99),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--limit", type=int, default=20, help="schemas out of the file, evenly spread")
    parser.add_argument("--vocab", type=Path)
    parser.add_argument("--seconds", type=float, default=60, help="that a schema may take")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--write", action="store_true", help="append the result to docs/benchmarks.md")
    args = parser.parse_args()
    tokens = Tokens.load(args.vocab)
    jobs = list(cases(args.data, tokens.vocab, args.limit))
    rows = []
    for name in args.engines:
        try:
            engine = ENGINES[name](tokens)
        except ImportError:
            print(f"{name} is not installed: left out (pip install {name})")
            continue
        rows.append(row(name, measure_all(engine, jobs, args.seconds)))
    source = args.data.name if args.data else "the demo's schema"
    setting = (
        f"{len(jobs)} schemas of {source}, vocabulary of {tokens.vocab.size:,} tokens; {machine(1)}; "
        f"{versions('lmprog', 'llguidance', 'xgrammar')}. CPU time; first mask in ms (mean / p50 / p99), masks in µs "
        "(mean / p50 / p90 / p99 / max), advance in µs (mean / p50 / p99)."
    )
    header = ["engine", "refused / stopped", "schema to first mask", "mask, cold", "mask, warm", "advance"]
    report("Masks for JSON Schemas", setting, table(header, rows), args.write)


if __name__ == "__main__":
    main()
