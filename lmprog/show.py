"""A run in the terminal."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from .certified import facts
from .run import Run
from .trace import TokenRecord
from .view import Piece, percent, pieces
from .visible import inline, visible

STYLES = {
    "cached": "blue",
    "role": "bold dim",
    "value": "bold green",
    "forced": "bold underline",
}
LEVELS = ((0.5, "bold green"), (0.1, "bold yellow"), (0.0, "bold red"))  # of a token's own probability


def show(run: Run[Any], console: Console | None = None) -> None:
    """Print the text with its holes marked, a table of the captures, what decoders know (`logZ` and so on), the usage.

    With the records of `trace=True`, tokens are coloured by the probability that the model gave them by itself (green
    from a half on, yellow, red below a tenth), forced ones are underlined, and text from the prefix cache is blue.
    """
    text = Panel(marked(run), title="text", title_align="left")
    (console or Console()).print(Group(text, captures(run), *certified(run), usage(run)))


def marked(run: Run[Any]) -> Text:
    """The text with its tokens in their colours."""
    kept = [piece for piece in pieces(run) if piece.kind != "retracted"]
    return Text.assemble(*[(visible(piece.text), _style(run, piece)) for piece in kept])


def _style(run: Run[Any], piece: Piece) -> str:
    if piece.token is None or piece.kind != "sampled":
        return STYLES.get(piece.kind, "")
    return level(run.tokens[piece.token])


def level(token: TokenRecord) -> str:
    """The colour of a token."""
    if token.forced or math.isnan(token.logprob):
        return STYLES["forced" if token.forced else "value"]
    return next(style for least, style in LEVELS if math.exp(token.logprob) >= least)


def captures(run: Run[Any]) -> Table:
    table = Table("hole", "value", "tokens", "end", "p", box=None, header_style="bold")
    for c in run.captures.all():
        likely = "" if c.logprob is None else percent(c.logprob)
        table.add_row(Text(inline(c.name)), Text(inline(repr(c.value))), str(len(c.tokens)), c.finish, likely)
    return table


def certified(run: Run[Any]) -> list[Text]:
    """A line, if there is something to be said."""
    known = " · ".join([f"{name} {value}" for name, value in facts(run).items()])
    return [Text(known)] if known else []


def usage(run: Run[Any]) -> Text:
    u = run.usage
    computed = f"{u.prompt_tokens_computed} of {u.prompt_tokens} prompt tokens computed"
    generated = f"{u.sampled_tokens} sampled, {u.forced_tokens} forced"
    return Text(
        f"{u.requests} request{'s' * (u.requests != 1)} · {computed} · {generated} · {u.seconds:.2f} s", style="dim"
    )
