"""One line of the output, and one record as Python sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .documents import Document


@dataclass(frozen=True, slots=True)
class Record:
    """What a job found in one document: `data`, or the `error` (its `type` and `message`) that stands in its place.

    usage    prompt_tokens and output_tokens; only what is the same in every run of the job
    """

    id: str | int
    data: Any
    error: Mapping[str, Any] | None = None
    usage: Mapping[str, int] | None = None


def success(doc: Document, data: Any, prompt_tokens: int, output_tokens: int) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt_tokens, "output_tokens": output_tokens}
    return {"id": doc.id, "data": data, "error": None, "usage": usage}


def failure(doc: Document, error: Exception, answer: str | None = None) -> dict[str, Any]:
    """A record with an error; what would otherwise be lost (a broken input, a refused answer) is kept in it."""
    said: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if doc.problem is not None:
        said |= {"line": doc.line, "input": doc.text}
    if answer is not None:
        said["answer"] = answer
    return {"id": doc.id, "data": None, "error": said, "usage": None}
