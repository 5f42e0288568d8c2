"""What `lp.evaluate` costs beside `Program.map`, and what its cache saves: ratios within one run.

    python benchmarks/evaluate.py [--rows 200] [--rounds 5] [--model random:0] [--write]

The model of tests costs little, so that what the evaluation adds shows; with a real one (--model PATH) it disappears.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from report import machine, report, table, versions

import lmprog as lp
from lmprog import gen, program, select
from lmprog.commands import load_model


@program
def card(p: Any, topic: str) -> Any:
    kind = p("Topic: ", topic, "\nKind: ", select(["animal", "plant", "tool"], name="kind"), "\nWord: ")
    return kind, p(gen(regex="[a-z]{3,12}", name="word"), "\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="random:0")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    model, folder = load_model(options.model), Path(tempfile.mkdtemp())
    data = [{"topic": f"thing number {n}", "expected": "plant"} for n in range(options.rows)]
    calls = [{"topic": row["topic"]} for row in data]

    def cached(n: int) -> None:
        lp.evaluate(card, data, "contains", model=model, cache=folder / f"{n}.sqlite")

    ways: dict[str, Callable[[int], Any]] = {
        "`map`": lambda n: card.map(calls, model=model),
        "`evaluate`": lambda n: lp.evaluate(card, data, "contains", model=model),
        "into a new cache": cached,
        "from the cache": cached,
    }
    for way in ways.values():  # prompts and masks are known for all that follows
        way(-1)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for n in range(options.rounds):
        for name, way in ways.items():
            began = time.process_time()
            way(n)
            times[name].append(1e3 * (time.process_time() - began) / options.rows)
    middle = {name: statistics.median(some) for name, some in times.items()}
    rows = [[name, f"{value:.2f}", f"{value / middle['`map`']:.2f}"] for name, value in middle.items()]
    done = f"{model.name}, {options.rows} rows, median of {options.rounds} rounds"
    setting = f"{done}; {machine(1)}; {versions('lmprog')}; processor time of all threads."
    report("Evaluation beside map", setting, table(["way", "CPU ms a row", "of `map`"], rows), options.write)


if __name__ == "__main__":
    main()
