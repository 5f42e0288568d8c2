"""Few-shot examples chosen for each document, in so few different sets that prompts still share what they begin with.

If every document had its own best examples in its own order, no two prompts would have more in common than the
instructions. So documents share sets of examples, and sets share their beginnings:

- Each document's best examples are those of highest BM25 score (Robertson and Zaragoza, 2009) against its words.
- Of all such sets, few are kept: greedily, the one that adds most to the sum over the documents of the score of their
  best kept set, as a share of what their own set has. That sum is submodular, so the greedy choice reaches 1 - 1/e of
  the greatest (Nemhauser, Wolsey and Fisher, 1978).
- Within a set, examples that many documents get come first, as in an FP-tree (Han, Pei and Yin, 2000), so that sets
  with common members are long common paths of the prefix cache; jobs go through the documents in that order.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

from .documents import Document, Source
from .errors import JobError
from .layout import Layout, layout, shot

PER_SET = 8  # documents to a set, at least in the mean, unless told otherwise: a set is read once, they share it
MOST = 64  # sets, unless told otherwise
CELLS = 1 << 22  # scores held while the sets are chosen
CANDIDATES, SURVEYED = 512, 4096  # sets that are weighed, and documents that they are weighed on
Choose = Literal["first", "bm25"]
Scores = Any  # float32[examples]


def prompts(
    schema: Any,
    examples: list[tuple[str, Any]],
    docs: Source,
    instructions: str | None = None,
    count: int | None = None,
    how: Choose = "first",
    sets: int | None = None,
) -> Layout:
    """The prompts of a job: with all examples, the first `count`, or `count` chosen for each document."""
    if how == "first":
        return layout(schema, examples[:count], instructions)
    if count is None:
        raise JobError("say how many examples (shots) are to be chosen for each document")
    return choose(layout(schema, (), instructions), examples, docs, schema, count, sets)


def choose(
    plain: Layout, examples: Iterable[tuple[str, Any]], docs: Source, schema: Any, count: int, sets: int | None = None
) -> Layout:
    """`plain` (a layout without examples) with `count` examples for each document, in at most `sets` different sets.

    By default there is a set for eight documents, 64 at most. Reads `docs` twice; holds none of their texts.
    Raises JobError when there are too few examples, and when bm25s is not installed.
    """
    pool = list(examples)
    if not 0 < count <= len(pool):
        raise JobError(f"cannot choose {count} examples of {len(pool)}")
    if sets is not None and sets < 1:
        raise JobError(f"there is no choice with {sets} sets of examples")
    most = max(1, min(MOST, docs.total // PER_SET)) if sets is None else sets
    score = scorer([text for text, _ in pool])
    kept = _cover(_survey(docs, score, len(pool)), count, most)
    choice = array("H", (_best(score(doc), kept) for doc in docs.read()))
    ordered, choice = _canonical(kept, choice)
    return replace(plain, shots=tuple(shot(text, answer, schema) for text, answer in pool), sets=ordered, choice=choice)


def scorer(texts: Iterable[str]) -> Callable[[Document], Scores]:
    """Scores a document against each of `texts`: BM25 of its different words."""
    try:
        import bm25s
    except ModuleNotFoundError as error:
        raise JobError(f"choosing examples by BM25 needs the extra lmprog[jobs]: {error}") from None
    import numpy as np

    words = [_words(text) for text in texts]
    index = bm25s.BM25()
    index.index([*words, ["\0"]], show_progress=False)  # an index needs a word, and each example may have none
    known = {word for some in words for word in some}

    def score(doc: Document) -> Scores:
        asked = [word for word in dict.fromkeys(_words(doc.text)) if word in known]
        return index.get_scores(asked)[:-1] if asked else np.zeros(len(words), np.float32)

    return score


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _survey(docs: Source, score: Callable[[Document], Scores], pool: int) -> Any:
    """Scores float32[documents, examples], of documents evenly spread over the job when there are many."""
    import numpy as np

    step = max(1, -(-docs.total // max(1, min(SURVEYED, CELLS // pool))))
    rows = [score(doc) for n, doc in enumerate(docs.read()) if n % step == 0]
    return np.stack(rows) if rows else np.zeros((1, pool), np.float32)


def _cover(scores: Any, count: int, most: int) -> list[tuple[int, ...]]:
    """The sets to keep, each in the order of the pool."""
    import numpy as np

    own = np.sort(np.argsort(-scores, axis=1, kind="stable")[:, :count], axis=1)
    tally = Counter(map(tuple, own.tolist()))
    candidates = [members for members, _ in sorted(tally.items(), key=lambda item: (-item[1], item[0]))[:CANDIDATES]]
    reach = np.maximum(np.take_along_axis(scores, own, axis=1).sum(axis=1), 1e-9)
    shares = np.stack([scores[:, members].sum(axis=1) / reach for members in candidates])
    kept: list[int] = []
    best = np.zeros(len(scores), np.float32)
    for _ in range(min(most, len(candidates))):
        gains = np.maximum(shares - best, 0).sum(axis=1)
        n = int(gains.argmax())
        if kept and gains[n] < 1e-6:
            break
        kept.append(n)
        best = np.maximum(best, shares[n])
    return [candidates[n] for n in kept]


def _best(scores: Scores, sets: Sequence[tuple[int, ...]]) -> int:
    totals = [float(scores[list(members)].sum()) for members in sets]
    return totals.index(max(totals))


def _canonical(sets: Sequence[tuple[int, ...]], choice: Iterable[int]) -> tuple[tuple[tuple[int, ...], ...], Any]:
    """The sets that are used, common examples first in each, and sets with a common beginning side by side."""
    choice = list(choice)
    uses = Counter(member for n in choice for member in sets[n])
    rank = {member: n for n, (member, _) in enumerate(sorted(uses.items(), key=lambda item: (-item[1], item[0])))}
    ordered = {n: tuple(sorted(sets[n], key=rank.__getitem__)) for n in set(choice)}
    tree = sorted(ordered, key=lambda n: [rank[member] for member in ordered[n]])
    place = {n: new for new, n in enumerate(tree)}
    return tuple(ordered[n] for n in tree), array("H", (place[n] for n in choice))
