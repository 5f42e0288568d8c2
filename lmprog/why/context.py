"""The ids that the model had read when it came to a field, and the characters of the run's text that they stand for.

They are made anew from the run's text, roles and captures, as the run made them: earlier values keep the tokens that
the model wrote them in. So a run that was saved has the same context as one that has just ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, takewhile
from typing import Any

from ..chat import Chat
from ..errors import RunError
from ..events import Close, Event, RoleBegin, RoleEnd, Span
from ..models import LanguageModel
from ..revive import kept
from ..run import Capture, Run
from ..transcript import Place, Spelling, Transcript, spell

Spans = list[Span | None]
MARKS = 0x10F000  # private-use characters: no token of more than one, in no text
REWRITTEN = "the chat template does not show the model the text of a message as it is in the run: {text!r}"


@dataclass(frozen=True)
class Context:
    """`ids` before the value, the first `fixed` of which are never spelt anew; the characters that each stands for
    (`spans`), None where it is no text of the run; and the value's own tokens, `path`, which spell the last `tail` of
    the ids anew. An empty `path`: the value's tokens are not known, or not of this model."""

    ids: list[int]
    fixed: int
    spans: Spans
    path: tuple[int, ...]
    tail: int

    def followed(self, ids: list[int], value: Capture, token_bytes: Sequence[bytes | None]) -> Context:
        """The context of what is inside of the value that it was made for: `ids` go on into it."""
        same = sum([1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ids, self.ids, strict=False))])
        owners = [self.spans[at] for at in range(same, len(self.ids)) for _ in token_bytes[self.ids[at]] or b""]
        owners += [(at, at + 1) for at, char in enumerate(value.text, value.span[0]) for _ in char.encode()]
        cuts = accumulate([len(token_bytes[i] or b"") for i in ids[same:]], initial=0)
        inside = [_from_to(owners[a:b]) for a, b in pairwise(cuts)]
        return Context(ids, len(ids), [*self.spans[:same], *inside], (), 0)


def context(run: Run[Any], capture: Capture, model: LanguageModel) -> Context:
    """What the model had read before `capture`.

    Raises RunError for a chat template that rewrites messages, RequestError for roles on a model without a template.
    """
    transcript = Transcript(model.vocab, [] if model.bos is None else [model.bos])
    chat, role, pieces = Chat(model, transcript), "", [list[int]()]
    values = {(c.name, c.span): c for c in run.captures.all()}
    for event in _before(run, capture):
        if isinstance(event, RoleBegin):
            role = event.role
            chat.begin(role, event.name or None)
            pieces.append([])
        elif isinstance(event, RoleEnd):
            chat.end()
            role = ""
        elif event.text:
            earlier = values.get((event.name, event.span)) if isinstance(event, Close) else None
            if role in ("", "assistant"):
                _append(transcript, event.text, earlier, run.text[event.span[1] :])
            chat.add(event.text)
            pieces[-1] += range(*event.span)
    fixed = len(transcript.ids)
    ids, _ = transcript.border()
    tail = _tail(model.vocab, ids, _over(model.vocab, capture.tokens, capture.text))
    own = _own(model, chat.shown) if role else [b""]
    spans = _spans(model.vocab, ids, run.text, pieces[-len(own) :], own)
    return Context(ids, fixed, spans, () if tail is None else capture.tokens, tail or 0)


def _before(run: Run[Any], capture: Capture) -> list[Event]:
    """The events that make up the text that the model had read."""
    unseen = capture.asked.unseen
    before = [event for event in kept(run) if event.span[1] <= capture.span[0]]
    return [event for event in before if not any([a <= event.span[0] < b for a, b in unseen])]


def _append(transcript: Transcript, text: str, value: Capture | None, behind: str) -> None:
    """Text, in the tokens of the value that it is where there are any."""
    over = None if value is None else _over(transcript.vocab, value.tokens, text)
    if value is None or over is None:
        transcript.append(text)
        return
    tokens, end = value.tokens, len(over) + len(text.encode())
    more = spell(transcript.vocab, tokens)[end:]
    if more and behind.encode().startswith(more):  # the model wrote the text behind the value as well
        transcript.take_over(Place((), over, 0), Place(tokens, b"", len(more)))
        return
    last = transcript.vocab.token_bytes[tokens[-1]] or b""
    whole = tokens[:-1] if more else tokens
    left = last[: len(last) - len(more)] if more else b""
    transcript.take_over(Place((), over, 0), Place(whole, left, 0))


def _over(vocab: Spelling, tokens: Sequence[int], text: str) -> bytes | None:
    """What the first of a value's tokens has of the text before it; None: they do not spell the value."""
    if not tokens or not all(0 <= token < len(vocab.token_bytes) for token in tokens):
        return None
    data, value = spell(vocab, tokens), text.encode()
    first, last = (len(vocab.token_bytes[tokens[i]] or b"") for i in (0, -1))
    for at in range(first):
        end = at + len(value)
        if end > len(data):
            break
        if data[at:end] == value and end > len(data) - last:
            return data[:at]
    return None


def _tail(vocab: Spelling, ids: Sequence[int], over: bytes | None) -> int | None:
    """How many of the last ids spell `over`; None: it is not known, or no border between two ids is there."""
    if over is None:
        return None
    count = 0
    while count < len(ids) and len(spell(vocab, ids[len(ids) - count :])) < len(over):
        count += 1
    return count if spell(vocab, ids[len(ids) - count :]) == over else None


def _spans(
    vocab: Spelling, ids: Sequence[int], text: str, pieces: Sequence[Sequence[int]], own: Sequence[bytes]
) -> Spans:
    """The characters of each id. `pieces`: those of each message, or of all text; `own`: what the chat template writes
    before each."""
    data = spell(vocab, ids)
    found: list[int | None] = [None] * len(data)  # the character of each byte
    at = 0
    for chars, before in zip(pieces, own, strict=True):
        core = "".join([text[char] for char in chars])
        if not data.startswith(before + core.encode(), at):  # templates may drop the blanks around a message
            chars, core = chars[len(core) - len(core.lstrip()) :], core.strip()
        if not data.startswith(before + core.encode(), at):
            raise RunError(REWRITTEN.format(text=core[:40]))
        at += len(before)
        for char in chars[: len(core)]:
            size = len(text[char].encode())
            found[at : at + size] = [char] * size
            at += size
    cuts = accumulate([len(vocab.token_bytes[i] or b"") for i in ids], initial=0)
    return [_span(found[a:b]) for a, b in pairwise(cuts)]


def _own(model: LanguageModel, messages: Sequence[dict[str, str]]) -> list[bytes]:
    """What the chat template writes before each message, and before the one that the model is to write."""
    marks = [chr(MARKS + i) for i in range(len(messages))]
    marked = [message | {"content": mark} for message, mark in zip(messages, marks, strict=True)]
    data = spell(model.vocab, model.chat(marked, add_generation_prompt=True))
    own = list[bytes]()
    for mark in marks:
        before, found, data = data.partition(mark.encode())
        if not found:
            raise RunError(REWRITTEN.format(text=messages[len(own)]["content"][:40]))
        own.append(before)
    return [*own, data]


def _from_to(spans: Sequence[Span | None]) -> Span | None:
    first, last = (spans[0], spans[-1]) if spans else (None, None)
    return None if first is None or last is None else (first[0], last[1])


def _span(chars: Sequence[int | None]) -> Span | None:
    first, last = (chars[0], chars[-1]) if chars else (None, None)
    return None if first is None or last is None else (first, last + 1)
