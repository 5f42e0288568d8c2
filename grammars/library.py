"""Ready-made grammars: the `.lark` files beside this one."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from .errors import InvalidConstraint
from .grammar import Grammar
from .lark import lark

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names that `library` knows."""
    return sorted(path.stem for path in _FOLDER.glob("*.lark"))


@cache
def library(name: str) -> Grammar:
    """A ready-made grammar; its file tells what it covers.

    `arithmetic` (Python's operators), `csv` (rectangular, RFC 4180), `date` (ISO 8601, with or without a time), `json`
    (RFC 8259), `markdown_table`, `python` (a subset with blocks four levels deep), `sexpr`, `sql` (one query: SELECT,
    joins, subqueries, UNION), `url` (http, https, ftp). Lark grammars import their rules: `%import lmprog.sql.query`.

    >>> from lmprog.grammars.library import library
    >>> library("date").matches("2024-02-29"), library("date").matches("2023-02-29")
    (True, False)
    """
    if name not in names():
        raise InvalidConstraint(f"there is no grammar {name!r} in the library: it has {', '.join(names())}")
    return lark(_FOLDER / f"{name}.lark").named(name)
