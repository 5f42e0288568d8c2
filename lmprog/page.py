"""What the model is given in a run, and how its holes are to be decoded: a live run has one, and a plan's walk another,
so that both ask the model for the same.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import replace

from .chat import Chat
from .decoders import Argmax, Decoder, Method, derive_seed
from .ends import end_mark
from .holes import Hole
from .models import LanguageModel
from .options import Options
from .runtime.sampling import Sampling
from .task import Answer, Task
from .transcript import Place, Transcript

unseeded: ContextVar[list[str] | None] = ContextVar("lmprog.unseeded", default=None)  # notes holes drawn by chance


class Page:
    """The model's context as it grows.

    role     that is open, "" for none
    holes    that were filled so far
    resets   how often something was taken back
    """

    def __init__(self, model: LanguageModel, options: Options) -> None:
        self.model, self.options = model, options
        self.transcript = Transcript(model.vocab, [] if model.bos is None else [model.bos])
        self.chat = Chat(model, self.transcript)
        self.role = ""
        self.holes = self.resets = 0
        self._unseeded = unseeded.get()
        self._decoders: list[tuple[Decoder, int | None]] = [(options.decoder or Argmax(), options.base_seed())]

    def copy(self) -> Page:
        """The same again, to go on from here by itself."""
        page = Page(self.model, self.options)
        page.transcript.go_to(self.transcript.place())
        page.chat.go_to(self.chat.place())
        page.role, page.holes, page.resets = self.role, self.holes, self.resets
        page._decoders, page._unseeded = [*self._decoders], self._unseeded
        return page

    def branch(self, *path: int) -> Page:
        """A copy with seeds of its own."""
        page = self.copy()
        page._decoders = [(decoder, derive_seed(seed, "fork", *path)) for decoder, seed in self._decoders]
        return page

    def go_to(self, other: Page) -> None:
        """Go on from where a copy is now."""
        self.transcript.go_to(other.transcript.place())
        self.chat.go_to(other.chat.place())
        self.role, self.holes = other.role, other.holes

    def text(self, text: str) -> None:
        if self.role in ("", "assistant"):
            self.transcript.append(text)
        self.chat.add(text)

    def begin(self, role: str, name: str | None) -> None:
        self.chat.begin(role, name)
        self.role = role

    def end(self) -> None:
        self.chat.end()
        self.role = ""

    def decode(self, decoder: Decoder | None) -> None:
        """Decode by `decoder` from here on, or (None) as before."""
        if decoder is None:
            self._decoders.pop()
        else:
            seed = decoder.sampling().seed
            self._decoders.append((decoder, self._decoders[-1][1] if seed is None else seed))

    def task(self, hole: Hole, follow: str, tries: int = 0) -> Task:
        """What is to be done for a hole that stands here. `tries`: how many values of it were refused."""
        boundary, options = hole.boundary or self.options.boundary, self.options
        heal, exact = boundary == "heal", boundary == "exact"
        method = hole.settings.method(self._decoders[-1][0])
        sampling = self._sampling(hole, tries, method)
        how = options.logprobs, options.trace
        return Task(hole, end_mark(follow), heal, sampling, *how, method=method, exact=exact)

    def filled(self, answer: Answer) -> None:
        """The transcript holds the value already."""
        self.transcript.skip(answer.followed)
        self.chat.add(answer.value.decode())
        self.holes += 1

    def take_over(self, begin: Place, end: Place, text: str) -> None:
        """Text from elsewhere, in the spelling that it got there between two places."""
        self.transcript.take_over(begin, end)
        self.chat.add(text)

    def _sampling(self, hole: Hole, tries: int, method: Method | None) -> Sampling:
        decoder, seed = self._decoders[-1]
        merged = hole.settings.over(decoder)
        if not hole.settings.fixes_seed():
            merged = replace(merged, seed=derive_seed(seed, self.holes))
        if self.resets or tries:  # what was taken back is not to be drawn again
            merged = replace(merged, seed=derive_seed(merged.seed, "again", self.resets, tries))
        if self._unseeded is not None and merged.seed is None and not merged.greedy:
            self._unseeded.append(hole.name or hole.kind)
        if method is not None and self.options.arithmetic is not None:  # a method draws in ways of its own
            return replace(merged, seed=derive_seed(merged.seed, "sample", self.options.arithmetic[0]))
        return merged if merged.greedy else replace(merged, arithmetic=self.options.arithmetic)
