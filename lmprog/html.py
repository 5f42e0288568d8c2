"""A run as a page: one file that needs no network, and of which nothing that the model wrote can run.

Every text goes through `visible` and the template's escaping; the records that the page's script reads are JSON in a
data block; and a content policy allows only the one script, by its hash.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .certified import facts, rows
from .decoders.certificate import Particle
from .rendering import data, resource, script, template
from .run import Run
from .trace import Candidate, RequestRecord, TokenRecord
from .view import Piece, branch_name, branches, percent, pieces
from .visible import inline, token_text, visible
from .why.page import shown

ROWS = 300  # requests in the timeline; a run of more shows its first ones
TICKS = 500  # tokens that a row of the timeline marks


def page(run: Run[Any]) -> str:
    """The whole page."""
    links = _links(run)
    return template("page.html.j2").render(
        run=run,
        pieces=_pieces(run, links),
        links=links,
        causes=[shown(why) for why in run.causes.values()],
        branches=[(branch_name(path), visible(text)) for path, text in branches(run).items()],
        bars=_bars(run),
        data=_data(run),
        **_certified(run),
        **script("run.js"),
        style=resource("run.css"),
        omitted=max(0, len(run.requests) - ROWS),
    )


def fragment(run: Run[Any]) -> str:
    """The text, the captures and the usage, without a script, to be put into another page."""
    style = resource("run.css")
    return template("fragment.html.j2").render(run=run, pieces=_pieces(run, {}), style=style, **_certified(run))


def _links(run: Run[Any]) -> dict[int, int]:
    """Of each capture for which `why` was asked, by its position, the position of the last answer."""
    spans = {capture.span: i for i, capture in enumerate(run.captures.all())}
    return {spans[why.span]: n for n, why in enumerate(run.causes.values()) if why.span in spans}


def _certified(run: Run[Any]) -> dict[str, Any]:
    weighed = [(inline(c.name), len(c.particles), _particles(c.particles)) for c in run.captures.all() if c.particles]
    return {"facts": facts(run), "weighed": weighed}


def _particles(particles: tuple[Particle, ...]) -> list[tuple[str, ...]]:
    return [(*numbers, visible(text)) for *numbers, text in rows(particles)]


def _pieces(run: Run[Any], links: Mapping[int, int]) -> list[dict[str, Any]]:
    widest = max([token.allowed for token in run.tokens], default=0)
    return [
        _piece(run, piece, widest) | {"why": links.get(-1 if piece.hole is None else piece.hole)}
        for piece in pieces(run)
    ]


def _piece(run: Run[Any], piece: Piece, widest: int) -> dict[str, Any]:
    """What the template needs; `colours` are shares between 0 and 1, of what there is a colour for."""
    token = None if piece.token is None else run.tokens[piece.token]
    return {
        "text": visible(piece.text),
        "kind": piece.kind,
        "token": piece.token,
        "note": _note(piece) if token is None else summary(token),
        "slot": bool(piece.slot),
        "colours": None if token is None or token.forced else _colours(token, widest),
    }


def _note(piece: Piece) -> str:
    said = _KINDS.get(piece.kind, "") + inline(piece.note)
    return " · ".join([f"slot {inline(piece.slot)}", *filter(None, [said])]) if piece.slot else said


_KINDS = {
    "cached": "program text; came from the prefix cache",
    "computed": "program text; computed for this run",
    "role": "the beginning or end of a message",
    "retracted": "taken back: ",
}


def summary(token: TokenRecord) -> str:
    """A token in a line."""
    text = token_text(token.data)
    if token.forced:
        return f"{text} · forced: nothing else was possible"
    allowed = f"{token.allowed:,} tokens allowed" if token.allowed else "mask size not known"
    return f"{text} · {percent(token.masked)} of what was allowed, {percent(token.logprob)} by itself · {allowed}"


def _colours(token: TokenRecord, widest: int) -> dict[str, str]:
    narrow = 1 - math.log(max(1, token.allowed)) / math.log(max(2, widest))
    shares = {"raw": _share(token.logprob), "masked": _share(token.masked), "narrow": narrow}
    return {name: f"{share:.3f}" for name, share in shares.items()}


def _share(logprob: float) -> float:
    return 0.0 if math.isnan(logprob) else min(1.0, math.exp(logprob))


def _bars(run: Run[Any]) -> list[dict[str, Any]]:
    """The rows of the timeline; places in percent of its width."""
    end = max([run.usage.seconds, 1e-9, *[request.end for request in run.requests]])
    ticks: dict[int, list[tuple[int, TokenRecord]]] = {}
    for i, token in enumerate(run.tokens):
        ticks.setdefault(token.request, []).append((i, token))
    return [_bar(request, ticks.get(i, []), 100 / end) for i, request in enumerate(run.requests[:ROWS])]


def _bar(request: RequestRecord, tokens: list[tuple[int, TokenRecord]], scale: float) -> dict[str, Any]:
    first = tokens[0][1].seconds if tokens else request.end
    marks = [{"left": f"{t.seconds * scale:.3f}", "forced": t.forced, "token": i} for i, t in tokens[:TICKS]]
    cached = f"{request.cached_tokens} of {request.prompt_tokens} prompt tokens cached"
    return {
        "hole": inline(request.hole),
        "note": f"{inline(request.language)} · {cached} · {1e3 * (request.end - request.begin):.1f} ms",
        "left": f"{request.begin * scale:.3f}",
        "prompt": f"{(first - request.begin) * scale:.3f}",
        "width": f"{(request.end - request.begin) * scale:.3f}",
        "ticks": marks,
        "retracted": request.retracted,
    }


def _data(run: Run[Any]) -> str:
    """What the script reads."""
    tokens = [_record(token) for token in run.tokens]
    requests = [[inline(r.hole), inline(r.language), r.prompt_tokens, r.cached_tokens] for r in run.requests]
    return data({"tokens": tokens, "requests": requests})


def _record(t: TokenRecord) -> list[Any]:
    likely = _likely(t.top), _likely(t.top_masked)
    place = t.id, t.request, t.retracted, round(t.seconds, 6), *t.span
    return [token_text(t.data), t.forced, t.allowed, _number(t.logprob), _number(t.masked), *likely, *place]


def _likely(top: tuple[Candidate, ...]) -> list[list[Any]]:
    return [[token_text(c.data), _number(c.logprob), c.id] for c in top]


def _number(logprob: float) -> float | None:
    return round(logprob, 4) if math.isfinite(logprob) else None
