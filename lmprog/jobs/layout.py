"""How a document becomes a prompt: instructions, fields and examples first, so that all documents share them.

A base model continues the pattern of the examples; the document comes last, then its JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .documents import Fields, source
from .errors import JobError

BREAK = "\n\n---\n\n"  # between records; small base models copy less from one to the next with it
INSTRUCTIONS = "Read each text and write down as JSON what it says."


@dataclass(frozen=True)
class Layout:
    """What stands before the documents, and around them.

    prefix   the same for all documents of a job
    shots    further examples, as they stand in a prompt
    sets     which of them come after the prefix, in which order: one set for many documents (see shots.py)
    choice   by the number of a document, the number of its set
    """

    prefix: str
    shots: tuple[str, ...] = ()
    sets: tuple[tuple[int, ...], ...] = ((),)
    choice: Sequence[int] = ()

    def set_of(self, number: int) -> int:
        """The set of a document."""
        return self.choice[number] if self.choice else 0

    def head(self, set_: int) -> list[str]:
        """What stands before the documents of a set, in pieces that are each turned into tokens by itself."""
        return [self.prefix, *(self.shots[i] for i in self.sets[set_])]

    def suffix(self, text: str) -> str:
        return f"{text.strip()}\n\nJSON:\n"

    def parts(self) -> dict[str, str]:
        """What has to be the same for a resume: what prompts are made of and, where it is chosen, which examples each
        document gets. (The first alone is what a calibration depends on.)"""
        if not self.choice:
            return {"prompt": digest(self.prefix)}
        made_of = json.dumps([self.prefix, self.shots, len(self.sets[0])])
        return {"prompt": digest(made_of), "choice of examples": digest(json.dumps([self.sets, list(self.choice)]))}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def layout(schema: Any, examples: Iterable[tuple[str, Any]] = (), instructions: str | None = None) -> Layout:
    """The prompt of a job. Examples are pairs of a text and its answer."""
    head = [instructions or _said(schema), *_fields(schema)]
    return Layout("\n".join(head) + BREAK + "".join(shot(text, answer, schema) for text, answer in examples))


def shot(text: str, answer: Any, schema: Any) -> str:
    """An example as it stands in a prompt."""
    return Layout("").suffix(text) + compact(answer, schema) + BREAK


def _said(schema: Any) -> str:
    described = schema.get("description") if isinstance(schema, dict) else None
    return f"{INSTRUCTIONS} Wanted: {described}" if described else INSTRUCTIONS


def _fields(schema: Any) -> list[str]:
    properties = schema.get("properties", {}) if isinstance(schema, dict) else {}
    lines = [f"- {name}: {part['description']}" for name, part in properties.items() if _described(part)]
    return ["", *lines] if lines else []


def _described(part: Any) -> bool:
    return isinstance(part, dict) and bool(part.get("description"))


def compact(value: Any, schema: Any = None) -> str:
    """JSON as the model is asked to write it: no spaces, properties in the schema's order."""
    if isinstance(schema, dict) and isinstance(value, dict):
        order = [name for name in schema.get("properties", ()) if name in value]
        value = {name: value[name] for name in [*order, *(name for name in value if name not in order)]}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read_examples(path: str | Path, fields: Fields) -> list[tuple[str, Any]]:
    """The examples of a file: documents with their truth. Raises JobError for a broken one."""
    examples = []
    for doc in source(path, fields).read():
        if doc.problem is not None or doc.truth is None:
            raise JobError(doc.problem or f"{path}, line {doc.line}: an example needs its answer as {fields.truth!r}")
        examples.append((doc.text, doc.truth))
    return examples
