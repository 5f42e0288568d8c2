"""What causes a field, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..view import percent
from ..visible import inline, token_text, visible
from .result import Part, Why

SHOWN = 8  # parts that are listed
WIDTH = 40  # characters of a part that are listed
MEASURES = {
    "options": "among its options",
    "masked": "among what its language allowed",
    "model": "under the model alone",
}
REPLACEMENTS = {"model": "the model's own other words", "uniform": "any other tokens", "delete": "nothing"}
FOR, AGAINST = (40, 140, 90), (232, 100, 20)  # colours of what speaks for the value, and against it


def shares(why: Why) -> list[float]:
    """The effect of each part as a share of the strongest one's, between -1 and 1."""
    strongest = max([abs(part.effect) for part in why.parts], default=0.0)
    return [part.effect / strongest if strongest else 0.0 for part in why.parts]


def stretches(why: Why) -> Iterator[tuple[str, int | None]]:
    """The text before the field, cut at the parts' borders, each piece with the number of its part; None: of none."""
    at = 0
    for n, part in enumerate(why.parts):
        begin, end = max(at, part.span[0]), max(at, part.span[1])
        if at < begin:
            yield why.text[at:begin], None
        if begin < end:
            yield why.text[begin:end], n
        at = end
    if at < why.span[0]:
        yield why.text[at : why.span[0]], None


def headline(why: Why) -> str:
    likely = f"{percent(why.logprob)} {MEASURES.get(why.measure, why.measure)}"
    return f"What causes {inline(why.field)} = {inline(why.value)} ({likely})"


def footline(why: Why) -> str:
    """How it was found, and what that cost."""
    u = why.usage
    how = REPLACEMENTS.get(why.replacement, why.replacement)
    times = f", {why.samples} times each" if why.samples > 1 else ""
    fidelity = "" if why.fidelity is None else f" · rank correlation for sets of parts {why.fidelity:.2f}"
    tokens = f"{u.prompt_tokens_computed:,} of {u.prompt_tokens:,} tokens computed"
    cost = f"{u.requests:,} requests, {tokens}, {u.seconds:.1f} s"
    return f"{len(why.parts)} parts replaced by {how}{times}{fidelity} · {cost}"


def effect(part: Part) -> str:
    if part.interval is None:
        return f"{part.effect:+.2f}"
    low, high = part.interval
    return f"{part.effect:+.2f} ({low:+.2f} to {high:+.2f})"


def label(part: Part) -> str:
    return f"{part.kind} {inline(part.name)}".strip()


def shortened(text: str) -> str:
    """A part in a line, with the blanks at its ends as ␣."""
    return token_text(text.encode(errors="replace"), WIDTH)


def shaded(why: Why) -> RenderableType:
    """The text before the field, shaded by effect, and a table of the strongest parts."""
    found = shares(why)
    text = Text.assemble(*[(visible(piece), "" if n is None else _style(found[n])) for piece, n in stretches(why)])
    text.append(visible(why.value), "bold reverse")
    table = Table("part", "effect in nats (95 %)", "is", "characters", box=None, header_style="bold")
    for part in why.top(SHOWN):
        begin, end = part.span
        table.add_row(Text(shortened(part.text)), effect(part), Text(label(part)), f"{begin}–{end}")
    return Group(Panel(text, title=Text(headline(why)), title_align="left"), table, Text(footline(why), "dim"))


def _style(share: float) -> str:
    """Paler colours for weaker effects; none for almost none."""
    if not abs(share) >= 0.05:
        return ""
    colour = FOR if share > 0 else AGAINST
    r, g, b = [round(255 + (c - 255) * abs(share)) for c in colour]
    return f"black on rgb({r},{g},{b})"


def plain(why: Why) -> str:
    rows = [f"  {effect(part):>28}  {shortened(part.text)}  ({label(part)})" for part in why.top(SHOWN)]
    return "\n".join([headline(why), *rows, footline(why)])
