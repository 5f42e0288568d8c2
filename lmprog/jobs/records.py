"""One line of the output, and one record as Python sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .documents import Document
from .evidence import shown
from .leaves import Tree, data, leaves


@dataclass(frozen=True, slots=True)
class Record:
    """What a job found in one document: `data`, or the `error` (its `type` and `message`) that stands in its place.

    usage       prompt_tokens and output_tokens; only what is the same in every run of the job
    confidence  how probable each value is, by its JSON pointer in `data`, if that was asked for
    evidence    where values stand in the text, by pointer: `start` and `end` (text[start:end] is the `text` beside
                them), with a corpus the `document` that they are of, and `found` if the value is no quote but was
                looked up afterwards
    abstained   why values are null that the model did give, by pointer
    doubted     why values are doubtful that could not be made null, by pointer
    chunks      in how many pieces the document was read, if it was too long for one
    attempts    how many it took, if more than one
    """

    id: str | int
    data: Any
    error: Mapping[str, Any] | None = None
    usage: Mapping[str, int] | None = None
    confidence: Mapping[str, float] | None = None
    evidence: Mapping[str, Mapping[str, Any]] | None = None
    abstained: Mapping[str, str] | None = None
    doubted: Mapping[str, str] | None = None
    chunks: int | None = None
    attempts: int | None = None


def success(
    doc: Document,
    answer: Tree,
    prompt_tokens: int,
    output_tokens: int,
    abstained: Mapping[str, str] | None = None,
    doubted: Mapping[str, str] | None = None,
    chunks: int = 1,
) -> dict[str, Any]:
    """A record with an answer; what there is nothing to say of is left out."""
    usage = {"prompt_tokens": prompt_tokens, "output_tokens": output_tokens}
    record = {"id": doc.id, "data": data(answer), "error": None, "usage": usage}
    every = list(leaves(answer))
    more = {
        "confidence": {at: float(f"{leaf.confidence:.4g}") for at, leaf in every if leaf.confidence is not None},
        "evidence": {at: shown(leaf) for at, leaf in every if leaf.place is not None},
        "abstained": abstained,
        "doubted": doubted,
        "chunks": chunks if chunks > 1 else None,
    }
    return record | {key: value for key, value in more.items() if value}


def failure(doc: Document, error: Exception, answer: str | None = None) -> dict[str, Any]:
    """A record with an error; what would otherwise be lost (a broken input, a refused answer) is kept in it."""
    said: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if doc.problem is not None:
        said |= {"line": doc.line, "input": doc.text}
    if answer is not None:
        said["answer"] = answer
    return {"id": doc.id, "data": None, "error": said, "usage": None}
