"""Text goes in byte for byte, whatever the tokenizer likes to do to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import normalizers

from lmprog.grammars.plain_text import PlainText
from lmprog.grammars.tokenizers import token_bytes

from ..runtime.tiny import byte_level, sentencepiece

FAMILIES: dict[str, Callable[[], Any]] = {
    "byte level": byte_level,
    "NFC": lambda: byte_level(normalizers.NFC()),
    "lower case": lambda: byte_level(normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])),
    "sentencepiece": sentencepiece,
}
TEXTS = [" a ab abc  ab", "ab", "<s></s> <|start|>", "e\u0301 ﬁ A", "▁a ▁▁", "日本\n\t\x00", "", " "]


class Spelling:
    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.tokens = tokenizer, token_bytes(tokenizer)
        self.encode = PlainText(tokenizer, self.tokens)

    def there_and_back(self, text: str) -> bytes:
        return b"".join(self.tokens[i] or b"!special!" for i in self.encode(text.encode()))


@pytest.fixture(scope="module", params=FAMILIES)
def spelling(request: pytest.FixtureRequest) -> Spelling:
    return Spelling(FAMILIES[request.param]())


@pytest.mark.parametrize("text", TEXTS)
def test_ids_spell_the_text(spelling: Spelling, text: str) -> None:
    assert spelling.there_and_back(text) == text.encode()


@given(st.lists(st.text() | st.sampled_from(["<s>", "</s>", "<|end|>", "▁", " "])).map("".join))
def test_any_text_comes_back(spelling: Spelling, text: str) -> None:
    assert spelling.there_and_back(text) == text.encode()


def test_plain_text_is_what_the_tokenizer_makes_of_it() -> None:
    tokenizer = byte_level(normalizers.NFC())
    spelling = Spelling(tokenizer)
    for _ in range(2):
        for text in ["the cat sat", "naïve café\n user"]:
            assert spelling.encode(text.encode()) == tokenizer.encode(text, add_special_tokens=False)
        spelling.encode("e\u0301".encode())  # which the tokenizer would change, so that a copy goes on from here


def test_the_space_in_front_is_left_out_only() -> None:
    tokenizer = sentencepiece()
    vocab = tokenizer.get_vocab()
    encode = Spelling(tokenizer).encode

    assert tokenizer.encode("a ab", add_special_tokens=False) == [vocab["▁a"], vocab["▁a"], vocab["b"]]
    assert encode(b"a ab") == [vocab["a"], vocab["▁a"], vocab["b"]]
    assert encode(b" a") == [vocab["▁a"]]


def test_whatever_others_do_with_the_tokenizer() -> None:
    spelling = Spelling(byte_level())
    spelling.tokenizer("the cat sat on the mat", truncation=True, max_length=2)

    assert spelling.there_and_back("the cat sat on the mat") == b"the cat sat on the mat"


def test_many_threads_while_another_parses_special_tokens() -> None:
    spelling = Spelling(byte_level())
    text = "<s>the</s> cat <|end|>" * 20
    wrong: list[bytes] = []
    done = threading.Event()

    def work() -> None:
        results = [spelling.there_and_back(text) for _ in range(200)]
        wrong.extend(result for result in results if result != text.encode())

    def disturb() -> None:
        while not done.is_set():
            spelling.tokenizer.encode(text)

    workers = [threading.Thread(target=work) for _ in range(4)]
    disturber = threading.Thread(target=disturb)
    for thread in [disturber, *workers]:
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    disturber.join()

    assert wrong == []


def test_half_a_character_is_not_text() -> None:
    with pytest.raises(UnicodeDecodeError):
        Spelling(byte_level()).encode("é".encode()[:1])
