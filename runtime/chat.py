"""Chat messages to token ids through the model's own template, with no special token ever read out of a message.

Whatever in a message looks like a special token, or could become one together with its neighbours, is replaced by a
private-use character before the template runs (which may trim, split or join the messages as it likes). In the rendered
text the special tokens are then the template's own; between them the characters are put back and the text is encoded as
text. For messages without look-alikes the ids are those of `apply_chat_template(tokenize=True)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from .errors import RequestError

_PRIVATE = 0x100000  # the last private-use plane: 65,534 characters
Message = Mapping[str, Any]


class ChatFormat:
    """The chat template of a Hugging Face tokenizer.

    `encode`: text to ids, where text is only text.
    """

    def __init__(self, tokenizer: Any, encode: Callable[[str], list[int]]) -> None:
        self._tokenizer, self._encode = tokenizer, encode
        added = tokenizer.added_tokens_decoder
        self._special = {token.content: (i, token) for i, token in added.items() if token.special and token.content}

    @cached_property
    def _own(self) -> re.Pattern[str]:
        return re.compile(f"({_pattern(_trie(self._special), tail=False)})")

    @cached_property
    def _alike(self) -> re.Pattern[str]:
        return re.compile(_pattern(_trie(self._special), tail=True))

    def ids(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> list[int]:
        """Token ids of the conversation, the template's BOS included.

        Raises:
            RequestError: no template, or it refuses the messages (roles out of order, say).
        """
        hidden: dict[str, str] = {}
        used = {char for text in _strings(messages) for char in text if ord(char) >= _PRIVATE}
        free = (char for char in map(chr, range(_PRIVATE, 0x10FFFE)) if char not in used)
        safe = _map_strings(messages, lambda text: self._hide(text, hidden, free))
        back = str.maketrans({char: text for text, char in hidden.items()})
        return [
            i for piece in self._pieces(self._render(safe, add_generation_prompt)) for i in self._piece(piece, back)
        ]

    def turn_end(self) -> int | None:
        """The special token that closes an assistant's turn, if there is one."""
        try:
            text = self._render([{"role": "user", "content": "x"}, {"role": "assistant", "content": "lmprog"}], False)
        except RequestError:
            return None
        after = text.rpartition("lmprog")[2].lstrip()
        token = max(filter(after.startswith, self._special), key=len, default=None)
        return None if token is None else self._special[token][0]

    def _render(self, messages: Any, add_generation_prompt: bool) -> str:
        from jinja2 import TemplateError

        if not self._tokenizer.chat_template:
            raise RequestError("the model has no chat template: use plain text instead of roles, or an instruct model")
        try:
            text: str = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except (TemplateError, TypeError, KeyError) as error:
            raise RequestError(f"the model's chat template refuses these messages: {error}") from error
        return text

    def _hide(self, text: str, hidden: dict[str, str], free: Iterator[str]) -> str:
        def char(match: re.Match[str]) -> str:
            if match[0] not in hidden:
                hidden[match[0]] = next(free)
            return hidden[match[0]]

        return self._alike.sub(char, text)

    def _pieces(self, rendered: str) -> list[str]:
        """Text and special tokens in turn; some tokens take the white space beside them along."""
        pieces = self._own.split(rendered)
        for at in range(1, len(pieces), 2):
            token = self._special[pieces[at]][1]
            if token.lstrip:
                pieces[at - 1] = pieces[at - 1].rstrip()
            if token.rstrip:
                pieces[at + 1] = pieces[at + 1].lstrip()
        return pieces

    def _piece(self, piece: str, back: Mapping[int, str]) -> list[int]:
        if piece in self._special:
            return [self._special[piece][0]]
        return self._encode(piece.translate(back)) if piece else []


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for item in value.values() for text in _strings(item))
    elif isinstance(value, (list, tuple)):
        yield from (text for item in value for text in _strings(item))


def _map_strings(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _map_strings(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map_strings(item, change) for item in value]
    return value


def _trie(words: Iterable[str]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for word in words:
        node = root
        for char in word:
            node = node.setdefault(char, {})
        node[""] = {}  # a word ends here
    return root


def _pattern(node: Mapping[str, Any], tail: bool, inside: bool = False) -> str:
    """A regex for the longest word from here; with `tail` also for the beginning of one at the end of the text (white
    space aside: a template may trim it and join the next text to it)."""
    branches = [re.escape(char) + _pattern(child, tail, True) for char, child in node.items() if char]
    if "" in node:
        branches.append("")
    elif tail and inside:
        branches.append(r"(?=\s*\Z)")
    return f"(?:{'|'.join(branches)})" if branches else "(?!)"
