"""Constraints over trained tokenizers of every family, judged by what the tokenizer itself decodes the ids to."""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
import regex as third_party
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from lmprog.grammars import EmptyLanguage, UnsupportedConstraint, Vocabulary, choices, compile, json_schema, regex
from lmprog.grammars.constraint import Constraint

CORPUS = [
    "The quick brown fox jumps over the lazy dog, then it rests. Is it tired? No!",
    'naïve café 42 € 😀 日本語 {"name": "Ann", "age": 17, "tags": ["a", "b"]}',
    "    def f(x):\n\treturn x\n\nwords and wording, dogs and dogged, re-read 2024-11-30",
] * 30
SPECIAL = ["<s>", "</s>", "<unk>", "<|user|>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def wrapped(backend: Tokenizer, **names: str) -> Any:
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | names
    return PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False, **names)


def gpt2() -> Any:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=450, initial_alphabet=alphabet, special_tokens=SPECIAL)
    )
    backend.add_tokens(["<tool>", AddedToken("é!", normalized=False)])
    return wrapped(backend)


def llama(prefix_space: bool = True) -> Any:
    """Merges learnt by the trainer, in a model with byte tokens; a space goes in front of every text."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400))
    state = json.loads(trained.to_str())["model"]
    pieces = ["<unk>", "<s>", "</s>", "<|user|>", *BYTES, *state["vocab"]]
    merges = [tuple(merge) for merge in state["merges"]]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    steps = [normalizers.Prepend("▁")] if prefix_space else []
    backend.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    front = [decoders.Strip(" ", 1, 0)] if prefix_space else []
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *front])
    backend.add_special_tokens(["<s>", "</s>", "<unk>", "<|user|>"])
    return wrapped(backend)


def unigram(byte_fallback: bool) -> Any:
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r" {2,}"), " ")])
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(vocab_size=260, special_tokens=SPECIAL, unk_token="<unk>")
    backend.train_from_iterator(CORPUS, trainer)
    if byte_fallback:
        state = json.loads(backend.to_str())
        state["model"]["vocab"] += [[piece, 0.0] for piece in BYTES]
        state["model"]["byte_fallback"] = True
        backend = Tokenizer.from_str(json.dumps(state))
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        backend.decoder = decoders.Sequence(steps)
    return wrapped(backend)


def wordpiece() -> Any:
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    backend.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return wrapped(backend, bos_token="[CLS]", eos_token="[SEP]", unk_token="[UNK]")


FAMILIES: dict[str, Callable[[], Any]] = {
    "gpt2": gpt2,
    "llama": llama,
    "no prefix space": lambda: llama(prefix_space=False),
    "unigram": lambda: unigram(byte_fallback=False),
    "unigram with bytes": lambda: unigram(byte_fallback=True),
    "wordpiece": wordpiece,
}
COMPLETE = ["gpt2", "llama", "no prefix space", "unigram with bytes"]


@functools.cache
def family(name: str) -> tuple[Any, Vocabulary]:
    tokenizer = FAMILIES[name]()
    return tokenizer, Vocabulary.from_tokenizer(tokenizer)


@functools.cache
def decoded(name: str) -> dict[int, str]:
    """What each token that is not special adds to a text."""
    tokenizer, vocab = family(name)
    return {i: continued(tokenizer, [i]) for i, t in enumerate(vocab.token_bytes) if t is not None}


def continued(tokenizer: Any, ids: list[int]) -> str:
    """What `ids` add to the text of a prompt, as the tokenizer's own decoder says."""
    prompt = tokenizer.encode("it", add_special_tokens=False)
    before = tokenizer.decode(prompt)
    whole = tokenizer.decode(prompt + ids)
    assert whole.startswith(before)
    return whole[len(before) :]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_token_stands_for_what_it_decodes_to_in_the_middle_of_a_text(name: str) -> None:
    tokenizer, vocab = family(name)
    spelt = {i: t.decode("utf-8", "replace") for i, t in enumerate(vocab.token_bytes) if t is not None}

    assert spelt == decoded(name)
    assert vocab.complete == (name in COMPLETE)
    assert set(range(vocab.size)) - set(spelt) == set(tokenizer.all_special_ids) | special_ids(tokenizer)


def special_ids(tokenizer: Any) -> set[int]:
    return {i for i, added in tokenizer.backend_tokenizer.get_added_tokens_decoder().items() if added.special}


texts = st.lists(st.text() | st.sampled_from([*SPECIAL, "[CLS]", "<0x41>", "<tool>", "é!", "▁", "  ", "##", " dog"]))


@pytest.mark.parametrize("name", COMPLETE)
@settings(max_examples=60)
@given(texts.map("".join))
def test_any_text_is_spelt_exactly_and_without_special_tokens(name: str, text: str) -> None:
    tokenizer, vocab = family(name)
    ids = vocab.encode(text.encode())

    assert vocab.decode(ids) == text.encode()
    assert special_ids(tokenizer).isdisjoint(ids)
    assert continued(tokenizer, ids) == text


