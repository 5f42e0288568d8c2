"""What is a library, known by its version, and what is the user's own code, known by its content.

A library's functions may give what the world around decides: files, clocks, networks, chance. Of those that do so by
their nature, and of distributions of which nothing is known, it is said that results cannot be kept.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import locale
import platform
import site
import sys
import sysconfig
import time
from functools import cache
from pathlib import Path
from types import ModuleType

# What they give follows from what they are given, apart from the names in OUTSIDE below.
KNOWN = frozenset({
    "annotated_types", "attr", "attrs", "jsonschema_rs", "markupsafe", "numpy", "pydantic", "pydantic_core", "regex",
    "typing_extensions",
})  # fmt: skip
UNSURE = frozenset({
    "_io", "_random", "_socket", "_thread", "asyncio", "bz2", "concurrent", "ctypes", "dbm", "filecmp", "fileinput",
    "ftplib", "gc", "getpass", "glob", "gzip", "http", "imaplib", "importlib", "inspect", "io", "linecache", "locale",
    "lzma", "mimetypes", "mmap", "multiprocessing", "netrc", "nt", "os", "pkgutil", "platform", "poplib", "posix",
    "queue", "random", "runpy", "sched", "secrets", "select", "selectors", "shelve", "shutil", "signal", "smtplib",
    "socket", "sqlite3", "ssl", "subprocess", "sys", "tarfile", "tempfile", "threading", "time", "urllib", "uuid",
    "weakref", "xml", "zipfile",
})  # fmt: skip
PATHS = frozenset({"posixpath", "ntpath", "urllib.parse"})  # of which only the names below matter
GLOBALS = frozenset({
    "__builtins__", "__import__", "breakpoint", "compile", "eval", "exec", "globals", "hash", "id", "input", "locals",
    "open",
})  # fmt: skip
ATTRIBUTES = frozenset({
    "__globals__", "__subclasses__", "abspath", "currentframe", "cwd", "default_rng", "environ", "exists", "expanduser",
    "from_file", "fromfile", "genfromtxt", "getctime", "getenv", "getmtime", "getsize", "glob", "import_module",
    "is_dir", "is_file", "is_symlink", "isdir", "isfile", "iterdir", "listdir", "load", "loadtxt", "lstat", "memmap",
    "now", "open", "random", "read", "read_bytes", "read_text", "readline", "readlines", "readlink", "realpath",
    "rglob", "samefile", "scandir", "stack", "stat", "today", "urandom", "utcnow", "walk",
})  # fmt: skip
ENGINE = (
    "jinja2", "jsonschema_rs", "lark", "numpy", "pydantic", "pydantic_core", "safetensors", "tokenizers", "torch",
    "transformers", "typing_extensions",
)  # fmt: skip


class Unsure(Exception):
    """Why what a program gives cannot be told from what it is made of."""


def library(module: str) -> str | None:
    """A module's version; None where it is the user's own. Raises Unsure for what may depend on the world around."""
    top = module.partition(".")[0]
    if top == "lmprog":
        return f"lmprog {own_version()}"
    if (where := _where(module)) == "user":
        return None
    if where == "standard":
        if top in UNSURE and module not in PATHS:
            raise Unsure(f"it uses {module}, and so what is outside of it")
        return f"{module} {platform.python_version()}"
    if top not in KNOWN:
        raise Unsure(f"it uses {top}, of which lmprog does not know whether it always gives the same")
    return f"{module} {version(top)}"


def is_library(module: str) -> bool:
    """Whether it is none of the user's own."""
    return module.partition(".")[0] == "lmprog" or _where(module) != "user"


def own_version() -> str:
    from .. import __version__

    return f"{__version__} {_sources()}"


def versions() -> list[str]:
    """Of everything that takes part in every run; time zone and locale, as dates and formats may follow them."""
    return [
        platform.python_version(),
        *time.tzname,
        locale.setlocale(locale.LC_ALL),
        platform.machine(),
        own_version(),
        *[f"{name} {version(name)}" for name in ENGINE],
    ]


def version(top: str) -> str:
    """Of the distribution that brings a top-level module; asked each time, as it may have been installed anew."""
    names = sorted(set(_distributions().get(top, [top])))
    try:
        return " ".join([importlib.metadata.version(name) for name in names])
    except importlib.metadata.PackageNotFoundError:
        raise Unsure(f"the version of {top} is not known") from None


@cache
def _distributions() -> dict[str, list[str]]:
    return {name: [*found] for name, found in importlib.metadata.packages_distributions().items()}


def _where(module: str) -> str:
    """ "user", "standard" or "installed"."""
    top = module.partition(".")[0]
    if module == "__main__":
        return "user"
    if top in sys.builtin_module_names:
        return "standard"
    loaded = sys.modules.get(top)
    file = _file(loaded) if loaded is not None else None
    if file is None:
        return "standard" if top in sys.stdlib_module_names else "user"
    installed = {Path(folder) for folder in (*site.getsitepackages(), site.getusersitepackages())}
    installed |= {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    if any(file.is_relative_to(folder) for folder in installed):
        return "installed"
    standard = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    return "standard" if any(file.is_relative_to(folder) for folder in standard) else "user"


def _file(module: ModuleType) -> Path | None:
    """Of its code; of a package without one, its folder."""
    if (file := getattr(module, "__file__", None)) is not None:
        return Path(file)
    return next((Path(folder) for folder in getattr(module, "__path__", ())), None)


@cache
def _sources() -> str:
    """A digest of lmprog's own code, which may change without its version."""
    root, digest = Path(__file__).parent.parent, hashlib.blake2b(digest_size=8)
    for folder in (root, root / "grammars", root / "runtime"):
        for path in sorted(p for p in folder.resolve().rglob("*") if p.suffix in (".py", ".so", ".lark", ".pyd")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
