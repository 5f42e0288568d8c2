"""A model ready to run."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

from .engine import Engine
from .errors import RequestError

if TYPE_CHECKING:
    from ..grammars.vocabulary import Vocabulary
    from .chat import ChatFormat, Message
    from .handle import Handle, Pending
    from .origin import Origin
    from .request import Request
    from .routine import Routine
    from .runner import Runner
    from .speculation.drafter import Drafter

T = TypeVar("T")


class Model:
    """Weights, vocabulary and an engine that any number of threads may use at once. `lmprog.load` makes one.

    name       what was loaded, for messages
    vocab      the tokens as bytes; `vocab.eos` are the ids that end a text or a turn
    tokenizer  the Hugging Face tokenizer; None for toy models
    bos        the id that the tokenizer puts before every text; None if it puts none
    context    most positions, prompt and generated tokens together
    engine     runs the requests; `engine.stats` counts
    origin     what decides what it gives; None: not known
    """

    scores = True  # answers requests with `asks`

    def __init__(
        self,
        runner: Runner,
        vocab: Vocabulary,
        *,
        name: str,
        tokenizer: Any = None,
        bos: int | None = None,
        slots: int | None = None,
        reuse: bool = True,
        max_queue: int | None = None,
        drafters: Sequence[Drafter] = (),
        origin: Origin | None = None,
    ) -> None:
        self.name, self.vocab, self.tokenizer, self.bos = name, vocab, tokenizer, bos
        self.context, self.origin = runner.context, origin
        self.engine = Engine(runner, vocab, slots=slots, reuse=reuse, max_queue=max_queue, drafters=drafters)

    def encode(self, text: str) -> list[int]:
        """Ids of text alone: no BOS, and what looks like a special token is text like any other.

        Raises:
            RequestError: a lone surrogate, which is not text.
        """
        try:
            return self.vocab.encode(text.encode())
        except UnicodeEncodeError as error:
            char = error.object[error.start]
            raise RequestError(f"character {error.start} of the text is a lone surrogate, {char!r}") from error

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> list[int]:
        """Ids of a conversation in the model's own chat format, BOS included where the format has one.

        messages: `{"role": "user", "content": "..."}` and so on. Nothing in them is ever read as a special token.

        Raises:
            RequestError: the model has no chat template, or the template refuses the messages.
        """
        return self._format.ids(messages, add_generation_prompt)

    @cached_property
    def _format(self) -> ChatFormat:
        from .chat import ChatFormat

        if self.tokenizer is None:
            raise RequestError(f"{self.name} has no tokenizer and so no chat template: use plain text instead of roles")
        return ChatFormat(self.tokenizer, self.encode)

    def submit(self, request: Request, *, block: bool = True, timeout: float | None = None) -> Handle:
        """Start a request on the engine; see `Engine.submit`."""
        return self.engine.submit(request, block=block, timeout=timeout)

    def lend(self, request: Request) -> Handle:
        """Start a request of a routine that runs on another model; see `Engine.lend`."""
        return self.engine.lend(request)

    def run(
        self, routine: Routine[T], *, group: Hashable = None, block: bool = True, timeout: float | None = None
    ) -> Pending[T]:
        """Start a routine on the engine; see `Engine.run`."""
        return self.engine.run(routine, group=group, block=block, timeout=timeout)

    def close(self) -> None:
        """Stop the engine; requests under way fail with EngineClosed. Closing twice is fine."""
        self.engine.close()

    @property
    def closed(self) -> bool:
        """Whether the engine takes no more requests: closed, or broken down."""
        return self.engine.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __deepcopy__(self, memo: object) -> Model:
        return self  # there is one engine, whoever holds the model

    def __repr__(self) -> str:
        return f"<lmprog model {self.name}: {self.vocab.size} tokens, context {self.context}>"