@pytest.mark.parametrize("name", ["unigram", "wordpiece"])
@given(st.lists(st.sampled_from([*"theisadog,.😀☃A \n", "<s>", "[CLS]", "[UNK]", " dog"])).map("".join))
def test_what_a_small_vocabulary_cannot_spell_is_said(name: str, text: str) -> None:
    tokenizer, vocab = family(name)
    if not spellable(vocab, text.encode()):
        with pytest.raises(ValueError, match="no tokens of this vocabulary spell"):
            vocab.encode(text.encode())
        return
    ids = vocab.encode(text.encode())

    assert continued(tokenizer, ids) == text
    assert special_ids(tokenizer).isdisjoint(ids)


def spellable(vocab: Vocabulary, data: bytes) -> bool:
    reached = {0}
    for at in range(len(data)):
        if at in reached:
            reached |= {at + len(t) for t in vocab.ids if data.startswith(t, at)}
    return len(data) in reached


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("text", [" the quick brown dog", " words"])
def test_the_tokenizers_own_spelling_is_used(name: str, text: str) -> None:
    tokenizer, vocab = family(name)
    prefixed = name in ("llama", "unigram", "unigram with bytes", "wordpiece")

    assert vocab.encode(text.encode()) == tokenizer.encode(text[1:] if prefixed else text, add_special_tokens=False)


def test_the_first_word_of_a_text_comes_without_its_space() -> None:
    for name in ("wordpiece", "llama", "unigram"):
        tokenizer, vocab = family(name)
        c = compile(choices(["the dog", "words"]), vocab)
        for seed in range(20):
            ids = walked(c, random.Random(seed), c.start(b" "))
            assert tokenizer.decode(ids) in ("the dog", "words")


PATTERNS = {
    "any": [r"[a-z]{2,5}(, ?[a-zé日😀]{1,3})*", r"(?:(?!og)[\s\S]){3,9}", r"\d{4}-[01]\d-[0-3]\d|<s>|naïve\n"],
    "unigram": [r" [a-z]{2,5}(,? [a-z日]{1,3})*", r"[ a-z]{3,9}", r"( \d+)+|dog"],
    "wordpiece": [r" [a-z]{2,5}(, [a-z]{1,3})*", r"( [a-z]{3,9})+[.!?]", r"( dog| cat)(s|ged)?", r"s( the){2}"],
}


