"""How much a program depends on its format: `python -m benchmarks.formats [--seeds 20] [--model none] [--write]`.

First, how often the best and the worst of planted formats are found at a fifth of the cost of looking at all of them on
all rows; then the spread and POSIX of a classification of `examples/reviews.jsonl` on the default model.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import lmprog as lp
from lmprog.linting.bandit import Bandit

from .report import machine, report, table, versions

REVIEWS = Path(__file__).parents[1] / "examples" / "reviews.jsonl"
SIZES = ((40, 50), (160, 50), (320, 50), (100, 200))
GAPS = {
    "0.03 and 0.97, others 0.3 to 0.7": (0.3, 0.7, 0.03, 0.97),
    "0.1 and 0.9, others 0.4 to 0.6": (0.4, 0.6, 0.1, 0.9),
    "0.2 and 0.8, others 0.4 to 0.6": (0.4, 0.6, 0.2, 0.8),
}


@lp.program
def sort(p: lp.Prompt, text: str) -> str:
    p("Review: The room was clean and quiet.\nSentiment: positive\n\n")
    p("Review: It broke after a day.\nSentiment: negative\n\n")
    p("Review: ", text, "\n")
    sentiment: str = p("Sentiment: ", lp.select(["positive", "negative"], name="sentiment"), "\n")
    return sentiment


def planted(
    seed: int, arms: int, rows: int, low: float, high: float, worst: float, best: float
) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Scores of 0 and 1, and the arms that are best and worst."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(low, high, arms)
    ends = rng.choice(arms, 2, replace=False)
    mean[ends] = best, worst
    return (rng.random((arms, rows)) < mean[:, None]).astype(float), (int(ends[0]), int(ends[1]))


def found(scores: NDArray[np.float64], seed: int) -> tuple[int, int]:
    bandit = Bandit(len(scores), scores.shape[1], seed)
    for looks in bandit.search(scores.size // 5):
        for arm, row in looks:
            bandit.tell(arm, row, float(scores[arm, row]))
    return bandit.ends()


def rates(seeds: int) -> list[list[str]]:
    lines = []
    for name, gap in GAPS.items():
        cells = []
        for arms, rows in SIZES:
            ends = [(planted(seed, arms, rows, *gap), seed) for seed in range(seeds)]
            pairs = [(found(scores, seed), true) for (scores, true), seed in ends]
            best, worst = [sum([got[i] == true[i] for got, true in pairs]) / seeds for i in (0, 1)]
            cells.append(f"{best:.0%}, {worst:.0%}")
        lines.append([name, *cells])
    return lines


def planted_formats(seeds: int, write: bool) -> None:
    head = ["means of worst and best", *[f"{arms} formats, {rows} rows" for arms, rows in SIZES]]
    setting = f"{seeds} seeds; {machine(1)}. How often the best, and the worst, is found at a fifth of the cost"
    report("Planted formats", setting, table(head, rates(seeds)), write)


def classification(name: str, write: bool) -> None:
    model = lp.load(name or None)
    spread = lp.format_spread(sort, REVIEWS, "exact", model=model, progress=True)
    sensitivity = lp.posix(sort, REVIEWS, model=model, progress=True)
    setting = f"{model.name}; {machine(1)}; {versions('lmprog', 'torch')}"
    report("Formats of a classification", setting, f"```text\n{spread}\n\n{sensitivity}\n```", write)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="0 leaves the planted formats out")
    parser.add_argument("--model", default="", help="none leaves the classification out")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    if args.seeds:
        planted_formats(args.seeds, args.write)
    if args.model != "none":
        classification(args.model, args.write)


if __name__ == "__main__":
    main()
