"""Pages from the templates in `pages`: all escaped, scripts allowed by their hash, data that stays in its block."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined, Template

from .view import percent
from .visible import inline, visible


@cache
def resource(name: str) -> str:
    return (files("lmprog") / "pages" / name).read_text(encoding="utf-8")


def script(*names: str) -> dict[str, str]:
    """A script, of one file or several, and the digest by which a page's content policy allows it."""
    text = "".join([resource(name) for name in names])
    return {"script": text, "digest": base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}


def data(value: Any) -> str:
    """JSON for a data block of a page; every `<` is written as an escape, so that nothing in it can end the block."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


class _Pages(BaseLoader):
    def get_source(self, environment: Environment, template: str) -> tuple[str, None, None]:
        return resource(template), None, None


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=_Pages(), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"visible": visible, "inline": inline, "percent": percent, "value": _value}
    return environment


@cache
def template(name: str) -> Template:
    return _environment().get_template(name)


def _value(value: object, limit: int = 500) -> str:
    text = inline(repr(value))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
