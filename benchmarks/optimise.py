"""What `lp.optimise` gains on real tasks with the default model: `python benchmarks/optimise.py [classify] [extract]`.

Rows are split into those to search on and those to compare on; the search never sees the latter. What is compared is
the program as it was written, with a plain instruction and no examples, and the one that was found, paired. With
`--state FOLDER` a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import lmprog as lp
from examples.changelogs import Entry
from lmprog import gen, program, select

EXAMPLES = Path(__file__).parent.parent / "examples"
Rows = list[dict[str, Any]]


@program
def sentiment(p: lp.Prompt, text: str) -> str:
    p(lp.slot("instruction", "Say whether the text is positive or negative."), "\n\n")
    p(lp.examples(format="Text: {text}\nSentiment: {sentiment}\n\n"))
    found: str = p("Text: ", text, "\nSentiment: ", select(["positive", "negative"], name="sentiment"), "\n")
    return found


@program
def entry(p: lp.Prompt, text: str) -> Entry:
    p(lp.slot("instruction", "The changelog entry as JSON."), "\n\n")
    p(lp.examples(format="{text}\n\nJSON: {entry}\n\n\n"))
    found: Entry = p(text, "\n\nJSON: ", gen(Entry, name="entry"), "\n")
    return found


def snippets() -> tuple[Rows, Rows]:
    """120 rows to search on, 240 to compare on."""
    rows = [json.loads(line) for line in (EXAMPLES / "snippets.jsonl").read_text(encoding="utf-8").splitlines()]
    return rows[:120], rows[120:360]


def changelogs() -> tuple[Rows, Rows]:
    """Every other one of those of up to 1,500 characters."""
    lines = (EXAMPLES / "changelogs.jsonl").read_text(encoding="utf-8").splitlines()
    docs = [doc for doc in map(json.loads, lines) if len(doc["text"]) <= 1500]
    rows = [{"text": doc["text"], "expected": doc["truth"]} for doc in docs]
    return rows[::2], rows[1::2]


def report(name: str, state: Path | None, task: Any, split: tuple[Rows, Rows], metric: str, **how: Any) -> None:
    train, test = split
    place = None if state is None else state / f"{name}.sqlite"
    found = lp.optimise(task, train, metric, model=lp.load(), state=place, progress=sys.stderr.isatty(), **how)
    best, start = found.evaluations(test)
    print(f"{name}: {found!r}, {found.spent.seconds:.0f} s")
    print(f"  searched: {found.start.score:.3f} to {found.best.score:.3f}")
    print(f"  tokens a row: {found.start.tokens:.0f} to {found.best.tokens:.0f}")
    print(f"  instruction: {found.best.values.get('instruction')!r}")
    print(f"  held out, {len(test)} rows: {start.mean:.3f} to {best.mean:.3f}, {best.compare(start)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", nargs="?", choices=["classify", "extract"], help="both, unless one is named")
    parser.add_argument("--state", type=Path)
    given = parser.parse_args()
    if given.task != "extract":
        budget = lp.Budget(evaluations=16)
        report("classify", given.state, sentiment, snippets(), "exact", budget=budget, minibatch=24, demos=8)
    if given.task != "classify":
        budget, space = lp.Budget(evaluations=6), {"instruction": ["The changelog entry as JSON."]}
        report("extract", given.state, entry, changelogs(), "fields", budget=budget, space=space, minibatch=16)


if __name__ == "__main__":
    main()
