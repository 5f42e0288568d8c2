"""A model of bytes made of a model of tokens: the probability of the next byte, given a string.

The probability that a text begins with a string is the sum over the string's covers (covers.py says more, and whose
idea it is). They are kept as hypotheses: tokens that are behind, and the bytes since, with which one of the tokens that
could come next has begun. A byte moves every hypothesis one step down the tree of the vocabulary's bytes; where that is
a token's end, a hypothesis with one more token is added. The sum is exact while none of them is dropped.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .errors import ProgramError, SamplingError
from .grammars import Vocabulary
from .models import LanguageModel
from .runtime.model import Model
from .runtime.request import Ask, Request
from .runtime.routine import Routine, together
from .runtime.table import TableRunner

END = 256
KEPT = 128  # states that are remembered
BLOCK = 64  # bytes; the beginning of a long text is taken in its tokens, up to a border between two blocks ...
NEAR = 32  # ... that is so many bytes back, or more
FULL = 1 << 16  # tokens; probabilities of larger vocabularies are kept in float32
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class NextBytes:
    """What comes behind a text.

    probs    float64 [256]: the probability of each byte
    end      that the text ends here. What is left to 1 is that of special tokens
    missing  at most this share of the text's own probability lies in spellings that were dropped; 0.0: none was
    """

    probs: NDArray[np.float64]
    end: float
    missing: float

    def __getitem__(self, byte: int | bytes | str) -> float:
        """Of a byte, given as such or as a number or an ASCII character."""
        number = byte if isinstance(byte, int) else ord(byte)
        return float(self.probs[number])


def bytewise(model: LanguageModel, *, beam: int = 64) -> ByteModel:
    """A model whose tokens are single bytes, and that gives to strings the probabilities that `model` gives them.

    It can be used wherever a model is: its texts have one spelling only, so that no splice, option or constraint
    depends on tokens. `next_bytes(text)` gives the figures. Each byte costs a row of logits for every hypothesis that
    ends at it (docs/probabilities.md has figures), so it is slow; it is closed by itself, without `model`.

    beam   hypotheses that are kept of a string; more are dropped, the least probable first, and `missing` says what
           that can amount to. Of texts of more than 96 bytes the beginning is taken in the tokenizer's spelling

    Raises ProgramError when `model` cannot score.
    """
    if not model.scores:
        raise ProgramError(f"{model.name} does not tell how probable given tokens are, so there is no model of bytes")
    return ByteModel(model, beam)


class ByteModel(Model):
    """Made by `bytewise`. Ids 0 to 255 are bytes, 256 is the end, and stands before every text."""

    def __init__(self, model: LanguageModel, beam: int) -> None:
        vocab = Vocabulary([*(bytes((b,)) for b in range(256)), None], eos={END})
        self._strings = _Strings(model, beam)
        self._ready: dict[tuple[int, ...], NextBytes] = {}
        runner = TableRunner(self._logprobs, END + 1, model.context, self._prepare)
        super().__init__(runner, vocab, name=f"bytewise({model.name})", bos=END)

    def next_bytes(self, text: str | bytes) -> NextBytes:
        """What comes behind `text`, from the beginning of a text on."""
        data = text.encode() if isinstance(text, str) else text
        return self._strings.next_bytes([data])[0]

    def _prepare(self, prefixes: Sequence[tuple[int, ...]]) -> None:
        """All rows of a step together."""
        found = self._strings.next_bytes([bytes(i for i in prefix if i < END) for prefix in prefixes])
        self._ready = dict(zip(prefixes, found, strict=True))

    def _logprobs(self, prefix: tuple[int, ...]) -> NDArray[np.float64]:
        found = self._ready[prefix]
        with np.errstate(divide="ignore"):
            logprobs: NDArray[np.float64] = np.log(np.append(found.probs, found.end))
        return logprobs


@dataclass(eq=False)
class _Branch:
    """The tokens [first, end) in the order of their bytes: those that begin with some bytes, `depth` many. Those up to
    `longer` are these bytes; the others go on with one of `bytes`, each from its `starts` on."""

    vocab: Sequence[bytes]
    first: int
    end: int
    depth: int
    kids: dict[int, _Branch | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.longer = self.first
        while self.longer < self.end and len(self.vocab[self.longer]) == self.depth:
            self.longer += 1
        column = np.fromiter((t[self.depth] for t in self.vocab[self.longer : self.end]), np.uint8)
        self.starts = np.flatnonzero(np.diff(column, prepend=-1)) if len(column) else np.zeros(0, np.intp)
        self.bytes = column[self.starts]

    def kid(self, byte: int) -> _Branch | None:
        if byte not in self.kids:
            at = int(np.searchsorted(self.bytes, byte))
            there = at < len(self.bytes) and self.bytes[at] == byte
            self.kids[byte] = self._kid(at) if there else None
        return self.kids[byte]

    def _kid(self, at: int) -> _Branch:
        first = self.longer + int(self.starts[at])
        end = self.longer + int(self.starts[at + 1]) if at + 1 < len(self.starts) else self.end
        return _Branch(self.vocab, first, end, self.depth + 1)


@dataclass(frozen=True, eq=False)
class _Hypothesis:
    """`path` came, with the log-probability `mass`, and then the beginning of a token in `branch`, whose tokens have
    the probabilities `probs`. `end`: that of an end behind the path."""

    path: tuple[int, ...]
    mass: float
    branch: _Branch
    probs: Floats
    end: float

    @property
    def open(self) -> Floats:
        """Of the tokens that go on further."""
        return self.probs[self.branch.longer - self.branch.first :]

    def share(self) -> float:
        """The log-probability that the next token is one of those."""
        return self.mass + (_log(float(self.open.sum(dtype=np.float64))) if self.branch.depth else 0.0)

    def after(self, byte: int) -> _Hypothesis | None:
        kid, first = self.branch.kid(byte), self.branch.first
        if kid is None:
            return None
        return _Hypothesis(self.path, self.mass, kid, self.probs[kid.first - first : kid.end - first].copy(), self.end)

    def ended(self) -> list[tuple[int, float]]:
        """The tokens that end here, as places in the order of bytes, each with the log-probability of its path."""
        here = range(self.branch.first, self.branch.longer)
        return [(i, self.mass + _log(float(p))) for i, p in zip(here, self.probs, strict=False) if p > 0]


@dataclass(frozen=True)
class _State:
    """The hypotheses of a string; `lost`: the log-probability of those that were dropped."""

    hypotheses: tuple[_Hypothesis, ...]
    lost: float = -math.inf

    def next_bytes(self) -> NextBytes:
        probs, end, whole = np.zeros(256), 0.0, 0.0
        top = max([h.mass for h in self.hypotheses], default=0.0)
        for h in self.hypotheses:
            weight = math.exp(h.mass - top)
            if len(h.branch.starts):
                probs[h.branch.bytes] += weight * np.add.reduceat(h.open.astype(np.float64), h.branch.starts)
            end += weight * h.end if h.branch.depth == 0 else 0.0
            whole += math.exp(h.share() - top)
        if not whole:
            raise SamplingError("the model gives a text that begins so the probability 0")
        lost = math.exp(self.lost - top)
        return NextBytes(probs / whole, end / whole, lost / (lost + whole))


class _Strings:
    """The states of strings, as they are needed."""

    def __init__(self, model: LanguageModel, beam: int) -> None:
        self.model, self.beam = model, beam
        vocab = model.vocab
        ids = vocab.starting_with(b"")
        self._asked = np.concatenate([ids, np.array(sorted(vocab.eos), np.int32)])
        self._ids = ids.tolist()
        self._root = _Branch([vocab.token_bytes[i] or b"" for i in self._ids], 0, len(ids), 0)
        self._begin = [model.bos] if model.bos is not None else sorted(vocab.eos)[:1]
        self._states: OrderedDict[bytes, _State] = OrderedDict()
        self._lock = threading.Lock()

    def next_bytes(self, texts: Sequence[bytes]) -> list[NextBytes]:
        with self._lock:
            states = self.model.run(together([self._state(text) for text in texts])).result()
        return [state.next_bytes() for state in states]

    def _state(self, text: bytes) -> Routine[_State]:
        """From the nearest beginning of the text that is known."""
        border = _border(text)
        at = len(text)
        while at > border and text[:at] not in self._states:
            at -= 1
        state = self._states.get(text[:at]) if at > border else None
        if state is None:
            state = yield from self._first(text[:border])
        for n in range(at, len(text)):
            state = yield from self._step(state, text[n])
            self._states[text[: n + 1]] = state
            while len(self._states) > KEPT:
                self._states.popitem(last=False)
        return state

    def _first(self, text: bytes) -> Routine[_State]:
        return _State(tuple((yield from self._begun([(tuple(self.model.vocab.encode(text)), 0.0)]))))

    def _step(self, state: _State, byte: int) -> Routine[_State]:
        """One byte more."""
        moved = [after for h in state.hypotheses if (after := h.after(byte)) is not None]
        new = [((*h.path, self._ids[i]), mass) for h in moved for i, mass in h.ended()]
        weighed = [(h.share(), h) for h in moved] + [(mass, (path, mass)) for path, mass in new]
        weighed = sorted([pair for pair in weighed if pair[0] > -math.inf], key=lambda pair: -pair[0])
        kept, dropped = [what for _, what in weighed[: self.beam]], weighed[self.beam :]
        begun = yield from self._begun([what for what in kept if isinstance(what, tuple)])
        found = (*[what for what in kept if isinstance(what, _Hypothesis)], *begun)
        return _State(found, float(np.logaddexp.reduce([state.lost, *[mass for mass, _ in dropped]])))

    def _begun(self, paths: Sequence[tuple[tuple[int, ...], float]]) -> Routine[list[_Hypothesis]]:
        """Hypotheses with nothing behind their paths, whose log-probabilities are given."""
        n, size = len(self._begin), len(self._ids)
        requests = [Request([*self._begin, *path], 0, asks=[Ask(n + len(path), self._asked)]) for path, _ in paths]
        results = (yield requests) if requests else []
        found = []
        for (path, mass), result in zip(paths, results, strict=True):
            probs = np.exp(result.answers[0])
            kept: Floats = probs[:size] if size < FULL else probs[:size].astype(np.float32)
            found.append(_Hypothesis(path, mass, self._root, kept, float(probs[size:].sum())))
        return found


def _border(text: bytes) -> int:
    """Up to where a text is taken in its tokens: before the last blank of the last block that is far enough back."""
    whole = max(0, len(text) - NEAR) // BLOCK * BLOCK
    blank = max(text.rfind(b" ", whole - BLOCK, whole), text.rfind(b"\n", whole - BLOCK, whole)) if whole else 0
    return blank if blank > 0 else whole


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
