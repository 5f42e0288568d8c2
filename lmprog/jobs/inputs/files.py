"""Files of one document each, alone or in folders: text and Markdown as they are, the text of HTML and PDF.

Offsets of evidence refer to that text.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..documents import Document, Rows
from ..errors import JobError
from .rows import needs_extra, reason

BLOCKS = """
address article aside blockquote br caption dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header
hr li main nav ol option p pre section table tbody tfoot thead tr ul
"""
UNSEEN = ["head", "script", "style", "template", "noscript", "svg"]


class Unreadable(Exception):
    """Why a file has no text."""


@dataclass(frozen=True)
class from_file:
    """The document of a file."""

    path: Path
    name: str

    def __call__(self) -> Document:
        try:
            text = KINDS.get(self.path.suffix.lower(), _text)(self.path)
            return Document(self.name, text.encode(errors="replace").decode())
        except (Unreadable, OSError) as error:
            said = error.strerror if isinstance(error, OSError) else str(error)
            return Document(self.name, "", problem=f"{self.path}: {said}")

    def mark(self) -> bytes:
        """A digest of the name and the bytes of the file, which is quicker than to parse it."""
        try:
            with self.path.open("rb") as file:
                return self.name.encode(errors="surrogateescape") + hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            return f"{self.name} {error.strerror}".encode(errors="surrogateescape")


def from_folder(folder: Path) -> Rows:
    """The files below a folder in the order of their names, without hidden ones."""
    return (from_file(path, path.relative_to(folder).as_posix()) for path in walk(folder))


def walk(folder: Path) -> Iterator[Path]:
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise JobError(f"cannot read {folder}: {error.strerror}") from error
    for name in names:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            yield from walk(path)
        elif path.is_file():
            yield path


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(reason(error)) from None


def _html(path: Path) -> str:
    try:
        from bs4 import BeautifulSoup
    except ModuleNotFoundError as error:
        raise needs_extra("reading HTML", error) from None
    data = path.read_bytes()
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable("not HTML: it holds NUL bytes")
    with _whatever("not HTML"):
        soup = BeautifulSoup(data, "html.parser")
        for tag in soup(UNSEEN):
            tag.decompose()
        for tag in soup(BLOCKS.split()):
            tag.insert_before("\n")
            tag.insert_after("\n")
        for tag in soup(["td", "th"]):
            tag.insert_after("\t")
        return _tidy(soup.get_text())


def _tidy(text: str) -> str:
    lines = (re.sub(r"[^\S\t]+", " ", line).strip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _pdf(path: Path) -> str:
    try:
        from pypdf import PdfReader
    except ModuleNotFoundError as error:
        raise needs_extra("reading PDF", error) from None
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it tells of every repair; what matters comes as an error
    with _whatever("not a readable PDF"):
        text = "\n\n".join(page.extract_text() for page in PdfReader(path).pages)
    if not text.strip():
        raise Unreadable("no text in the PDF: are its pages pictures?")
    return text


class _whatever:
    """A parser of broken files may raise anything; it is that file's error."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, OSError):
            raise Unreadable(f"{self.what}: {type(error).__name__}: {error}") from error


KINDS: dict[str, Callable[[Path], str]] = {".html": _html, ".htm": _html, ".xhtml": _html, ".pdf": _pdf}
