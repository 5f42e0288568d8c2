"""Quotes of a whole corpus: building and mapping the index, its size, and what masks cost.

    python benchmarks/corpus.py [--megabytes 10] [--quotes 40] [--write]

The documents are Python's own library, file by file. The quotes are 40 tokens from random places, written by the
default model's vocabulary (262,144 tokens); nearly every mask is one of a state that no quote before came to. For
comparison, masks of a JSON string of bounded length, along the same texts. Times are of the CPU.
"""

import argparse
import json
import random
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from report import machine, report, table, versions

from lmprog.grammars import Corpus, Grammar, Vocabulary, compile, json_quote, json_schema, quote
from lmprog.runtime.default_model import default_model_folder
from lmprog.runtime.hf_files import load_tokenizer

TOKENS = 40


def documents(size: int) -> dict[str, str]:
    """Files of the standard library, until there are `size` characters."""
    root, found = Path(sysconfig.get_paths()["stdlib"]), dict[str, str]()
    for path in sorted(root.rglob("*.py")):
        name = str(path.relative_to(root))
        if "site-packages" not in name and size > 0:
            found[name] = path.read_text(encoding="utf-8", errors="replace")
            size -= len(found[name])
    return found


def timed(do: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = do()
    return time.process_time() - start, result


def memory() -> int:
    """Bytes that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def walks(texts: list[str], count: int, in_json: bool) -> Iterator[bytes]:
    rng = random.Random(0)
    long = [text for text in texts if len(text) > 1000]
    for _ in range(count):
        text = rng.choice(long)
        at = rng.randrange(len(text) - 400)
        piece = text[at : at + 400]
        yield (json.dumps(piece, ensure_ascii=False) if in_json else piece).encode()


def masks(grammar: Grammar, vocab: Vocabulary, pieces: Iterator[bytes]) -> list[object]:
    """The cells of a line: the first mask, then those along quotes in microseconds, and the memory of all."""
    before = memory()
    constraint = compile(grammar, vocab)
    first, _ = timed(lambda: constraint.mask(constraint.start()))
    times, used = [], memory()
    for piece in pieces:
        state: int | None = constraint.start()
        for token in vocab.encode(piece)[:TOKENS]:
            assert state is not None
            state = constraint.advance(state, token)
            if state is None:  # a token that goes over the end of a quote
                break
            times.append(timed(lambda s=state: constraint.mask(s))[0] * 1e6)  # type: ignore[misc]
    p50, p90, p99 = np.percentile(times, [50, 90, 99])
    grown = (memory() - used) / len(times) / 1e3
    cells = [f"{first * 1e3:.0f}", f"{np.mean(times):.0f}", f"{p50:.0f}", f"{p90:.0f}", f"{p99:.0f}"]
    return [*cells, f"{grown:.0f}", f"{(memory() - before) / 1e6:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--quotes", type=int, default=40)
    parser.add_argument("--write", action="store_true", help="append to docs/benchmarks.md")
    options = parser.parse_args()
    docs = documents(int(options.megabytes * 1e6))
    texts, corpus = list(docs.values()), Corpus(docs)
    building, index = timed(corpus.index)
    size = sum(part.nbytes for part in (index.data, index.order, index.stops, index.starts))
    with tempfile.TemporaryDirectory() as folder:
        corpus.save(folder)
        mapping, _ = timed(lambda: Corpus.load(folder))
    finding, found = timed(lambda: corpus.read("import os", False, False))
    vocab = Vocabulary.from_tokenizer(load_tokenizer(default_model_folder()))
    string = json_schema({"type": "string", "maxLength": 10_000})
    lines: list[tuple[str, Grammar, bool]] = [
        ("quote(corpus)", quote(corpus), False),
        ("quote(corpus, max_chars=300)", quote(corpus, max_chars=300), False),
        ("json_quote(corpus)", json_quote(corpus), True),
        ("any JSON string, for comparison", string, True),
    ]
    rows = [[name, *masks(g, vocab, walks(texts, options.quotes, in_json))] for name, g, in_json in lines]
    setting = (
        f"{len(docs)} documents, {len(index.data):,} bytes; {machine(1)}; {versions('lmprog', 'numpy')}\n\n"
        f"Index: built in {building:.1f} s, {size / len(index.data):.2f} bytes a byte of text, mapped in "
        f"{mapping * 1e3:.1f} ms. A quote that stands in {found.count:,} places is found in {finding * 1e3:.1f} ms."
    )
    header = ["grammar", "first mask, ms", "mean, µs", "p50", "p90", "p99", "kB a mask", "MB in all"]
    report("Quotes of a corpus", setting, table(header, rows), options.write)


if __name__ == "__main__":
    main()
