"""Reviews sorted by label words, on the embedded default model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lmprog as lp
from lmprog import program, select

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[2] / "examples" / "reviews.jsonl"
GOOD, BAD = (
    ["good", "great", "wonderful", "excellent", "fantastic"],
    ["bad", "terrible", "awful", "poor", "disappointing"],
)
WORDS = {"positive": [" " + word for word in GOOD], "negative": [" " + word for word in BAD]}


@program
def mood(p: lp.Prompt, text: str, verbalizer: lp.Verbalizer) -> lp.Dist:
    p(text, " It was")
    return p.score(verbalizer)


def test_reviews_are_sorted() -> None:
    rows = [json.loads(line) for line in DATA.read_text().splitlines()]
    texts = [row["text"] for row in rows]
    with lp.load() as model:

        def dists(verbalizer: lp.Verbalizer, texts: list[str]) -> list[lp.Dist]:
            return mood.map([(text, verbalizer) for text in texts], model=model)

        plain, names = lp.Verbalizer(WORDS), lp.Verbalizer({"positive": " positive", "negative": " negative"})
        found = dists(plain, texts)
        calibrated = dists(plain.calibrated(found), texts)
        batch = lp.Calibrator("batch").fit(found)
        results: dict[str, list[lp.Dist]] = {
            "names": dists(names, texts),
            "words": found,
            "batch": [*map(batch.predict, found)],
            "calibrated": calibrated,
        }
        right = {
            name: sum(dist.best == row["expected"] for dist, row in zip(some, rows, strict=True)) / len(rows)
            for name, some in results.items()
        }
        chosen = program(lambda p, text: p(text, " It was", select(plain)))(texts[0], model=model)

    assert right["words"] > right["names"] > 0.7
    assert right["batch"] >= 0.9
    assert right["calibrated"] >= 0.9
    assert chosen == found[0].best
