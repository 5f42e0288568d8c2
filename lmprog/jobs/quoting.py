"""What the quotes of a job's answers are verbatim in: each document by itself, or a corpus."""

from __future__ import annotations

from ..grammars import Grammar
from ..grammars.corpus import Corpus
from ..grammars.errors import EmptyLanguage
from ..grammars.json_schema import json_schema, quoting_schema
from ..grammars.quote_fields import Frame, Kind, QuoteFields
from ..grammars.vocabulary import Vocabulary
from .chunks import Span
from .evidence import place, place_in_corpus
from .leaves import Tree
from .target import Target


def language(target: Target, corpus: Corpus | None) -> Grammar:
    """What answers are held to, but for quotes of the documents."""
    if corpus is None:
        return target.grammar
    return json_schema(target.schema, whitespace="compact", quotes=corpus)


class Quoting:
    """For a schema with quotes, and a vocabulary."""

    def __init__(self, target: Target, corpus: Corpus | None, vocab: Vocabulary) -> None:
        self.target, self.corpus, self.vocab = target, corpus, vocab
        self.frame = Frame(target.grammar, target.kinds, vocab)
        self._without: dict[frozenset[Kind], Frame] = {}

    def fields(self, text: str) -> QuoteFields | None:
        """The constraint for a document, or a piece of one; None with a corpus, which is the same for all.

        Raises EmptyLanguage when the schema wants a quote that the text does not have.
        """
        if self.corpus is not None:
            return None
        fields = QuoteFields(self.frame, text)
        return QuoteFields(self._narrow(fields.missing), text) if fields.missing else fields

    def _narrow(self, missing: frozenset[Kind]) -> Frame:
        """The frame of the answers without quotes of some kinds."""
        if missing not in self._without:
            try:
                self._without[missing] = Frame(*quoting_schema(self.target.schema, missing), self.vocab)
            except EmptyLanguage:
                least = min(low for low, _ in missing)
                said = f"the text has no quote of {least} characters, or none of so few tokens"
                raise EmptyLanguage(said) from None
        return self._without[missing]

    def place(self, answer: Tree, said: str, text: str, span: Span) -> None:
        """Give the quotes of an answer, which was `said` so, their places in the text, or the corpus."""
        quotes = self.frame.quotes(said.encode())
        if self.corpus is None:
            place(answer, quotes, text, span)
        else:
            place_in_corpus(answer, quotes, self.corpus)
