"""Text to table with the default model: structured decoding against plain prompting.

    python benchmarks/tables.py [--documents 64] [--shots 1 5] [--seed 5] [--write]

The documents are those of examples/make_orders.py, with other seeds than the files there. The same examples stand in
every prompt, greedy decoding, at most 512 tokens. What each way answers is compared with the truth as by
`lmprog eval tables --text loose`; see docs/tables.md for the measures.

    structured    `lmprog extract` with the schema examples/orders.py:Orders
    JSON          the same prompt, nothing enforced; read with leniency: of broken JSON every whole row counts
    Markdown      the examples' tables as Markdown, nothing enforced; read with leniency: any line with | is a row

`valid`: as JSON under the schema, or a Markdown table with the right header and as many cells in each row.
"""

import argparse
import gc
import json
import re
import runpy
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from report import machine, report, table, versions

import lmprog as lp
from lmprog import gen, program
from lmprog.jobs.layout import BREAK, compact, layout
from lmprog.jobs.same import Same
from lmprog.jobs.tables import compare, score_tables
from lmprog.jobs.target import target

EXAMPLES = Path(__file__).parent.parent / "examples"
COLUMNS = ("customer", "item", "count", "price")
MAX_TOKENS = 512
Docs = list[dict[str, Any]]


@program(preview=False)
def answer(p: Any, prompt: str) -> str:
    return p(prompt, gen(max_tokens=MAX_TOKENS, stop="\n\n"))


def structured(model: Any, docs: Docs, shots: Docs) -> list[str]:
    pairs = [(shot["text"], shot["truth"]) for shot in shots]
    schema = f"{EXAMPLES / 'orders.py'}:Orders"
    done = lp.extract(model, docs, target(schema).schema, examples=pairs, max_tokens=MAX_TOKENS)
    return ["" if record.error else compact(record.data) for record in done.records]


def plain(written: Callable[[Any], str], says: str | None) -> Callable[[Any, Docs, Docs], list[str]]:
    def way(model: Any, docs: Docs, shots: Docs) -> list[str]:
        frame = layout(target(f"{EXAMPLES / 'orders.py'}:Orders").schema, (), says)
        ask = lambda text: frame.suffix(text).replace("JSON:", f"{'JSON' if says is None else 'Table'}:")  # noqa: E731
        head = frame.prefix + "".join(ask(shot["text"]) + written(shot["truth"]) + BREAK for shot in shots)
        return answer.map([head + ask(doc["text"]) for doc in docs], model=model)

    return way


def markdown(rows: Sequence[Any]) -> str:
    lines = [
        COLUMNS,
        ["---"] * len(COLUMNS),
        *([row[c] if row[c] is not None else "" for c in COLUMNS] for row in rows),
    ]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def read_json(text: str) -> Any:
    """The answer, or as many whole rows as it begins with; None when there is no table at all."""
    begin = text.find("[")
    if begin < 0:
        return None
    try:
        return json.JSONDecoder().raw_decode(text, begin)[0]
    except ValueError:
        return [row for part in re.findall(r"\{[^{}]*\}", text[begin:]) if (row := _row(part)) is not None]


def _row(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def read_markdown(text: str) -> Any:
    lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines() if "|" in line]
    rows = [line for line in lines if not all(re.fullmatch(r":?-*:?", cell) for cell in line) or not any(line)]
    if not rows:
        return None
    return [dict(zip(rows[0], map(_number, row), strict=False)) for row in rows[1:]]


def _number(text: str) -> Any:
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else text or None


def valid_json(text: str) -> bool:
    try:
        target(f"{EXAMPLES / 'orders.py'}:Orders").read(text.strip())
    except lp.LmprogError:
        return False
    return True


def valid_markdown(text: str) -> bool:
    lines = [line.strip() for line in text.strip().splitlines()]
    head = markdown([]).splitlines()
    return lines[:2] == head and all(
        len(line.strip("|").split("|")) == len(COLUMNS) and line[0] == "|" for line in lines
    )


WAYS: dict[str, tuple[Any, Callable[[str], Any], Callable[[str], bool]]] = {
    "structured": (structured, read_json, valid_json),
    "JSON": (plain(compact, None), read_json, valid_json),
    "Markdown": (
        plain(markdown, "Read each text and write down as a table what it says."),
        read_markdown,
        valid_markdown,
    ),
}


def measured(name: str, docs: Docs, shots: Docs) -> list[Any]:
    way, read, valid = WAYS[name]
    gc.collect()  # the model before this one
    with lp.load() as model:
        before, began = model.engine.stats, time.process_time()
        texts = way(model, docs, shots)
        seconds, after = time.process_time() - began, model.engine.stats
    score = score_tables(
        compare(read(text), doc["truth"], Same("loose")) for text, doc in zip(texts, docs, strict=True)
    )
    f1 = [f"{count.f1:.1%}" for count in (score.cells, score.rows, score.tables, score.header)]
    sampled, forced = after.sampled - before.sampled, after.forced - before.forced
    share = sum(map(valid, texts)) / len(texts)
    return [len(shots), name, f"{share:.1%}", *f1, f"{seconds:.1f}", f"{sampled:,} + {forced:,}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="append the table to docs/benchmarks.md")
    options = parser.parse_args()
    make = runpy.run_path(str(EXAMPLES / "make_orders.py"))["documents"]
    docs = make(options.documents, options.seed)
    rows = [measured(name, docs, make(n, options.seed + 1)) for n in options.shots for name in WAYS]
    header = [
        "examples",
        "way",
        "valid",
        "cells F1",
        "rows F1",
        "tables F1",
        "header F1",
        "CPU s",
        "tokens sampled + forced",
    ]
    truth = sum(len(doc["truth"]) for doc in docs)
    setting = f"{len(docs)} documents, {truth} rows; {machine(1)}; {versions('lmprog', 'torch')}"
    report("Text to table", setting, table(header, rows), options.write)


if __name__ == "__main__":
    main()
