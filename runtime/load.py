"""Finding a model on this machine and making it ready. Nothing is ever downloaded."""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from .errors import ModelNotFound
from .load_errors import BrokenModel, InvalidOption
from .model import Model
from .origin import Origin, stamps
from .remote.urls import is_url
from .speculation.named import NAMED, drafters

DTYPES = ("float32", "bfloat16", "float16", "float64", "auto")
Draft = str | Path | Model
URL = "http://host:8000/v1"

_loaded: weakref.WeakValueDictionary[tuple[Any, ...], Model] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def load(
    path: str | Path | None = None,
    *,
    dtype: str = "float32",
    device: str | None = None,
    slots: int | None = None,
    reuse: bool = True,
    max_queue: int | None = None,
    deterministic: bool = False,
    weights: str | None = None,
    draft: Draft | Sequence[Draft] | None = None,
    graphs: bool | None = None,
    **remote: Any,
) -> Model:
    """A model ready to run, from files on this machine.

    path    a Hugging Face folder of a causal language model, or a hub id that is in the Hugging Face cache already;
            None: the default model, Gemma 3 270M (extra `lmprog[demo]`), converted at the first call on a machine;
            "http://host:8000/v1": a model on a server, a `RemoteModel`, for which `remote` are the options of
            `lp.connect` (api_key, model, ...) and the others have no meaning
    dtype   of the weights: "float32", "bfloat16", "float16", "float64", or "auto" as stored. A CPU
            without bfloat16 units is slowest with anything but float32
    device  such as "cpu" or "cuda:1"; None: the first GPU, else the CPU
    slots   tokens whose keys and values are kept (None: chosen for the model)
    reuse   share and keep the keys and values of common prefixes
    max_queue  most requests of one program that wait to run; whoever submits more waits for room (None: no limit)
    deterministic  greedy results are the same, byte for byte, for any batch, any chunks, any order of arrival, and with
            or without cached prefixes. Costs little on a CPU in float32, much elsewhere; see docs/runtime.md
    weights  "float16" or "int8": weights rounded to that, arithmetic in float32 (dtype must be "float32"): less memory
            and faster decode steps of small batches; lossy, as logits are the rounded model's; "int8" on CPUs only.
            None: as `dtype` says
    draft   speculation: tokens are proposed ahead and computed in one step, as far as that is measured to pay; results
            stay the same (see docs/runtime.md). "copy": from the text so far; "ngrams": from earlier results; "forced":
            the spelling of what a constraint forces; "auto": all three; or a smaller model, as a path, a hub id or a
            loaded `Model`, of whatever vocabulary; or a list of these. None: no speculation
    graphs  run decode steps as CUDA graphs, captured as they come up; not with `deterministic`, as batches are padded.
            None: on a GPU, where the model allows it. True on a CPU: padded as well, which is only good for tests

    While a model is in use and open, loading the same files with the same options returns that same model, so closing
    it closes it for all.

    Raises:
        ModelNotFound: neither a folder nor in the Hugging Face cache; the message says what to do.
        BrokenModel: there is something, but not a causal language model that can be loaded.
        ModelMismatch: the architecture does not run exactly under lmprog's attention, or not deterministically.
        CacheError: the default model cannot be converted for want of space or permission.
        InvalidOption: an unknown dtype, kind of weights or device, or options that exclude each other.
    """
    if is_url(path):
        from .remote.connect import connect

        return cast(Model, connect(str(path), **remote))
    if remote:
        raise InvalidOption(f"{next(iter(remote))}= is for models on servers: lp.load({URL!r})")
    folder, name = find(path)
    device = _checked(dtype, device)
    if weights not in (None, "float16", "int8") or (weights and dtype != "float32"):
        raise InvalidOption(
            f'weights must be None, or "float16" or "int8" with dtype "float32", not {weights!r} with {dtype!r}'
        )
    if weights == "int8" and device != "cpu":
        raise InvalidOption(f'weights="int8" is for CPUs, not {device!r}: use dtype="bfloat16" there')
    if graphs and deterministic:
        raise InvalidOption("graphs=True pads batches, on which results depend then: it excludes deterministic=True")
    drafts = _drafts(draft, dtype, device)
    with _lock:
        options = dtype, device, slots, reuse, max_queue, deterministic, weights, drafts, graphs
        key = (folder, _fingerprint(folder), *options)
        model = _loaded.get(key)
        if model is None or model.closed:
            model = _loaded[key] = _load(folder, name, *options)
    return model


