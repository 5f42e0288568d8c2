"""What quote fields cost for each document, beside the schema that all documents share.

    python benchmarks/quote_fields.py [--write]

Texts are changelogs of examples/, one after the other; the vocabulary is Gemma's. Milliseconds, the median of nine
texts: to lay a text in, for the tokens that may begin a quote, and to go on by twenty characters of it.
"""

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path

from report import machine, report, table, versions
from transformers import AutoTokenizer

from lmprog.grammars import Vocabulary
from lmprog.grammars.json_schema import quoting_schema
from lmprog.grammars.quote_fields import Frame, QuoteFields
from lmprog.runtime.load import find

CHANGELOGS = Path(__file__).parent.parent / "examples" / "changelogs.jsonl"
TEXTS = 9


def milliseconds(frame: Frame, source: str) -> list[float]:
    times = [time.perf_counter()]
    fields = QuoteFields(frame, source)
    times.append(time.perf_counter())
    state = fields.advance(fields.start(), fields.vocab.ids[b'"'])
    assert state is not None
    fields.mask(state, budget=100)
    times.append(time.perf_counter())
    for token in fields.vocab.longest_match(json.dumps(source[100:120], ensure_ascii=False)[1:-1].encode()):
        after = fields.advance(state, token)
        assert after is not None
        fields.mask(after, budget=100)
        state = after
    times.append(time.perf_counter())
    return [1e3 * (b - a) for a, b in pairwise(times)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="append the table to docs/benchmarks.md")
    options = parser.parse_args()
    texts = [json.loads(line)["text"] for line in CHANGELOGS.open(encoding="utf-8")]
    vocab = Vocabulary.from_tokenizer(AutoTokenizer.from_pretrained(find(None)[0]))
    frame = Frame(*quoting_schema({"type": "string", "x-quote": True, "maxLength": 60}), vocab)
    rows = []
    for size in (1000, 10_000, 100_000):
        sources = ["\n".join([*texts[n:], *texts] * 3)[:size] for n in range(TEXTS)]
        columns = zip(*[milliseconds(frame, source) for source in sources], strict=True)
        rows.append([f"{size:,}", *(f"{sorted(column)[TEXTS // 2]:.1f}" for column in columns)])
    body = table(["characters", "lay in, ms", "first mask, ms", "20 characters, ms"], rows)
    report("Quote fields", f"{machine(1)}; {versions('lmprog', 'numpy')}", body, options.write)


if __name__ == "__main__":
    main()
