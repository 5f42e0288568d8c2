"""Weights and tokenizer out of a Hugging Face folder, with typed errors in place of transformers' many."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .load_errors import BrokenModel

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "*.tiktoken")
_GENERIC = ("PreTrainedTokenizerFast", "TokenizersBackend")
_LEGACY = ("special_tokens_map.json", "added_tokens.json")


def load_weights(folder: Path, dtype: str, device: str) -> Any:
    """The transformers model, in eval mode on the device. Raises BrokenModel."""
    config = _causal_config(folder)
    with _told(folder, "its weights cannot be loaded"), _no_bar():
        model, info = _transformers().AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    if missing := sorted(info["missing_keys"]):
        raise BrokenModel(f"{folder}: its weights lack {len(missing)} of the model's tensors, {missing[0]} for one")
    return model.requires_grad_(False).eval().to(device)


def _causal_config(folder: Path) -> Any:
    hf = _transformers()
    with _told(folder, "its config.json cannot be used"):
        config = hf.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    named = config.architectures or [""]
    known = hf.MODEL_FOR_CAUSAL_LM_MAPPING
    if type(config) in known and not config.is_encoder_decoder:
        causal = getattr(known[type(config)], "__name__", "")  # now and then a tuple of classes
        if any(name in ("", causal) or name.endswith(("ForCausalLM", "LMHeadModel")) for name in named):
            return config
    raise BrokenModel(f"{folder} holds {named[0] or config.model_type}, which is not a causal language model")


def load_tokenizer(folder: Path) -> Any:
    """The Hugging Face tokenizer. Raises BrokenModel."""
    if not any(any(folder.glob(name)) for name in _TOKENIZER_FILES):
        raise BrokenModel(f"{folder} has no tokenizer: tokenizer.json is missing")
    with _told(folder, "its tokenizer cannot be loaded"):
        return _generic_tokenizer(folder) or _auto_tokenizer(folder)


def _auto_tokenizer(folder: Path) -> Any:
    return _transformers().AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _generic_tokenizer(folder: Path) -> Any:
    """What AutoTokenizer gives for files of the generic class, in half the time; None for all others."""
    file, config = folder / "tokenizer.json", folder / "tokenizer_config.json"
    if not (file.is_file() and config.is_file()) or any((folder / name).exists() for name in _LEGACY):
        return None
    options = json.loads(config.read_text(encoding="utf-8"))
    plain = all(isinstance(value, str | bool | int | float | None) for value in options.values())
    if options.pop("tokenizer_class", None) not in _GENERIC or not plain:
        return None
    template = folder / "chat_template.jinja"
    if template.is_file():
        options["chat_template"] = template.read_text(encoding="utf-8")
    return _transformers().PreTrainedTokenizerFast(tokenizer_file=str(file), name_or_path=str(folder), **options)


def eos_ids(tokenizer: Any, model: Any, turn_end: int | None, size: int) -> set[int]:
    """Ids that end a text or a turn: the tokenizer's, the generation config's, and the chat template's turn end."""
    ids = model.generation_config.eos_token_id
    found = {tokenizer.eos_token_id, turn_end, *(ids if isinstance(ids, list) else [ids])}
    return {i for i in found if i is not None and i < size}


def _transformers() -> Any:
    import transformers  # late: it takes seconds; as Any: its annotations are not to be relied on

    return transformers


@contextmanager
def _told(folder: Path, what: str) -> Iterator[None]:
    """transformers, tokenizers and safetensors raise anything, a bare Exception included, for a broken file."""
    try:
        yield
    except (BrokenModel, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise
        raise BrokenModel(f"{folder}: {what}: {str(error).strip() or type(error).__name__}") from error


@contextmanager
def _no_bar() -> Iterator[None]:
    logging = _transformers().utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
