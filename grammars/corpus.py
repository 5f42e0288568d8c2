"""Verbatim quotes of many documents, through one suffix array over all of them.

The texts stand one behind the other, each followed by a byte that UTF-8 does not have and that no quote crosses. An
index takes a byte for each byte of text, four for each character (where its suffix stands in the order) and a bit for
each place (whether a quote may end there), and is mapped from its files, not read. (Considered: an FM-index, as
RetroLLM (Li et al., 2024) has it. It is smaller, but each step needs ranks in place of comparisons, and to say where a
quote stands needs samples and walks, where the places of a quote are an interval of the suffix array.)
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import InitVar, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._native import suffixes as sorted_suffixes
from .borders import escaped, spelled, uncut
from .errors import InvalidConstraint
from .expr import Expr, both, repeat, spans
from .grammar import Grammar
from .json_text import STYLES
from .quote_fields import Kinds
from .regex import PLAIN
from .store import StoreError
from .suffixes import Index, Places
from .unicode_sets import ALL

BORDER = 0xFF  # behind every document
COMPACT = STYLES["compact"]
FORMAT = 1
FILES = ("data", "order", "stops", "starts")
Id = str | int
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class CorpusIndex(Index):
    """Documents in one spelling, with the places where quotes begin and end.

    data    uint8 [n], the texts, each with BORDER behind it
    order   int32, where quotes begin, sorted by the bytes from there on
    stops   uint8 [n // 8 + 1], a bit for each place: whether quotes may end before it
    starts  int64 [documents + 1], where the documents begin, and n
    """

    data: Bytes
    order: Places
    stops: Bytes
    starts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, texts: Iterable[str], in_json: bool, words: bool) -> CorpusIndex:
        parts, begin, stop, starts = [], [], [], [0]
        for one in texts:
            data, borders, codes = spelled(one, in_json)
            allowed = uncut(codes) if words else np.ones(len(borders), np.bool_)
            parts += [data, b"\xff"]
            begin.append(_flags(borders[:-1][allowed[:-1]], len(data) + 1))
            stop.append(_flags(borders[allowed], len(data) + 1))
            starts.append(starts[-1] + len(data) + 1)
        whole = b"".join(parts)
        order = np.frombuffer(sorted_suffixes(whole), np.int32)
        order = order[np.concatenate([*begin, np.zeros(0, np.bool_)])[order]]
        stops = np.packbits(np.concatenate([*stop, np.zeros(1, np.bool_)]), bitorder="little")
        return cls(np.frombuffer(whole, np.uint8), order, stops, np.array(starts, np.int64))

    def __repr__(self) -> str:
        return f"{len(self.starts) - 1} documents"

    @property
    def arrays(self) -> tuple[Any, ...]:
        return self.data, self.order, self.stops

    def _byte(self, i: int, depth: int) -> int:
        byte = int(self.data[self.order[i] + depth])
        return 256 if byte == BORDER else byte

    def _stops(self, at: Any) -> Any:
        return self.stops[at >> 3] >> (at & 7) & 1

    def nearest_end(self, low: int, high: int, depth: int) -> int:
        return min((self._to_stop(int(at) + depth, depth == 0) for at in self.order[low:high]), default=1 << 60)

    def _to_stop(self, at: int, least: int) -> int:
        for i in range(at, len(self.data)):
            if i >= at + least and self._stops(i):
                return i - at
            if self.data[i] == BORDER:
                break
        return 1 << 60

    def places(self, quoted: bytes) -> Places:
        """Where the quote begins, in the order of the documents."""
        prefix = partial(self._prefix, len(quoted))
        low = bisect_left(range(len(self.order)), quoted, key=prefix)
        high = bisect_right(range(len(self.order)), quoted, low, key=prefix)
        found = self.order[low:high]
        return np.sort(found[self._stops(found + len(quoted)) == 1]) if quoted else found[:0]

    def _prefix(self, length: int, i: int) -> bytes:
        at = self.order[i]
        return self.data[at : at + length].tobytes()


def _flags(places: Places, length: int) -> npt.NDArray[np.bool_]:
    flags = np.zeros(length, np.bool_)
    flags[places] = True
    return flags


class Corpus:
    """Documents to quote from: texts, whose ids are their numbers, or a mapping from ids to texts.

    The index of a kind of quote (inside JSON or not, of whole words or not) is built when it is first asked for, in
    about a second for 3 million characters, or by `index`; `save` keeps those that there are.

    >>> from lmprog.grammars import quote
    >>> corpus = Corpus({"a": "to be", "b": "or not to be"})
    >>> found = quote(corpus).parse("to be")
    >>> found, found.count, found.places[1]
    (CorpusQuote(text='to be', document='a', start=0, end=5), 2, ('b', 7, 12))
    """

    def __init__(self, docs: Mapping[Id, str] | Iterable[str]) -> None:
        named = dict(docs) if isinstance(docs, Mapping) else dict(enumerate(docs))
        if not all(isinstance(part, str) for part in named.values()):
            raise InvalidConstraint("a corpus is of str")
        self.ids: tuple[Id, ...] = tuple(named)
        self.longest = max(map(len, named.values()), default=0)  # characters of a document
        self._texts: list[str] | None = list(named.values())
        self._indexes: dict[tuple[bool, bool], CorpusIndex] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Corpus({len(self)} documents)"

    def texts(self) -> Iterator[str]:
        """The documents, in order."""
        if self._texts is not None:
            return iter(self._texts)
        (in_json, _), index = next(iter(self._indexes.items()))
        return (_read(index.data[a : b - 1], in_json) for a, b in zip(index.starts, index.starts[1:], strict=False))

    def index(self, *, in_json: bool = False, words: bool = False) -> CorpusIndex:
        """The index for quotes as they stand in a text, or in a string of JSON; of whole words."""
        kind = in_json, words
        if kind not in self._indexes:
            self._indexes[kind] = CorpusIndex.of(self.texts(), in_json, words)
        return self._indexes[kind]

    def save(self, folder: str | Path) -> None:
        """Write the documents and the indexes that there are. Raises OSError."""
        if not self._indexes:
            self.index()
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        for kind, index in self._indexes.items():
            for name in FILES:
                _replace(path / _file(kind, name), partial(np.save, arr=getattr(index, name), allow_pickle=False))
        about = {"lmprog corpus": FORMAT, "ids": self.ids, "longest": self.longest, "kinds": list(self._indexes)}
        _replace(path / "corpus.json", lambda file: file.write(json.dumps(about).encode()))

    @classmethod
    def load(cls, folder: str | Path) -> Corpus:
        """A corpus that `save` wrote, mapped from its files. Raises StoreError, or OSError when there is none."""
        path = Path(folder)
        corpus = cls([])
        try:
            about = json.loads((path / "corpus.json").read_bytes())
            if about["lmprog corpus"] != FORMAT:
                raise StoreError(f"{path} holds a corpus of another format than {FORMAT}: build it again")
            corpus.ids, corpus.longest, corpus._texts = tuple(about["ids"]), about["longest"], None
            for in_json, words in about["kinds"]:
                kind = in_json, words
                parts = [np.load(path / _file(kind, name), mmap_mode="r", allow_pickle=False) for name in FILES]
                corpus._indexes[kind] = _checked(CorpusIndex(*parts), len(corpus))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} does not hold a corpus, or is damaged ({error}): build it again") from error
        return corpus

    def read(self, quoted: str, in_json: bool, words: bool) -> CorpusQuote:
        """What a quote says and where it stands; `quoted` without quotation marks. Raises ValueError for no quote."""
        places = self.index(in_json=in_json, words=words).places(quoted.encode())
        if not len(places):
            raise ValueError(f"{quoted!r} is no quote of the corpus")
        said = _read(quoted.encode(), in_json)
        document, start = self._place(int(places[0]), in_json, words)
        return CorpusQuote(said, document, start, start + len(said), self, places, (in_json, words))

    def find(self, text: str) -> CorpusQuote:
        """Where a text stands. Raises ValueError when it is in no document."""
        in_json = (False, False) not in self._indexes and (True, False) in self._indexes
        return self.read(escaped(text) if in_json else text, in_json, False)

    def _place(self, at: int, in_json: bool, words: bool) -> tuple[Id, int]:
        """The document at a place of an index, and the number of characters in front."""
        index = self.index(in_json=in_json, words=words)
        n = int(np.searchsorted(index.starts, at, side="right")) - 1
        return self.ids[n], len(_read(index.data[index.starts[n] : at], in_json))


@dataclass(frozen=True)
class CorpusQuote:
    """A span of a document, at the first place where it stands: in the document with the id `document`, [start:end] is
    `text`."""

    text: str
    document: Id
    start: int
    end: int
    corpus: InitVar[Corpus]
    found: InitVar[Places]
    kind: InitVar[tuple[bool, bool]]

    def __post_init__(self, corpus: Corpus, found: Places, kind: tuple[bool, bool]) -> None:
        object.__setattr__(self, "_source", (corpus, found, kind))  # no fields: not printed, compared or written down

    @property
    def count(self) -> int:
        """How often it stands in the corpus; of whole words only, if quotes are."""
        found: Places = self._source[1]  # type: ignore[attr-defined]
        return len(found)

    @property
    def places(self) -> list[tuple[Id, int, int]]:
        """All (document, start, end) at which it stands, overlapping ones included."""
        corpus, found, kind = self._source  # type: ignore[attr-defined]
        begins = [corpus._place(int(at), *kind) for at in found]
        return [(document, start, start + len(self.text)) for document, start in begins]


def corpus_quotes(corpus: Corpus, min_chars: int, max_chars: int | None, words: bool, in_json: bool) -> Grammar:
    """The grammar of `quote` and `json_quote`."""
    expr = _inside(corpus, min_chars, max_chars, words, in_json)
    if not in_json:
        return Grammar(expr, lambda quoted: corpus.read(quoted, False, words))
    return Grammar(COMPACT.string(expr), lambda quoted: corpus.read(quoted[1:-1], True, words))


def _inside(corpus: Corpus, low: int, high: int | None, words: bool, in_json: bool) -> Expr:
    """Quotes without quotation marks."""
    index = corpus.index(in_json=in_json, words=words)
    expr = spans(index, 0, len(index))
    if low <= 1 and high is None:
        return expr
    alphabet = COMPACT.alphabet if in_json else PLAIN
    return both(expr, repeat(alphabet.chars(ALL), low, high))


class CorpusFields(Kinds):
    """Quote fields of a schema (`"x-quote": true`) that are quotes of a corpus."""

    def __init__(self, corpus: Corpus) -> None:
        super().__init__()
        self.corpus = corpus

    def mark(self, low: int, high: int | None) -> Expr:
        return _inside(self.corpus, max(low, 1), high, False, True)


def _read(data: bytes | Bytes, in_json: bool) -> str:
    said = bytes(data).decode()
    return str(json.loads(f'"{said}"')) if in_json else said


def _checked(index: CorpusIndex, documents: int) -> CorpusIndex:
    """Raises StoreError for files that do not fit each other."""
    n = len(index.data)
    kinds = [f"{part.dtype} {part.ndim}" for part in (index.data, index.order, index.stops, index.starts)]
    if kinds != ["uint8 1", "int32 1", "uint8 1", "int64 1"]:
        raise StoreError("arrays of other kinds than a corpus has")
    if len(index.stops) != n // 8 + 1 or len(index.starts) != documents + 1 or index.starts[-1] != n:
        raise StoreError("arrays of a corpus that do not fit each other: build it again")
    return index


def _file(kind: tuple[bool, bool], name: str) -> str:
    in_json, words = kind
    return f"{'json' if in_json else 'text'}{'-words' if words else ''}-{name}.npy"


def _replace(path: Path, write: Any) -> None:
    """Put a file in place whole; who has mapped an earlier one keeps that."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        write(file)
    os.replace(part, path)
