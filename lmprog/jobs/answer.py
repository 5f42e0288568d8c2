"""What happens to one document: a routine that asks the model and gives the record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..grammars import compile
from ..grammars.errors import LmprogError
from ..models import LanguageModel
from ..runtime.errors import ContextOverflow
from ..runtime.request import Request, Result
from ..runtime.routine import Routine
from ..runtime.sampling import Sampling
from .abstain import abstain
from .documents import Document
from .errors import InputError, JobError
from .evidence import look_up
from .layout import Layout
from .leaves import Tree, leaves, tree, weigh
from .reading import PLAIN, Reading
from .records import failure, success
from .target import Target


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
    ) -> None:
        self.model, self.target, self.layout, self.reading = model, target, layout, reading
        self.max_tokens, self.sampling = max_tokens, sampling
        bos = [] if model.bos is None else [model.bos]
        self.prefixes = [bos + self._encode(*layout.head(n)) for n in range(len(layout.sets))]
        self.constraint = compile(target.grammar, model.vocab)
        self.state = self.constraint.start()
        if (least := self.constraint.distance(self.state)) > max_tokens:
            raise JobError(f"no answer fits in max_tokens={max_tokens}: the shortest takes {least}")

    def answer(self, number: int, doc: Document) -> Routine[dict[str, Any]]:
        """The record of a document. What goes wrong with the document alone becomes the record's error."""
        text = None
        try:
            (result,) = yield [self._request(number, doc)]
            text = self.model.vocab.decode(result.ids).decode()
            self.target.read(text)
        except LmprogError as error:
            return failure(doc, error, text)
        return self._record(doc, self._known(doc, text, result), result)

    def _record(self, doc: Document, answer: Tree, result: Result) -> dict[str, Any]:
        doubts: tuple[dict[str, str], ...] = ()
        if self.reading.abstain is not None:
            doubts = abstain(answer, self.reading.abstain, self.target.read)
        return success(doc, answer, result.prompt_tokens, len(result.ids), *doubts)

    def _known(self, doc: Document, text: str, result: Result) -> Tree:
        """The answer's leaves, with what is to be known of them."""
        answer = tree(text)
        if self.reading.weighs:
            lengths = [len(self.model.vocab.token_bytes[token] or b"") for token in result.ids]
            weigh(answer, lengths, result.masked_logprobs)
            self._calibrate(answer)
        if self.reading.evidence:
            look_up(answer, doc.text)
        return answer

    def _calibrate(self, answer: Tree) -> None:
        if (calibration := self.reading.calibration) is not None:
            for pointer, leaf in leaves(answer):
                assert leaf.confidence is not None
                leaf.confidence = calibration(pointer, leaf.confidence)

    def _encode(self, *pieces: str) -> list[int]:
        return [token for piece in pieces for token in self.model.vocab.encode(piece.encode())]

    def _request(self, number: int, doc: Document) -> Request:
        if doc.problem is not None:
            raise InputError(doc.problem)
        prefix = self.prefixes[self.layout.set_of(number)]
        suffix = self._encode(self.layout.suffix(doc.text))
        room = self.model.context - len(prefix) - self.max_tokens
        if len(suffix) > room:
            raise ContextOverflow(
                f"the document takes {len(suffix)} tokens, where the model's context of {self.model.context} leaves "
                f"{max(room, 0)} beside the shared prompt ({len(prefix)}) and max_tokens={self.max_tokens}"
            )
        seed = None if self.sampling.seed is None else (self.sampling.seed + number) % 2**64
        sampling = replace(self.sampling, seed=seed)
        prompt, scored = [*prefix, *suffix], self.reading.weighs
        return Request(prompt, self.max_tokens, self.constraint, self.state, sampling, logprobs=scored)
