"""Why a token is where it is, in words and numbers."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .errors import RunError
from .run import Capture, Run
from .trace import Candidate, TokenRecord
from .view import percent, pieces
from .visible import inline, token_text

AROUND = 30  # characters of the text before a token that are shown


def explain(run: Run[Any], at: int | str, console: Console | None = None) -> None:
    """Print the explanation; `at` as in `Run.explain`."""
    (console or Console()).print(explanation(run, at))


def explanation(run: Run[Any], at: int | str) -> RenderableType:
    """Raises RunError when there is nothing at that place, or no records."""
    if isinstance(at, str) and (capture := named(run, at)) is not None:
        return _capture(run, capture)
    found = re.fullmatch(r"(token:)?(\d+)", str(at).strip())
    if found is None:
        names = ", ".join(run.captures) or "none"
        raise RunError(
            f"there is no capture {at!r} (there are: {names}); else give a character, 57, or a token, token:3"
        )
    place = int(found[2])
    return _token(run, place) if found[1] else _character(run, place)


def named(run: Run[Any], name: str) -> Capture | None:
    """The last capture of a name; of "name[0]", the first."""
    found = run.captures.all(name)
    if found:
        return found[-1]
    one = re.fullmatch(r"(.+)\[(\d+)\]", name)
    found = run.captures.all(one[1]) if one else ()
    return found[int(one[2])] if one and int(one[2]) < len(found) else None


def _character(run: Run[Any], at: int) -> RenderableType:
    if not 0 <= at < len(run.text):
        raise RunError(f"the text has {len(run.text)} characters: there is none at {at}")
    owners = [i for i, token in enumerate(run.tokens) if token.span[0] <= at < token.span[1] and not token.retracted]
    if owners:
        return Group(*[_token(run, i) for i in owners])
    for capture in run.captures.all():
        if capture.span[0] <= at < capture.span[1]:
            return _capture(run, capture)
    return _own_text(run, at)


def _own_text(run: Run[Any], at: int) -> Text:
    begin = 0
    for piece in pieces(run):
        begin += len(piece.text) * (piece.kind != "retracted")
        if at < begin:
            break
    what = {
        "cached": "It was in the prefix cache already when it was sent to the model.",
        "computed": "It was sent to the model and computed.",
        "role": "It marks where a message begins or ends.",
    }
    return Text(
        f"Character {at}, {inline(run.text[at])!r}, is the program's own text. {what.get(piece.kind, '')}".strip()
    )


# -- a capture ---------------------------------------------------------------------------------------------------


def _capture(run: Run[Any], capture: Capture) -> RenderableType:
    begin, end = capture.span
    head = Text.assemble(("Hole ", ""), (inline(capture.name), "bold"), f" = {inline(repr(capture.value))}, ")
    head.append(f"characters {begin}–{end}, {len(capture.tokens)} tokens, {ENDS.get(capture.finish, capture.finish)}.")
    found = [i for i, t in enumerate(run.tokens) if t.span[0] < end and begin < t.span[1] and not t.retracted]
    if not found:
        return Group(head, Text("There are no records of its tokens: run the program with trace=True.", "dim"))
    request = run.requests[run.tokens[found[0]].request]
    language = Text(f"Its language: {inline(request.language)}")
    table = Table("", "token", "p alone", "p allowed", "allowed", "the model wanted", box=None, header_style="bold")
    for i in found:
        table.add_row(*_row(i, run.tokens[i]))
    return Group(head, language, table)


ENDS = {
    "stop": "ended because the model ended it",
    "complete": "ended because nothing could follow",
    "length": "ended because its tokens were used up",
}


def _row(i: int, token: TokenRecord) -> list[str | Text]:
    text = Text(token_text(token.data), "bold")
    if token.forced:
        return [str(i), text, "", "", "1", Text("forced", "dim")]
    wanted = token.top[0] if token.top else None
    other = "" if wanted is None or wanted.id == token.id else f"{token_text(wanted.data)} ({percent(wanted.logprob)})"
    return [str(i), text, percent(token.logprob), percent(token.masked), f"{token.allowed:,}", Text(other)]


# -- a token -----------------------------------------------------------------------------------------------------


def _token(run: Run[Any], i: int) -> RenderableType:
    if not run.tokens:
        raise RunError("the run has no records of its tokens: run the program with trace=True")
    if not 0 <= i < len(run.tokens):
        raise RunError(f"the run has {len(run.tokens)} tokens: there is no token {i}")
    token = run.tokens[i]
    return Group(_place(run, i), Text(reason(token)), *([] if token.forced else [_table(token)]))


def _place(run: Run[Any], i: int) -> Text:
    token = run.tokens[i]
    request = run.requests[token.request]
    begin, end = token.span
    where = f"characters {begin}–{end}" if begin < end else "taken back" if token.retracted else "not in the text"
    before = inline(run.text[max(0, begin - AROUND) : begin])
    text = Text.assemble(f"Token {i}, ", (token_text(token.data), "bold reverse"), f", {where}, after ")
    text.append(repr(before), "italic").append(f"; hole {inline(request.hole)}: {inline(request.language)}")
    return text


def reason(token: TokenRecord) -> str:
    """Why it came, in a few sentences."""
    if token.forced:
        return "Forced: the language allowed nothing else here, so it was appended and the model was not asked."
    allowed = (
        f"{token.allowed:,} tokens were allowed here" if token.allowed else "It is not known what was allowed here"
    )
    return f"{allowed}. {_wanted(token)} {_drawn(token)}".strip()


def _wanted(token: TokenRecord) -> str:
    if not token.top:
        return ""
    first, allowed = token.top[0], {other.id for other in token.top_masked}
    among = (
        " of what was allowed" if all(other.id in allowed for other in token.top) else ""
    )  # of a choice, all there is
    if first.id == token.id:
        return f"It is what the model by itself wanted most{among} ({percent(token.logprob)})."
    why = "" if first.id in allowed else ", which was not allowed"
    most = f"By itself the model wanted {token_text(first.data)} most{among} ({percent(first.logprob)}){why}"
    return f"{most}; this one got {percent(token.logprob)}."


def _drawn(token: TokenRecord) -> str:
    if not token.top_masked:
        return ""
    place = next((n for n, other in enumerate(token.top_masked, 1) if other.id == token.id), None)
    if place == 1:
        return f"Among what was allowed it was the likeliest ({percent(token.masked)})."
    rank = f"number {place}" if place else f"not among the first {len(token.top_masked)}"
    return f"Among what was allowed it was {rank} ({percent(token.masked)}): it was drawn at random."


def _table(token: TokenRecord) -> Table:
    table = Table("", "model alone", "p", "as drawn", "p", box=None, header_style="bold")
    rows = max(len(token.top), len(token.top_masked))
    for n in range(rows):
        table.add_row(str(n + 1), *_candidate(token, token.top, n), *_candidate(token, token.top_masked, n))
    return table


def _candidate(token: TokenRecord, among: tuple[Candidate, ...], n: int) -> tuple[Text, str]:
    if n >= len(among):
        return Text(""), ""
    return Text(token_text(among[n].data), "bold green" if among[n].id == token.id else ""), percent(among[n].logprob)
