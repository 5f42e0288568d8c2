"""A run in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from .events import RoleBegin
from .run import Run


def show(run: Run[Any], console: Console | None = None) -> None:
    """Print the text with its holes marked, a table of the captures, and the usage."""
    (console or Console()).print(Group(Panel(_text(run), title="text", title_align="left"), _table(run), _usage(run)))


def _text(run: Run[Any]) -> Text:
    text = Text(run.text)
    for capture in run.captures.all():
        text.stylize("bold green", *capture.span)
    for event in run.trace:
        if isinstance(event, RoleBegin):
            text.stylize("dim", *event.span)
    return text


def _table(run: Run[Any]) -> Table:
    table = Table("hole", "value", "tokens", "end", "log p", box=None, header_style="bold")
    for c in run.captures.all():
        logprob = "" if c.logprob is None else f"{c.logprob:.2f}"
        table.add_row(Text(c.name), Text(repr(c.value)), str(len(c.tokens)), c.finish, logprob)
    return table


def _usage(run: Run[Any]) -> Text:
    u = run.usage
    computed = f"{u.prompt_tokens_computed} of {u.prompt_tokens} prompt tokens computed"
    generated = f"{u.sampled_tokens} sampled, {u.forced_tokens} forced"
    return Text(f"{u.requests} requests · {computed} · {generated} · {u.seconds:.2f} s", style="dim")
