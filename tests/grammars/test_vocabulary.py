"""Vocabularies of real tokenizer families, trained small here: every id spells what the tokenizer decodes it to."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from lmprog.grammars import Vocabulary

CORPUS = [
    "The quick brown fox\n jumps over  the lazy dog.",
    'naïve café, 42 € 😀 {"key": [1, 2.5]}',
    "    def f(x):\n\treturn x",
]
TEXTS = [
    *CORPUS,
    "",
    " ",
    " leading",
    "tab\there",
    "日本語 and <eos> </s>",
    "<|endoftext|>",
    "\n\n\n",
    "e\u0301",
    "\u2581",
]


def byte_level() -> PreTrainedTokenizerFast:
    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    t.train_from_iterator(
        CORPUS * 20, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=["<eos>"])
    )
    return PreTrainedTokenizerFast(tokenizer_object=t, eos_token="<eos>")


def sentencepiece(prefix_space: bool) -> PreTrainedTokenizerFast:
    t = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    steps = [normalizers.Prepend("▁")] if prefix_space else []
    t.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    strip = [decoders.Strip(" ", 1, 0)] if prefix_space else []
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    special = ["<unk>", "<eos>", *(f"<0x{i:02X}>" for i in range(256))]
    t.train_from_iterator(CORPUS * 20, trainers.BpeTrainer(vocab_size=500, special_tokens=special))
    t = Tokenizer.from_str(_only_control_tokens(t.to_str()))
    return PreTrainedTokenizerFast(tokenizer_object=t, eos_token="<eos>")


def _only_control_tokens(state: str) -> str:
    """The trainer marks the byte tokens as special; real SentencePiece models do not."""
    loaded = json.loads(state)
    loaded["added_tokens"] = [x for x in loaded["added_tokens"] if not x["content"].startswith("<0x")]
    return json.dumps(loaded)


FAMILIES = {
    "byte level": byte_level,
    "sentencepiece": lambda: sentencepiece(False),
    "sentencepiece, prefix space": lambda: sentencepiece(True),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_encoding_spells_the_text_and_never_a_special_token(family: str) -> None:
    tokenizer = FAMILIES[family]()
    vocab = Vocabulary.from_tokenizer(tokenizer)

    assert vocab.complete
    assert vocab.eos == {tokenizer.eos_token_id}
    for text in TEXTS:
        ids = vocab.encode(text.encode())
        assert vocab.decode(ids) == text.encode()
        assert not vocab.eos & set(ids)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tokenizers_own_spelling_is_used(family: str) -> None:
    tokenizer = FAMILIES[family]()
    vocab = Vocabulary.from_tokenizer(tokenizer)
    text = " quick brown fox"
    expected = tokenizer.encode(text, add_special_tokens=False)
    if "prefix" in family:
        expected = tokenizer.encode(text[1:], add_special_tokens=False)  # it puts the space there itself

    assert vocab.encode(text.encode()) == expected


def test_every_byte_level_token_decodes_to_its_bytes() -> None:
    tokenizer = byte_level()
    vocab = Vocabulary.from_tokenizer(tokenizer)
    for i, data in enumerate(vocab.token_bytes):
        if data is not None:
            assert tokenizer.decode([i]) == data.decode("utf-8", "replace")


def test_pieces_of_a_code_point_are_spelt_by_bytes() -> None:
    vocab = Vocabulary.from_tokenizer(sentencepiece(False))
    piece = "😀".encode()[:2]

    assert vocab.decode(vocab.encode(piece)) == piece


def test_extendable() -> None:
    vocab = Vocabulary([b"a", b"ab", b"c", None], {3})

    assert vocab.extendable(b"a")
    assert not vocab.extendable(b"ab")
    assert not vocab.extendable(b"c")


def test_ids_outside_the_vocabulary_are_refused() -> None:
    with pytest.raises(ValueError, match="outside the vocabulary"):
        Vocabulary([b"a"], {1})
