"""What causes a field, on a page: no script is needed for it."""

from __future__ import annotations

from typing import Any

from ..rendering import resource, template
from ..visible import visible
from .result import Part, Why
from .view import SHOWN, effect, footline, headline, label, shares, shortened, stretches


def fragment(why: Why) -> str:
    """To be put into another page."""
    return template("why.html.j2").render(why=shown(why), style=resource("run.css"))


def shown(why: Why) -> dict[str, Any]:
    """What the templates need."""
    found = shares(why)
    return {
        "field": why.field,
        "title": headline(why),
        "note": footline(why),
        "value": visible(why.value),
        "pieces": [_piece(text, None if n is None else (why.parts[n], found[n])) for text, n in stretches(why)],
        "top": [_row(part) for part in why.top(SHOWN)],
    }


def _piece(text: str, part: tuple[Part, float] | None) -> dict[str, Any]:
    if part is None:
        return {"text": visible(text), "kind": "", "note": "", "share": "0"}
    found, share = part
    kind = "for" if share > 0 else "against"
    return {
        "text": visible(text),
        "kind": kind,
        "note": f"{effect(found)} · {label(found)}",
        "share": f"{abs(share):.3f}",
    }


def _row(part: Part) -> dict[str, Any]:
    begin, end = part.span
    return {"text": shortened(part.text), "effect": effect(part), "label": label(part), "place": f"{begin}–{end}"}
