"""Runs that were done before, found again by all that decides what they give; see `fingerprint` and `store`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import EvaluationError
from ..models import LanguageModel, overridden
from ..options import Options
from ..programs import Program
from ..runtime.model_cache import cache_root
from .fingerprint import Fingerprint
from .identity import Identities
from .library import Unsure, versions
from .packing import Done, pack, unpack
from .store import Store

Where = str | Path | bool | None


def place(where: str | Path | bool = True) -> Path:
    """Of the cache's file; True: the one of this user. Raises EvaluationError, CacheError without a home, OSError."""
    if isinstance(where, str | Path) and "\0" not in str(where):
        with suppress(RuntimeError):  # the home of a user whom there is not
            return Path(where).expanduser()
    if where is not True:
        raise EvaluationError(f"cache= is True or a file, not {where!r}")
    folder = cache_root()
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "evaluations.sqlite"


@contextmanager
def opened(where: Where, program: Program[..., Any], model: LanguageModel) -> Iterator[Kept]:
    """What is kept of one program's runs on one model; nothing where there is no cache."""
    if where is None or where is False:
        yield Kept(None, program, model)
        return
    store = Store(place(where))
    try:
        kept = Kept(store, program, model)
        store.still = kept.same
        yield kept
    finally:
        store.close()


@contextmanager
def store_at(path: Path | None) -> Iterator[Store]:
    """The file itself, to look at; None: this user's. Raises EvaluationError when there is none."""
    found = place(True if path is None else path)
    if not found.exists():
        raise EvaluationError(f"there is no cache at {found}")
    with closing(Store(found)) as store:
        yield store


class Kept:
    """why: nothing is kept, or not of some rows; "" where all are."""

    def __init__(self, store: Store | None, program: Program[..., Any], model: LanguageModel) -> None:
        self.why = ""
        self._store, self._program, self._model = store, program, model
        self._base: bytes | None = None

    def begin(self, options: Options) -> None:
        """Look at the program and the model, as they are now."""
        if self._store is None:
            return
        identity = Identities(self._store.known, self._store.learn)
        self._fingerprint, self._options = Fingerprint(identity), options
        inner = overridden()  # on which programs run that are called inside
        models = [self._model] if inner in (None, self._model) else [self._model, inner]
        try:
            self._looked = self._fingerprint.program(self._program, options)
            self._base = self._fingerprint.of(versions(), [identity(model) for model in models], self._looked)
        except Unsure as error:
            self.why = str(error)

    def same(self) -> bool:
        """Whether the program, and all that it reaches, is as it was before the runs."""
        if self._base is None:
            return False
        try:
            now = self._fingerprint.program(self._program, self._options)
        except Unsure:
            now = b""
        if now != self._looked:
            self._base, self.why = None, "the program changed while it ran, or something that it uses"
        return now == self._looked

    def key(self, options: Options, arguments: dict[str, Any]) -> bytes | None:
        """Of one row; None: it is not kept."""
        if self._base is None:
            return None
        try:
            return self._fingerprint.of(self._base, self._program._seeds(options), arguments)
        except Unsure as error:
            self.why = f"a row: {error}"
            return None

    def get(self, key: bytes | None) -> Done | None:
        data = None if key is None or self._store is None else self._store.get(key)
        try:
            return None if data is None else unpack(data)
        except Exception:  # made by classes that are no more
            return None

    def put(self, key: bytes | None, done: Done, drawn: list[str]) -> None:
        """Keep a run, unless holes were drawn by chance, or it cannot be kept."""
        if key is None or self._base is None or self._store is None:
            return
        if drawn:
            self.why = f"the hole {drawn[0]!r} is drawn without a seed: give seed="
            return
        try:
            self._store.put(key, pack(done), self._program.__name__, self._model.name)
        except ValueError as error:
            self.why = f"its value cannot be kept: {error}"
