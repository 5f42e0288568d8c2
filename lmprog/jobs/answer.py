"""What happens to one document: a routine that asks the model and gives the record."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from ..grammars import compile
from ..grammars.corpus import Corpus
from ..grammars.errors import LmprogError
from ..grammars.quote_fields import QuoteFields
from ..models import LanguageModel
from ..runtime.errors import ContextOverflow
from ..runtime.request import Request, Result
from ..runtime.routine import Routine
from ..runtime.sampling import Sampling
from .abstain import abstain
from .chunks import Span, pieces
from .documents import Document
from .errors import InputError, JobError, MergeError, OutputError
from .evidence import look_up
from .layout import Layout
from .leaves import Tree, data, leaves, tree, weigh
from .merge import merge
from .quoting import Quoting, language
from .reading import PLAIN, Reading
from .records import failure, success
from .servers import check_reading, counts_tokens, ends_job, written
from .target import Target

LEAST = 16  # tokens of a piece, beside what stands around it
MARGIN = 4  # tokens that a text may take more within a prompt than by itself


class Answers:
    """One model's answers to the documents of one job.

    Every request is `[BOS] prefix suffix`; a prefix, the same for all documents with the same examples, is tokenised
    once. Record n is drawn with seed + n, whatever else runs. Raises JobError when no answer fits in `max_tokens`.
    """

    def __init__(
        self,
        model: LanguageModel,
        target: Target,
        layout: Layout,
        max_tokens: int,
        sampling: Sampling,
        reading: Reading = PLAIN,
        corpus: Corpus | None = None,
    ) -> None:
        self.model, self.target, self.layout, self.reading = model, target, layout, reading
        self.max_tokens, self.sampling = max_tokens, sampling
        bos = [] if model.bos is None else [model.bos]
        self.prefixes = [bos + self._encode(*layout.head(n)) for n in range(len(layout.sets))]
        check_reading(model, reading, bool(target.kinds))
        self.constraint = compile(language(target, corpus), model.vocab)
        self.quoting = Quoting(target, corpus, model.vocab) if target.kinds else None
        self.state = self.constraint.start()
        if (least := self.constraint.distance(self.state)) > max_tokens and counts_tokens(model):
            raise JobError(f"no answer fits in max_tokens={max_tokens}: the shortest takes {least}")

    def answer(self, number: int, doc: Document) -> Routine[dict[str, Any]]:
        """The record of a document. What goes wrong with the document alone becomes the record's error."""
        text = None
        try:
            spans = self._spans(number, doc)
            parts = [doc.text[start:end] for start, end in spans]
            quotes = [None if self.quoting is None else self.quoting.fields(part) for part in parts]
            results = yield [self._request(number, *pair, len(spans)) for pair in zip(parts, quotes, strict=True)]
            texts = [self.model.vocab.decode(result.ids).decode() for result in results]
            text = texts[0] if len(texts) == 1 else f"[{','.join(texts)}]"
            known = [self._known(*pair) for pair in zip(texts, results, strict=True)]
            if self.quoting is not None:
                for answer, said, span in zip(known, texts, spans, strict=True):
                    self.quoting.place(answer, said, doc.text, span)
            answer = known[0] if len(known) == 1 else self._merged(known)
            self.target.read(json.dumps(data(answer)))
        except LmprogError as error:
            if ends_job(error):
                raise
            return failure(doc, error, text)
        return self._record(doc, answer, results)

    def _spans(self, number: int, doc: Document) -> list[Span]:
        """The pieces in which a document is read: it is one piece if it fits."""
        if doc.problem is not None:
            raise InputError(doc.problem)
        prefix, frame = len(self._prefix(number)), len(self._encode(self.layout.suffix("")))
        room = self.model.context - prefix - self.max_tokens
        chunks = self.reading.chunks
        most = min(room, chunks.tokens or room)
        if chunks.tokens is not None or len(doc.text.encode()) > most:  # else it cannot have more tokens
            length = len(self._encode(self.layout.suffix(doc.text)))
            if length > most and (chunks.never or most - frame < LEAST):
                raise ContextOverflow(
                    f"the document takes {length} tokens, where the model's context of {self.model.context} leaves "
                    f"{max(room, 0)} beside the shared prompt ({prefix}) and max_tokens={self.max_tokens}"
                )
            if length > most:
                return pieces(doc.text, most - frame - MARGIN, chunks.shared(most), self._encode, self._size)
        return [(0, len(doc.text))]

    def _merged(self, known: list[Tree]) -> Tree:
        """One answer from those for the pieces. Raises MergeError when the schema allows none such."""
        for by_value in (False, True):
            answer = merge(known, by_value)
            try:
                self.target.read(json.dumps(data(answer)))
                return answer
            except OutputError as error:
                problem = error
        raise MergeError(f"the answers for {len(known)} pieces make no answer together: {problem}") from problem

    def _record(self, doc: Document, answer: Tree, results: list[Result]) -> dict[str, Any]:
        if self.reading.evidence:
            look_up(answer, doc.text)
        abstained: dict[str, str] = {}
        doubted: dict[str, str] = {}
        if self.reading.abstain is not None:
            abstained, doubted = abstain(answer, self.reading.abstain, self.target.read)
        if not self.reading.weighs:
            for _, leaf in leaves(answer):
                leaf.confidence = None  # it served to merge
        prompt, output = sum(r.prompt_tokens for r in results), sum(written(r, self.model) for r in results)
        return success(doc, answer, prompt, output, abstained, doubted, len(results))

    def _known(self, text: str, result: Result) -> Tree:
        """The answer's leaves, with how probable they are if that was asked for."""
        answer = tree(text)
        if not math.isnan(sum(result.masked_logprobs)):
            weigh(answer, [self._size(token) for token in result.ids], result.masked_logprobs)
            self._calibrate(answer)
        return answer

    def _calibrate(self, answer: Tree) -> None:
        if (calibration := self.reading.calibration) is not None:
            for pointer, leaf in leaves(answer):
                assert leaf.confidence is not None
                leaf.confidence = calibration(pointer, leaf.confidence)

    def _encode(self, *texts: str) -> list[int]:
        return [token for text in texts for token in self.model.vocab.encode(text.encode())]

    def _size(self, token: int) -> int:
        return len(self.model.vocab.token_bytes[token] or b"")

    def _prefix(self, number: int) -> list[int]:
        return self.prefixes[self.layout.set_of(number)]

    def _request(self, number: int, text: str, quotes: QuoteFields | None, of: int) -> Request:
        """For one of so many pieces."""
        constraint, state = (self.constraint, self.state) if quotes is None else (quotes, quotes.start())
        seed = None if self.sampling.seed is None else (self.sampling.seed + number) % 2**64
        sampling = replace(self.sampling, seed=seed)
        prompt = [*self._prefix(number), *self._encode(self.layout.suffix(text))]
        scored = self.reading.weighs or (of > 1 and counts_tokens(self.model))  # to merge by confidence
        return Request(prompt, self.max_tokens, constraint, state, sampling, logprobs=scored)
