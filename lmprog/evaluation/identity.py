"""What a model is, by content: two that give other numbers never have the same identity."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..cascading import Models
from ..runtime.model import Model
from ..runtime.origin import Stamp, stamps
from ..runtime.remote.model import RemoteModel
from .library import Unsure, library

RACY = 2.0  # seconds; a file that was changed just before may change again within one tick of the file system's clock
Known = Callable[[str], str | None]
Learn = Callable[[str, str], None]


class Identities:
    """Of models, by the contents of their files; files that were read once are known by their stamps.

    known, learn   look digests of files up, and keep them
    """

    def __init__(self, known: Known, learn: Learn) -> None:
        self._known, self._learn = known, learn

    def __call__(self, model: Any) -> Any:
        """Raises Unsure where a model cannot be told from another."""
        if type(model) is Models:
            return "those of a cascade's steps"  # which are looked at as parts of the program
        if type(model) is RemoteModel:
            return "remote", model.url, model.name, repr(model.capabilities)
        if not isinstance(model, Model) or model.origin is None or not library(type(model).__module__):
            raise Unsure(f"the model {getattr(model, 'name', model)!r} does not tell what it is made of")
        origin = model.origin
        files = [] if origin.folder is None else self._files(origin.folder, origin.stamps)
        template = getattr(model.tokenizer, "chat_template", None)
        return origin.settings, files, template, model.bos, sorted(model.vocab.eos)

    def _files(self, folder: Path, loaded: tuple[Stamp, ...]) -> list[tuple[str, str]]:
        if not loaded or stamps(folder) != loaded:
            raise Unsure(f"the files of the model in {folder} have changed since it was loaded: load it anew")
        digests = [(stamp[0], self._digest(folder / stamp[0], stamp)) for stamp in loaded]
        if stamps(folder) != loaded:
            raise Unsure(f"the files of the model in {folder} are changing")
        return digests

    def _digest(self, path: Path, stamp: Stamp) -> str:
        name = f"{path.resolve()} {stamp[1:]}"
        if (found := self._known(name)) is not None:
            return found
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "blake2b").hexdigest()
        if time.time() - max(stamp[2], stamp[3]) / 1e9 > RACY:
            self._learn(name, digest)
        return digest
