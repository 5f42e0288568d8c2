"""Tables against the truth: how many cells, rows and whole tables are right.

Cells are compared under their column within rows that belong together, as in Wu, Zhang and Li, "Text-to-Table"
(ACL 2022), where a cell counts with its row's and its column's header; empty cells claim nothing and count nowhere.
Rows have no header here: they are paired so that most cells agree, or by key columns. Levels and the question whether
the output is a table at all follow "Evaluating Structured Decoding for Text-to-Table Generation" (arXiv:2508.15910).

    cells     right / in the answer (precision), right / in the truth (recall)
    rows      the same of rows of which every cell is right and none is missing
    tables    whole tables right / answers that are tables, whole tables right / truths
    header    column names right / in the answer, right / in the truth
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .assignment import Pairs, align, assign
from .errors import JobError
from .same import Same

Row = Mapping[str, Any]
Table = Sequence[Row]
EXACT = Same()
PAIRS = 1 << 25  # of rows, that are weighed at a time


@dataclass
class Count:
    """`right` of what was `given` and of what was `wanted`."""

    right: int = 0
    given: int = 0
    wanted: int = 0

    def add(self, right: int, given: int, wanted: int) -> None:
        self.right, self.given, self.wanted = self.right + right, self.given + given, self.wanted + wanted

    @property
    def precision(self) -> float:
        return self.right / self.given if self.given else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.wanted if self.wanted else 1.0

    @property
    def f1(self) -> float:
        """2 right / (given + wanted); 1 where there is nothing to find and nothing was given."""
        both = self.given + self.wanted
        return 2 * self.right / both if both else 1.0


@dataclass(frozen=True)
class Match:
    """A table beside its truth, both with their columns named as `Same` reads them.

    given     None where the answer is no table
    columns   of both, in order of appearance
    pairs     of rows, (given, wanted), that belong together
    right     for each pair, the columns of which the cell is right
    whole     for each pair, whether the rows are the same
    """

    given: Table | None
    wanted: Table
    columns: tuple[str, ...]
    pairs: Pairs
    right: tuple[frozenset[str], ...]
    whole: tuple[bool, ...]

    @property
    def cells(self) -> Count:
        right = sum(map(len, self.right))
        return Count(right, _cells(self.given or ()), _cells(self.wanted))

    @property
    def exact(self) -> bool:
        return self.given is not None and sum(self.whole) == len(self.given) == len(self.wanted)


@dataclass
class TableScore:
    """Counts over all documents.

    mean_f1             mean over the documents of the F1 of their cells
    columns             cells, by column
    invented, missing   in how many tables a column was that the truth has not, and the other way around
    """

    documents: int = 0
    cells: Count = field(default_factory=Count)
    rows: Count = field(default_factory=Count)
    tables: Count = field(default_factory=Count)
    header: Count = field(default_factory=Count)
    columns: dict[str, Count] = field(default_factory=dict)
    invented: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    f1_sum: float = 0.0

    @property
    def mean_f1(self) -> float:
        return self.f1_sum / self.documents if self.documents else 1.0

    def add(self, match: Match) -> None:
        self.documents += 1
        given, cells = match.given or (), match.cells
        self.cells.add(cells.right, cells.given, cells.wanted)
        self.rows.add(sum(match.whole), len(given), len(match.wanted))
        self.tables.add(match.exact, match.given is not None, 1)
        self.f1_sum += cells.f1
        if given and match.wanted:  # an empty table says nothing of its columns
            self._header(set(_columns(given)), set(_columns(match.wanted)))
        for column in match.columns:
            right = sum(column in columns for columns in match.right)
            self.columns.setdefault(column, Count()).add(right, _cells(given, column), _cells(match.wanted, column))

    def _header(self, given: set[str], wanted: set[str]) -> None:
        self.header.add(len(given & wanted), len(given), len(wanted))
        self.invented.update(given - wanted)
        self.missing.update(wanted - given)


def score_tables(matches: Iterable[Match]) -> TableScore:
    total = TableScore()
    for match in matches:
        total.add(match)
    return total


def compare(
    given: Any, wanted: Any, same: Same = EXACT, keys: Sequence[str] = (), ordered: bool = False, at: str = ""
) -> Match:
    """Pair the rows of an answer with those of its truth.

    Rows are paired so that as many cells as possible agree, exactly; with `keys`, only rows with the same values in
    these columns; with `ordered`, only so that the order of both stays. An answer that is no table has none right.

    given, wanted   lists of objects, or objects that hold one; `at` is the JSON pointer to it, else it is the only list
    Raises JobError when the truth is no table, or a table is too large to be aligned.

    >>> match = compare([{"a": 1, "b": 3}], [{"a": 2, "b": 2}, {"a": 1, "b": 2}])
    >>> match.pairs, match.cells.right, match.cells.f1
    ([(0, 1)], 1, 0.3333333333333333)
    """
    rows, truth = table_in(given, at), table_in(wanted, at)
    if truth is None:
        raise JobError(f"the truth has no table{f' at {at}' if at else ''}: name its place as a JSON pointer")
    rows = None if rows is None else [_named(row, same) for row in rows]
    truth = [_named(row, same) for row in truth]
    columns = tuple(dict.fromkeys(_columns([*truth, *(rows or ())])))
    if not rows or not truth:
        return Match(rows, truth, columns, [], (), ())
    agree = _agreements(rows, truth, columns, same)
    pairs = _paired(rows, truth, agree, [same.name(key) for key in keys], same, ordered)
    right = tuple(frozenset(c for c in columns if agree[c][i, j]) for i, j in pairs)
    whole = tuple(len(r) == _cells([rows[i]]) == _cells([truth[j]]) for r, (i, j) in zip(right, pairs, strict=True))
    return Match(rows, truth, columns, pairs, right, whole)


def table_in(value: Any, at: str = "") -> list[Any] | None:
    """The table of an answer; None when there is none.

    >>> table_in({"items": [{"a": 1}], "note": ""}), table_in({"x": {"y": []}}, "/x/y"), table_in("none")
    ([{'a': 1}], [], None)
    """
    if at:
        for part in at.removeprefix("/").split("/"):
            value = value.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(value, Mapping) else None
    elif isinstance(value, Mapping):
        lists = [part for part in value.values() if isinstance(part, list)]
        value = lists[0] if len(lists) == 1 else None
    return value if isinstance(value, list) else None


def _named(row: Any, same: Same) -> Row:
    return {same.name(name): value for name, value in row.items()} if isinstance(row, Mapping) else {"value": row}


def _columns(rows: Table) -> Iterator[str]:
    return (name for row in rows for name in row)


def _filled(row: Row, column: str) -> bool:
    value = row.get(column)
    return value is not None and (not isinstance(value, str) or bool(value.strip()))


def _cells(rows: Table, column: str | None = None) -> int:
    return sum(_filled(row, name) for row in rows for name in ([column] if column is not None else row))


def _agreements(rows: Table, truth: Table, columns: Sequence[str], same: Same) -> dict[str, Any]:
    """bool[rows, truth] for each column: whether both cells are there and the same."""
    if len(rows) * len(truth) > PAIRS:
        raise JobError(f"tables of {len(rows)} and {len(truth)} rows are too large to be aligned")
    return {column: _agree(rows, truth, column, same) for column in columns}


def _agree(rows: Table, truth: Table, column: str, same: Same) -> Any:
    codes: dict[str, int] = {}

    def code(row: Row, empty: int) -> int:
        return codes.setdefault(same.key(row[column]), len(codes)) if _filled(row, column) else empty

    ours, theirs = np.array([code(row, -1) for row in rows]), np.array([code(row, -2) for row in truth])
    agree = ours[:, None] == theirs
    if same.absolute or same.relative:
        a, b = (np.array([same.number(row.get(column)) for row in some]) for some in (rows, truth))
        agree |= np.abs(a[:, None] - b) <= np.maximum(same.absolute, same.relative * np.abs(b))
    return agree


def _paired(
    rows: Table, truth: Table, agree: Mapping[str, Any], keys: Sequence[str], same: Same, ordered: bool
) -> Pairs:
    count = sum(agree.values())
    filled = [np.array([_cells([row]) for row in some]) for some in (rows, truth)]
    whole = (count == filled[0][:, None]) & (count == filled[1])
    weights = count.astype(np.int64) * (min(len(rows), len(truth)) + 1) + whole  # cells first, then whole rows
    for key in keys:
        if key not in agree:
            raise JobError(f"there is no column {key!r}, only {', '.join(agree)}")
        weights *= agree[key]
    if ordered:
        return align(weights)
    return _assigned(weights, whole, exact=not same.tolerant)


def _assigned(weights: Any, whole: Any, exact: bool) -> Pairs:
    """`assign`, after rows that are the same went to each other: without tolerances nothing is lost by that, as a
    third row agrees with the one wherever it agrees with the other."""
    pairs: Pairs = []
    if exact:
        free = np.ones(weights.shape[1], bool)
        for i in np.flatnonzero(whole.any(axis=1)):
            found = np.flatnonzero(whole[i] & free & (weights[i] > 0))
            if len(found):
                free[found[0]] = False
                pairs.append((int(i), int(found[0])))
    left = np.setdiff1d(np.arange(weights.shape[0]), [i for i, _ in pairs])
    right = np.setdiff1d(np.arange(weights.shape[1]), [j for _, j in pairs])
    rest = assign(weights[np.ix_(left, right)])
    return sorted([*pairs, *((int(left[i]), int(right[j])) for i, j in rest)])
