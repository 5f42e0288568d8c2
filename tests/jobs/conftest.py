import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of random weights with a byte-level tokenizer, as a Hugging Face folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    bpe.train_from_iterator(["the cat sat on the mat and that was that"], trainer)
    folder = tmp_path_factory.mktemp("tiny")
    PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=bpe.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.6,  # logits far enough apart
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(tiny: Path) -> Iterator[None]:
    """Loading the same folder again gives the open model."""
    import lmprog

    model = lmprog.load(tiny)
    yield
    model.close()


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    """A schema file whose answers take some twenty tokens."""
    path = tmp_path / "kind.schema.json"
    properties = {"word": {"type": "string", "pattern": "^[a-z]{6,12}$"}, "kind": {"enum": ["math", "poem", "tale"]}}
    path.write_text(json.dumps({"type": "object", "properties": properties, "required": ["word", "kind"]}))
    return path


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Forty documents of differing length; two lines are broken."""
    path = tmp_path / "docs.jsonl"
    rows = [json.dumps({"id": f"d{i}", "text": f"{LETTERS[i % 26]} " * (1 + 7 * i % 40)}) for i in range(40)]
    rows[7], rows[23] = '{"id": "d7", "text": ', '{"id": "d23"}'
    path.write_text("\n".join(rows) + "\n")
    return path


def environment() -> dict[str, str]:
    """Of processes that run this tree."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def lmprog(tmp_path: Path) -> Run:
    """Runs the command line in an empty folder."""

    def run(*args: Any, stdin: str | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lmprog", *map(str, args)]
        options = {"cwd": tmp_path, "capture_output": True, "text": True, "env": environment(), **options}
        return subprocess.run(command, input=stdin or "", **options)

    return run


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