def _drafts(draft: Draft | Sequence[Draft] | None, dtype: str, device: str) -> tuple[str | Model, ...]:
    """Names of drafters and loaded models."""
    if draft is None:
        return ()
    some = [draft] if isinstance(draft, str | Path | Model) else draft
    return tuple([d if d in NAMED or isinstance(d, Model) else load(d, dtype=dtype, device=device) for d in some])


def find(path: str | Path | None) -> tuple[Path, str]:
    """The folder of a model, and its name for messages. Raises ModelNotFound or BrokenModel."""
    if path is None:
        from .default_model import default_model_folder

        folder = default_model_folder()
        return folder, "gemma-3-270m"
    folder = Path(path).expanduser().absolute()
    if not folder.exists():
        return _in_hub_cache(str(path), folder), str(path)
    if not (folder / "config.json").is_file():
        raise BrokenModel(f"{folder} is not a Hugging Face model folder: it has no config.json")
    return folder, folder.name


def _in_hub_cache(repo: str, tried: Path) -> Path:
    from huggingface_hub import constants, try_to_load_from_cache

    where = constants.HF_HUB_CACHE
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repo) and not repo.startswith("."):
        found = try_to_load_from_cache(repo, "config.json")
        if isinstance(found, str):
            return Path(found).parent
        raise ModelNotFound(
            f"no model {repo!r}: there is no folder {tried}, and the Hugging Face cache ({where}) does not hold it. "
            f"lmprog never downloads by itself: run `hf download {repo}` first, or name a folder."
        )
    raise ModelNotFound(f"no model {repo!r}: there is no folder {tried}, nor is it a hub id like Qwen/Qwen3-0.6B")


def _checked(dtype: str, device: str | None) -> str:
    import torch

    if dtype not in DTYPES:
        raise InvalidOption(f"dtype must be one of {', '.join(DTYPES)}, not {dtype!r}")
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidOption(f"device {device!r} cannot be used: {error}") from error
    return device


def _fingerprint(folder: Path) -> tuple[Any, ...]:
    """Changes with the files, so that a folder written anew is loaded anew."""
    with os.scandir(folder) as entries:
        stats = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()))


def _load(
    folder: Path,
    name: str,
    dtype: str,
    device: str,
    slots: int | None,
    reuse: bool,
    max_queue: int | None,
    deterministic: bool,
    kept: str | None,
    drafts: tuple[str | Model, ...],
    graphs: bool | None,
) -> Model:
    from ..grammars.plain_text import PlainText
    from ..grammars.tokenizers import token_bytes
    from ..grammars.vocabulary import Vocabulary
    from .chat import ChatFormat
    from .hf import HFRunner
    from .hf_files import eos_ids, load_tokenizer, load_weights

    files = stamps(folder)
    tokenizer = load_tokenizer(folder)
    weights = load_weights(folder, dtype, device)
    runner = HFRunner(weights, deterministic=deterministic, rounded=kept, graphs=graphs)
    tokens = token_bytes(tokenizer)[: runner.width]  # some tokenizers have image tokens that the model has no row for
    turn_end = ChatFormat(tokenizer, lambda text: []).turn_end() if tokenizer.chat_template else None
    eos = eos_ids(tokenizer, weights, turn_end, len(tokens))
    vocab = Vocabulary(tokens, eos, PlainText(tokenizer, tokens))
    bos = tokenizer.bos_token_id if tokenizer.encode("a")[:1] == [tokenizer.bos_token_id] else None
    return Model(
        runner,
        vocab,
        name=name,
        tokenizer=tokenizer,
        bos=bos,
        slots=slots,
        reuse=reuse,
        max_queue=max_queue,
        drafters=drafters(drafts, vocab),
        origin=Origin((dtype, device, slots, reuse, deterministic, kept, drafts, graphs), folder, files),
    )
