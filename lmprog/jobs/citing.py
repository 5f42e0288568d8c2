"""The corpus that the quotes of a job are of."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..grammars.corpus import Corpus
from .documents import Document, Fields, source
from .errors import JobError
from .target import Target


def read_corpus(corpus: Corpus | str | Path | None, goal: Target, fields: Fields) -> Corpus | None:
    """A corpus as it is, one that `save` wrote to a folder, or one of the documents at a path (see `source`).

    Raises JobError when a document is broken or has the id of another one, or the schema no quotes; StoreError.
    """
    if corpus is None:
        return None
    if not goal.kinds:
        raise JobError('quotes are of a corpus where the schema says "x-quote": true, and this one does so nowhere')
    if isinstance(corpus, Corpus):
        return corpus
    if (Path(corpus) / "corpus.json").is_file():
        return Corpus.load(corpus)
    texts: dict[str | int, str] = {}
    for doc in source(corpus, fields).read():
        _check(doc, texts, corpus)
        texts[doc.id] = doc.text
    if not texts:
        raise JobError(f"there are no documents in the corpus {corpus}")
    return Corpus(texts)


def _check(doc: Document, before: dict[str | int, str], corpus: str | Path) -> None:
    if doc.problem is not None:
        raise JobError(f"the corpus {corpus}, {doc.id!r}: {doc.problem}")
    if doc.id in before:
        raise JobError(f"the corpus {corpus} has two documents with the id {doc.id!r}")


def signature(corpus: Corpus) -> str:
    """A digest of its documents and their ids."""
    digest = hashlib.sha256()
    for id_, text in zip(corpus.ids, corpus.texts(), strict=True):
        digest.update(json.dumps([id_, text]).encode())
    return digest.hexdigest()
