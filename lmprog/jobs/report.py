"""A finished job as a page: its documents with the evidence marked, its fields, where it is in doubt, what went wrong.

One file that needs no network, and of which nothing can run but its own script. The records are data in it, drawn a
page at a time, so that ten thousand are no more work for a browser than ten. Of longer jobs the most doubtful records
are in it; of long documents what is around the evidence. Its size is bounded by that: about 40 MB.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..rendering import data, resource, script, template
from ..visible import visible
from .documents import Document
from .errors import JobError
from .labels import MISSING, value_at
from .marks import Piece, Span, pieces
from .quality import auroc, ece
from .report_figures import BINS, Figures, Record, histogram, leaves, reliability, verdict
from .truth import read_records

MOST = 10_000  # records on the page
ROOM = 12_000_000  # characters of all documents, and of all values
LONGEST, SHORTEST = 8000, 400  # of one document
VALUE = 300  # characters of a value, at most
Pairs = Callable[[], Iterator[tuple[Record, Document | None]]]
Truth = Callable[[Record, Document | None], Any]


def report(title: str, pairs: Pairs, truth: Truth) -> str:
    """The page. `pairs` gives the records with their documents (None: not at hand) and is called twice."""
    figures, doubts = Figures(), []
    for record, doc in pairs():
        true = truth(record, doc)
        figures.add(record, true)
        figures.misplaced += sum(not _in_place(span, doc) for span in record.get("evidence", {}).values())
        doubts.append(doubt(record, true))
    shown = set(heapq.nlargest(MOST, range(len(doubts)), key=doubts.__getitem__))
    room = ROOM // max(1, len(shown))
    entries = [
        _entry(n, record, doc, truth(record, doc), round(doubts[n], 4), room)
        for n, (record, doc) in enumerate(pairs())
        if n in shown
    ]
    return template("report.html.j2").render(
        title=visible(title),
        figures=figures,
        plots=_plots(figures),
        omitted=figures.records - len(shown),
        data=data({"records": entries, "fields": [visible(name) for name in figures.fields]}),
        **script("listed.js", "report.js"),
        style=resource("run.css") + resource("report.css"),
    )


def doubt(record: Record, truth: Any = None) -> float:
    """What a person should look at first: 2 for a failed record, else 1 - its least confidence; without confidences 1
    where a value is known to be wrong or was withheld."""
    if record["error"] is not None:
        return 2.0
    if record.get("confidence"):
        return 1.0 - float(min(record["confidence"].values()))
    wrong = any(verdict(record, place, value, truth) is False for place, value in leaves(record["data"]))
    return float(wrong or bool(record.get("abstained")))


def _in_place(span: Mapping[str, Any], doc: Document | None) -> bool:
    """Whether evidence stands where it should, as far as the document is at hand."""
    elsewhere = doc is None or span.get("document", doc.id) != doc.id
    return elsewhere or (doc is not None and doc.text[span["start"] : span["end"]] == span["text"])


def _entry(n: int, record: Record, doc: Document | None, truth: Any, doubt: float, room: int) -> dict[str, Any]:
    """A record as the page's script reads it; see report.js."""
    fields, spans, left = list[list[Any]](), list[Span](), room
    values = list(leaves(record["data"])) if record["error"] is None else []
    for place, value in values:
        span = record.get("evidence", {}).get(place)
        if span is not None and doc is not None and span.get("document", doc.id) == doc.id and _in_place(span, doc):
            spans.append((span["start"], span["end"], len(fields)))
        fields.append(_field(record, place, value, span, truth))
        left -= sum(len(part) for part in fields[-1] if isinstance(part, str))
        if left < 0:
            break
    limit = max(SHORTEST, min(LONGEST, room))
    text: list[Piece] | None = None if doc is None else pieces(doc.text, sorted(spans), limit)
    error = record["error"]
    said = error and [error["type"], *(_short(str(error[k])) for k in ("message", "answer", "input") if error.get(k))]
    usage = record.get("usage") or {}
    notes = [f"{usage[k]} {k.replace('_', ' ')}" for k in ("prompt_tokens", "output_tokens") if k in usage]
    notes += [f"{record[k]} {k}" for k in ("chunks", "attempts") if k in record]
    return {
        "id": _short(str(record["id"])),
        "n": n,
        "doubt": doubt,
        "error": said,
        "fields": fields,
        "more": len(values) - len(fields),
        "text": text,
        "size": 0 if doc is None else len(doc.text),
        "notes": notes,
    }


def _field(record: Record, place: str, value: Any, span: Mapping[str, Any] | None, truth: Any) -> list[Any]:
    """Pointer, value, confidence, why it was withheld or is doubted, whether it was withheld, the evidence, the truth
    where it is another, and whether it is right."""
    right, sure = verdict(record, place, value, truth), record.get("confidence", {}).get(place)
    withheld = record.get("abstained", {}).get(place, "")
    elsewhere = f"{span['document']}: {span['text']}" if span is not None and "document" in span else ""
    wanted = value_at(truth, place) if right is False else MISSING
    return [
        _short(place),
        _said(value),
        None if sure is None else round(sure, 4),
        _short(withheld or record.get("doubted", {}).get(place, "")),
        bool(withheld),
        _short(elsewhere or (span["text"] if span is not None else "")),
        "" if wanted is MISSING else _said(wanted),
        right,
    ]


def _said(value: Any) -> str:
    return _short(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    return visible(text if len(text) <= VALUE else f"{text[: VALUE - 1]}…")


def _plots(figures: Figures) -> dict[str, Any]:
    scores, right = np.array([s for s, _ in figures.rated]), np.array([r for _, r in figures.rated], np.bool_)
    lengths = [("prompt tokens", figures.prompts), ("output tokens", figures.outputs)]
    return {
        "confidence": histogram(figures.confidences, 0.0, 1.0) if figures.confidences else [],
        "steps": reliability(figures.rated),
        "ece": ece(scores, right) if figures.rated else None,
        "auroc": auroc(scores, right) if figures.rated else None,
        "lengths": [(name, histogram(some, 0, max(some), BINS), max(some)) for name, some in lengths if some],
        "errors": [(name, count, count / max(figures.errors.values())) for name, count in figures.errors.most_common()],
    }


def read_pairs(out: Path, docs: Callable[[], Iterator[Document]] | None) -> Pairs:
    """The records of an output with the documents of the job's input.

    Raises JobError, when they are read, where the two do not belong together.
    """

    def pairs() -> Iterator[tuple[Record, Document | None]]:
        texts = None if docs is None else docs()
        for n, record in enumerate(read_records(out), 1):
            doc = None if texts is None else next(texts, None)
            if texts is not None and (doc is None or doc.id != record["id"]):
                place = "has no document" if doc is None else f"is of {record['id']!r}, the document is {doc.id!r}"
                raise JobError(f"{out}, line {n} {place}: name the input of this very job")
            yield record, doc

    return pairs
