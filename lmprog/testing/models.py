"""Models for tests, usable wherever a model is: random, scripted, or an exact table.

`RandomModel` and `TableModel` run on the real engine, with its prefix cache, masks and sampler; `Scripted` gives the
answers that a test wants, and checks them against the holes' languages.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ScriptError
from ..grammars import Vocabulary
from ..runtime.handle import Pending
from ..runtime.model import Model
from ..runtime.origin import Origin
from ..runtime.request import Request, Result
from ..runtime.routine import Routine, one
from ..runtime.table import TableRunner

__all__ = ["RandomModel", "Scripted", "TableModel"]

T = TypeVar("T")
ROLES = ("system", "user", "assistant", "tool")
WORDS = """
the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you
were all her she there would their we him been has when who will no more if out so up said what its about than into
them can only other time new some could these two may first then do any like my now over such math poem topic name age
yes moon sea true false null
"""
PIECES = """
": ": ", {" "} [] [{ }, }] ing er ed tion es th on ab aa 00 10 12 19 20 99 202 0. é ü ß – … 日 本 日本 語 🙂
"""
SPACED = (' "', '": ', '", ', "\n\n", ".\n", ",\n", "  ", "    ", ": ", ", ", " 1", " -")
HALVES = ("日".encode()[:2], "🙂".encode()[:3], b'"\xe6')  # tokens that end inside of a code point


class _Chats:
    """A chat template of one special token for each role and one for the end of a message."""

    vocab: Vocabulary
    bos: int | None
    roles: int  # the id of the first role's token

    def chat(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True) -> list[int]:
        ids = [] if self.bos is None else [self.bos]
        for message in messages:
            content = self.vocab.encode(message["content"].encode())
            ids += [self.roles + ROLES.index(message["role"]), *content, min(self.vocab.eos)]
        return ids + [self.roles + ROLES.index("assistant")] * add_generation_prompt


def _chat_vocabulary(texts: Sequence[bytes]) -> tuple[Vocabulary, int, int]:
    """The vocabulary of `texts` and special tokens: the end of a message, BOS, one for each role."""
    end = len(texts)
    special: list[bytes | None] = [None] * (2 + len(ROLES))
    return Vocabulary([*texts, *special], eos={end}), end + 1, end + 2


def byte_vocabulary() -> Vocabulary:
    """Every byte a token, and the end."""
    return _chat_vocabulary([bytes((b,)) for b in range(256)])[0]


class RandomModel(_Chats, Model):
    """A model with random weights: every context has its own random logits, the same for the same `seed`.

    Its vocabulary has every byte, words, numbers, pieces of JSON, and tokens that end inside of a code point.
    `spread` is the standard deviation of the logits.
    """

    def __init__(self, seed: int = 0, *, spread: float = 3.0, context: int = 1 << 16, slots: int | None = None) -> None:
        texts = [bytes((b,)) for b in range(256)]
        words = WORDS.split()
        pieces = dict.fromkeys([*words, *(f" {word}" for word in words), *PIECES.split(), *SPACED])
        texts += [data for piece in pieces if len(data := piece.encode()) > 1]
        vocab, bos, self.roles = _chat_vocabulary([*texts, *HALVES])

        def logits(ids: tuple[int, ...]) -> NDArray[np.float64]:
            key = hashlib.blake2b(np.asarray((seed, *ids), np.int64).tobytes(), digest_size=8).digest()
            return np.random.default_rng(int.from_bytes(key, "little")).standard_normal(vocab.size) * spread

        runner = TableRunner(logits, vocab.size, context)
        origin = Origin(("RandomModel", seed, spread, context))
        super().__init__(runner, vocab, name=f"RandomModel({seed})", bos=bos, slots=slots, origin=origin)


class TableModel(Model):
    """An exact model: `next_probs(prefix_ids)` gives the probabilities of `tokens` + [end] after a prefix.

    The prefix holds ids of `tokens` (positions in that list); the engine's beginning-of-text is not in it.
    """

    def __init__(
        self,
        tokens: Sequence[str | bytes],
        next_probs: Callable[[tuple[int, ...]], Sequence[float]],
        *,
        context: int = 1 << 16,
    ) -> None:
        texts: list[bytes | None] = [t.encode() if isinstance(t, str) else t for t in tokens]
        end = len(texts)
        vocab = Vocabulary([*texts, None], eos={end})
        runner = TableRunner.from_probs(lambda ids: next_probs(ids[1:]), end + 1, context)
        origin = Origin(("TableModel", tuple(texts), next_probs, context))
        super().__init__(runner, vocab, name="TableModel", bos=end, origin=origin)


class Scripted(_Chats):
    """Answers the holes with the given texts, in the order in which they are reached.

    A choice takes the answer, too; it is not scored. Raises ScriptError when there are no answers left, or when the
    hole does not allow the answer. Budgets are not checked: its tokens are single bytes. `prompts` holds the text
    that came before each hole.
    """

    scores = False

    def __init__(self, answers: Iterable[str], *, context: int = 1 << 20) -> None:
        self.name, self.context, self.tokenizer = "Scripted", context, None
        self.vocab, self.bos, self.roles = _chat_vocabulary([bytes((b,)) for b in range(256)])
        self.prompts: list[str] = []
        self._answers = list(answers)
        self._lock = threading.Lock()

    def submit(self, request: Request) -> Pending[Result]:
        return self.run(one(request))

    def run(self, routine: Routine[T], *, group: Hashable = None, block: bool = True) -> Pending[T]:
        """Answer all its requests at once, in this thread."""
        pending: Pending[T] = Pending(lambda: None)
        try:
            resume: Callable[[], Sequence[Request]] = partial(next, routine)
            while True:
                resume = self._answered(routine, resume())
        except StopIteration as stop:
            pending.future.set_result(stop.value)
        except BaseException as error:
            pending.future.set_exception(error)
        return pending

    def _answered(self, routine: Routine[Any], requests: Sequence[Request]) -> Callable[[], Sequence[Request]]:
        try:
            return partial(routine.send, [self._answer(request) for request in requests])
        except ScriptError as error:
            return partial(routine.throw, error)

    def _answer(self, request: Request) -> Result:
        with self._lock:
            at = len(self.prompts)
            self.prompts.append(self.vocab.decode(request.ids).decode(errors="replace"))
        if at >= len(self._answers):
            raise ScriptError(f"the script has {len(self._answers)} answers, but a hole more was reached")
        return self._walk(request, f"answer {at}, {self._answers[at]!r}", self._answers[at].encode())

    def _walk(self, request: Request, what: str, answer: bytes) -> Result:
        c, state = request.constraint, request.state
        assert c is not None
        assert state is not None
        for i, byte in enumerate(answer):
            after = c.advance(state, byte)
            if after is None:
                done = answer[:i].decode(errors="replace")
                raise ScriptError(f"{what}, is not a value of the hole: after {done!r} it cannot go on like this")
            state = after
        if not c.accepting(state):
            raise ScriptError(f"{what}, is not a value of the hole: it is not complete")
        if (tell := request.on_tokens) is not None:
            for byte in answer:
                tell([byte])
        n = len(request.ids)
        return Result(list(answer), "stop", state, n, n, len(answer), 0, [0.0] * len(answer), 0.0)

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def close(self) -> None:
        """Nothing to close."""

    def __deepcopy__(self, memo: object) -> Scripted:
        return self

    @property
    def left(self) -> int:
        """How many answers have not been used."""
        return max(0, len(self._answers) - len(self.prompts))