def walked(
    c: Constraint, rng: random.Random, s: int, check: Callable[[int, list[int]], None] | None = None
) -> list[int]:
    """Random ids to an accepted end, within a budget."""
    ids: list[int] = []
    eos = c.vocab.eos
    while not c.finished(s):
        left = 30 - len(ids)
        if check:
            check(s, ids)
        allowed = np.flatnonzero(np.unpackbits(c.mask(s, left).view(np.uint8), bitorder="little")).tolist()
        token = rng.choice(allowed)
        if token in eos:
            break
        ids.append(token)
        after = c.advance(s, token)
        assert after is not None
        s = after
    return ids


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("number", range(3))
def test_masks_are_the_tokens_that_keep_the_decoded_text_matchable(name: str, number: int) -> None:
    tokenizer, vocab = family(name)
    pattern = PATTERNS["any" if name in COMPLETE else name][number]
    c, oracle = compile(regex(pattern), vocab), third_party.compile(pattern)
    whole = {i: text for i, text in decoded(name).items() if "\ufffd" not in text}

    def check(s: int, ids: list[int]) -> None:
        so_far = continued(tokenizer, ids)
        if "\ufffd" in so_far:
            return
        bits = np.unpackbits(c.mask(s).view(np.uint8), bitorder="little")
        wanted = {i for i, text in whole.items() if oracle.fullmatch(so_far + text, partial=True)}
        allowed = {i for i in whole if bits[i]}
        assert allowed <= wanted
        if vocab.complete:
            assert allowed == wanted

    for seed in range(4):
        ids = walked(c, random.Random(seed), c.start(), check)

        assert re.fullmatch(pattern, continued(tokenizer, ids))


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "日本", "😀\n"]}, "maxItems": 3, "uniqueItems": True},
    },
    "required": ["name", "tags"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("name", COMPLETE)
@pytest.mark.parametrize("whitespace", ["compact", "flexible"])
def test_json_by_any_tokenizer_validates(name: str, whitespace: Any) -> None:
    tokenizer, vocab = family(name)
    c = compile(json_schema(SCHEMA, whitespace=whitespace), vocab)
    validator = jsonschema_rs.validator_for(SCHEMA)
    for seed in range(25):
        text = continued(tokenizer, walked(c, random.Random(seed), c.start()))

        assert validator.is_valid(json.loads(text))


def test_what_no_word_can_spell_is_refused() -> None:
    _, vocab = family("wordpiece")
    for grammar in (json_schema(SCHEMA), regex("a\nb"), regex(" [0-9]+ "), choices(["☃"])):
        with pytest.raises(EmptyLanguage, match="this vocabulary can spell"):
            compile(grammar, vocab)


def test_signs_are_cleaned_up_as_the_decoder_does() -> None:
    tokenizer, vocab = family("wordpiece")
    vocabulary = tokenizer.get_vocab()

    assert vocab.token_bytes[vocabulary["."]] == b"."
    assert vocab.token_bytes[vocabulary["dog"]] == b" dog"
    assert tokenizer.decode(vocab.encode(b" the dog rests.")) == "the dog rests."


def ranks() -> dict[bytes, int]:
    """As in a tiktoken file: the tokens of the byte-level tokenizer, in the order of their merges."""
    _, vocab = family("gpt2")
    single = {bytes((i,)): i for i in range(256)}
    longer = [t for t in vocab.token_bytes if t and len(t) > 1 and t not in (b"<tool>", "é!".encode())]
    return single | {t: 256 + i for i, t in enumerate(longer)}


def test_a_table_of_ranks() -> None:
    table = ranks()
    vocab = Vocabulary.from_ranks(table, eos={len(table) + 5})

    assert vocab.complete
    assert vocab.size == len(table) + 6
    assert [vocab.token_bytes[i] for i in table.values()] == list(table)
    assert vocab.token_bytes[len(table) :] == [None] * 6
    c = compile(json_schema(SCHEMA), vocab)
    for seed in range(10):
        data = vocab.decode(walked(c, random.Random(seed), c.start()))

        assert jsonschema_rs.is_valid(SCHEMA, json.loads(data))


def test_a_tiktoken_encoding() -> None:
    tiktoken = pytest.importorskip("tiktoken")
    table = ranks()
    special = {"<|endoftext|>": len(table) + 2, "<|user|>": len(table) + 4}
    split = r"'s|'t| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    encoding = tiktoken.Encoding("test", pat_str=split, mergeable_ranks=table, special_tokens=special)
    vocab = Vocabulary.from_tokenizer(encoding)

    assert vocab.eos == {special["<|endoftext|>"]}
    assert vocab.size == encoding.n_vocab
    assert [vocab.token_bytes[i] for i in range(len(table))] == list(table)
    assert vocab.token_bytes[len(table) :] == [None] * 5
    for text in [*CORPUS[:3], "<|endoftext|> <|user|>", "", "\x00☃"]:
        ids = vocab.encode(text.encode())
        assert ids == encoding.encode_ordinary(text)
        assert set(special.values()).isdisjoint(ids)
        assert encoding.decode(ids) == text
    c = compile(regex(r"[a-z]{3,5}( \d+)*"), vocab)
    for seed in range(10):
        assert re.fullmatch(r"[a-z]{3,5}( \d+)*", encoding.decode(walked(c, random.Random(seed), c.start())))


def test_a_tokenizer_without_a_decoder_puts_spaces_between_tokens() -> None:
    backend = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2, "</s>": 3}, unk_token="?"))
    vocab = Vocabulary.from_tokenizer(backend, eos={3})

    assert vocab.token_bytes == [b" a", b" b", None, None]
    assert backend.decode([0, 1, 0]) == "a b a"


def test_decoders_that_are_not_known_are_refused() -> None:
    backend = Tokenizer(models.BPE({"a</w>": 0, "b": 1}, []))
    late = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    replace, strip = decoders.Replace("a", "b"), decoders.Strip("a", 1, 0)
    for decoder in (decoders.BPEDecoder(), decoders.CTC(), replace, strip, late):
        backend.decoder = decoder
        with pytest.raises(UnsupportedConstraint, match="is not known"):
            Vocabulary.from_tokenizer(backend, eos=())
    with pytest.raises(UnsupportedConstraint, match="has no fast tokenizer"):
        Vocabulary.from_tokenizer(object())


@pytest.mark.slow
def test_all_tokens_of_the_default_model() -> None:
    from lmprog.runtime.default_model import default_model_folder
    from lmprog.runtime.hf_files import load_tokenizer

    tokenizer = load_tokenizer(default_model_folder())
    vocab = Vocabulary.from_tokenizer(tokenizer)
    decode, before = tokenizer.backend_tokenizer.decode, tokenizer.convert_tokens_to_ids("a")
    spelt = {i: t.decode("utf-8", "replace") for i, t in enumerate(vocab.token_bytes) if t is not None}

    assert vocab.complete
    assert spelt == {i: decode([before, i])[1:] for i in spelt}
    c = compile(json_schema(SCHEMA), vocab)
    for seed in range(25):
        ids = walked(c, random.Random(seed), c.start())
        assert jsonschema_rs.is_valid(SCHEMA, json.loads(decode([before, *ids])[1:]))
