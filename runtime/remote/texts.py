"""Text as ids, for servers that take and give text: every byte is one, and a few more say whose message it is.

So all that works on ids (transcripts, forks, chats) works for remote models unchanged, and nothing is lost on the way:
`read` gives back the text, or the messages, that ids were made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...grammars.vocabulary import Vocabulary
from ..errors import RequestError

END = 256  # of a message
NAMED = 257  # what follows in a message, up to the next mark, is a name
ROLES = ("system", "user", "assistant", "tool")
FIRST = 258  # the mark of the first role


@cache
def vocabulary() -> Vocabulary:
    marks = [None] * (2 + len(ROLES))
    return Vocabulary([*(bytes((byte,)) for byte in range(256)), *marks], {END})


def write(messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool) -> list[int]:
    """The ids of a conversation. Raises RequestError for a role that servers do not know."""
    ids: list[int] = []
    for message in messages:
        role, name, content = message.get("role"), message.get("name"), message.get("content")
        if role not in ROLES or not isinstance(content, str):
            raise RequestError(f"a message has a role ({', '.join(ROLES)}) and a text, not {role!r} and {content!r}")
        mark = FIRST + ROLES.index(role)
        ids += [mark, *([] if name is None else [NAMED, *str(name).encode(), mark]), *content.encode(), END]
    return [*ids, FIRST + ROLES.index("assistant")] if add_generation_prompt else ids


@dataclass(frozen=True)
class Prompt:
    """What a model is to continue: a plain text, or messages and the beginning of the assistant's next one."""

    text: str
    messages: tuple[dict[str, str], ...] | None = None

    def without(self, blanks: str) -> Prompt:
        """The same, without blanks that its text ends with."""
        return Prompt(self.text.removesuffix(blanks), self.messages)


def read(ids: Sequence[int]) -> Prompt:
    """What ids stand for. Raises RequestError for text that is no UTF-8."""
    if not any([i >= NAMED for i in ids]):
        return Prompt(_text([i for i in ids if i < END]))
    messages: list[dict[str, str]] = []
    part, name = bytearray(), None
    role = ""
    for i in ids:
        if i >= FIRST:
            if name is not None:
                name = part.decode()
            role, part = ROLES[i - FIRST], bytearray()
        elif i == NAMED:
            name = ""
        elif i == END:
            messages.append({"role": role, **({"name": name} if name else {}), "content": _text(part)})
            part, name = bytearray(), None
        else:
            part.append(i)
    return Prompt(_text(part), tuple(messages))


def _text(data: Sequence[int]) -> str:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError as error:
        raise RequestError(f"the text ends in the middle of a character: {error}") from None
