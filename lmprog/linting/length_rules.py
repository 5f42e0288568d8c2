"""LM10, LM20 and LM21: how long prompts get, and how much of them rows share."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..fill import DEFAULT_TOKENS
from ..grammars.endings import endless
from ..holes import Hole
from ..plan import Fill
from .findings import Finding
from .source import Site
from .subject import Row, Subject, called
from .survey import Step, Survey

LONG = 24  # tokens of fixed text that are worth being moved


# -- the context -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Need:
    """Tokens at a hole: of texts so far, of holes so far at most, and of this one; `step` is where it stands."""

    row: Row
    step: Step
    texts: int
    filled: int
    own: int

    @property
    def total(self) -> int:
        return self.texts + self.filled + self.own


def overflows(subject: Subject) -> Iterator[Finding]:
    """The worst row of each hole."""
    context = getattr(subject.model, "context", None)
    if subject.vocab is None or context is None:
        return
    needs: dict[Site, list[Need]] = defaultdict(list)
    for need in [need for row in subject.rows for path in row.paths for need in _needs(subject, row, path)]:
        if need.total > context:
            needs[need.step.site].append(need)
    for site, some in needs.items():
        worst = max(some, key=lambda need: need.total)
        yield subject.finding("LM10", site, _told(worst, some, context), _mend(worst, context))


def _needs(subject: Subject, row: Row, path: Survey) -> Iterator[Need]:
    """At each hole. Slots that give way when the context overflows do not count."""
    texts = int(subject.model is not None and subject.model.bos is not None)
    filled = 0
    for step in path.steps:
        if step.hole is not None:
            own = _most(subject, step.hole)
            yield Need(row, step, texts, filled, own)
            filled += own
        elif step.text and step.slot not in path.shortened:
            texts += subject.tokens(step.text)


def _most(subject: Subject, hole: Hole) -> int:
    """The most tokens of a value."""
    if hole.max_tokens is not None:
        return hole.max_tokens
    if hole.options:
        return max([subject.tokens(text) for text in hole.options])
    return DEFAULT_TOKENS if hole.grammar is None or endless(hole.grammar.expr) else 1


def _told(need: Need, some: Sequence[Need], context: int) -> str:
    before = f" and up to {need.filled:,} of the holes before it" if need.filled else ""
    rows = sorted({other.row.number for other in some if other.row.number is not None})
    where = "" if need.row.number is None else f"row {need.row.number}: "
    more = f" ({len(rows)} rows in all)" if len(rows) > 1 else ""
    return (
        f"{where}{need.texts:,} tokens of text{before} and {need.own:,} for {called(need.step)} make {need.total:,}, "
        f"more than the model's context of {context:,}{more}"
    )


def _mend(need: Need, context: int) -> str:
    left = context - need.texts - need.filled
    hole = need.step.hole
    if hole is not None and hole.max_tokens is None and left > 0:
        return f"give max_tokens= of {left:,} or less, or shorten the prompt"
    return f"shorten the prompt by {need.total - context:,} tokens, or lower max_tokens"


# -- what rows share ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """What a place of the body appends: the same for all rows at both ends."""

    site: Site
    head: str
    tail: str
    whole: bool


Place = tuple[Site, int | None, int]  # a part of a call, and how often it was reached before


def late_text(subject: Subject) -> Iterator[Finding]:
    """Long fixed text that comes only behind text that is different for each row, or behind a hole."""
    if len(subject.rows) < 2:
        return
    pieces = _pieces(subject.rows)
    changing = next((i for i, piece in enumerate(pieces) if not piece.whole), None)
    if changing is None:
        return
    early = "".join([piece.head for piece in pieces[:changing]]) + pieces[changing].head
    said = {piece.head for piece in pieces[:changing]}
    late = [(piece.site, text) for piece in pieces[changing:] for text in _parts(piece, pieces[changing])]
    late = [(site, text) for site, text in late if text not in said and subject.tokens(text) >= LONG]
    if not late:
        return
    now, moved = subject.tokens(early), sum([subject.tokens(text) for text in {text for _, text in late}])
    about, line = "" if subject.vocab is not None else "about ", pieces[changing].site.line
    yield subject.finding(
        "LM20",
        late[0][0],
        f"{about}{moved:,} tokens of fixed text come behind text that changes (line {line}): rows "
        f"share {about}{now:,} tokens at their beginning, and could share {about}{now + moved:,}",
        "say what is fixed (instructions, examples) first and what changes (documents, answers) last: what rows share "
        "at their beginning is computed once",
    )


def _parts(piece: Piece, changing: Piece) -> list[str]:
    return [piece.tail] if piece is changing or not piece.whole else [piece.head]


def _pieces(rows: Sequence[Row]) -> list[Piece]:
    """The places that all rows pass, in order; a hole is text that changes."""
    texts = [_by_place(row.first) for row in rows]
    found = []
    for place, first in texts[0].items():
        if all([place in other for other in texts]):
            site, same = place[0], [other[place] for other in texts]
            if first is None:
                found.append(Piece(site, "", "", False))
                continue
            some = [text or "" for text in same]
            head = _common(some)
            whole = len({*some}) == 1
            tail = "" if whole else _common([text[len(head) :][::-1] for text in some])[::-1]
            found.append(Piece(site, head, tail, whole))
    return found


def _common(texts: Sequence[str]) -> str:
    """What all of them begin with."""
    first, last = min(texts), max(texts)
    return first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _by_place(steps: Sequence[Step]) -> dict[Place, str | None]:
    """The text of each place, the first time, the second, ...; None: a hole."""
    found: dict[Place, str | None] = {}
    times: Counter[tuple[Site, int | None]] = Counter()
    for step in steps:
        if isinstance(step.item, Fill) or step.text:
            where = step.site, step.part
            found[*where, times[where]] = step.text
            times[where] += 1
    return found


def repeated_text(subject: Subject) -> Iterator[Finding]:
    """The same long text from the same place, more than once on one path."""
    for path in subject.paths():
        counts: dict[tuple[Site, str], int] = defaultdict(int)
        for step in path.steps:
            if step.text and step.site.line:
                counts[step.site, step.text] += 1
        for (site, text), count in counts.items():
            if count > 1 and (size := subject.tokens(text)) >= LONG:
                yield subject.finding(
                    "LM21",
                    site,
                    f"the same {size:,} tokens are appended {count} times on one path",
                    "say it once, before the loop",
                )


RULES = (overflows, late_text, repeated_text)
