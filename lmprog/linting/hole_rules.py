"""LM01 to LM05 and LM11: where values end, and what they may be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ..ends import end_mark
from ..errors import AmbiguousOptions, ConstraintError, HoleError, PartError
from ..grammars.endings import can_go_on, endless, goes_on, starts
from ..grammars.expr import Expr
from ..holes import Hole
from ..option_tree import check_told_apart, nested
from ..plan import End, Fill, Role, Text
from .findings import Finding
from .subject import Subject, called
from .survey import FORK, Step, Survey


def unclear_ends(subject: Subject) -> Iterator[Finding]:
    for _, _, step in subject.holes():
        hole, follow = _hole(step), _follow(step)
        if not follow or hole.grammar is None or hole.free or hole.stop or hole.options is not None:
            continue
        mark = end_mark(follow)
        if goes_on(hole.grammar.expr, mark):
            text = mark.decode()
            yield subject.finding(
                "LM01",
                step.site,
                f"a value of {called(step)} can go on with {text!r}, the text that follows it: it will end before the "
                f"first {text!r} that the model writes",
                f'let something else follow, or say where="{text!r} not in x"',
            )


def nested_options(subject: Subject) -> Iterator[Finding]:
    for path, at, step in subject.holes():
        hole, end = _hole(step), end_mark(_follow(step))
        if not hole.options or (pair := nested([text.encode() for text in hole.options])) is None:
            continue
        short, long = [hole.options[i] for i in pair]
        if end:
            try:
                check_told_apart(hole.options, [text.encode() + end for text in hole.options], end)
            except AmbiguousOptions as error:
                yield subject.finding("LM02", step.site, str(error).partition(": end the")[0], _END_OPTIONS)
        elif not _ends_message(path, at):
            message = f"the option {short!r} begins the option {long!r}, and no text follows in the same p(...)"
            yield subject.finding("LM02", step.site, message, _END_OPTIONS)


_END_OPTIONS = 'end the options by text that tells them apart, in the same call: p(select([...]), ".\\n")'


def adjacent_holes(subject: Subject) -> Iterator[Finding]:
    for path, at, step in subject.holes():
        hole, after = _hole(step), _next(path, at)
        if after is None or after.hole is None or hole.stop or hole.options is not None:
            continue
        if _runs_into(hole, after.hole):
            yield subject.finding(
                "LM03",
                after.site,
                f"{called(after)} comes right behind {called(step)}, whose values can go on with the text that this "
                "one begins with: where one ends and the other begins is left open",
                "write something between them that the first cannot contain",
            )


def _runs_into(hole: Hole, after: Hole) -> bool:
    if hole.grammar is None:
        return True
    first: Expr | None = after.grammar.expr if after.grammar is not None else None
    return any([goes_on(hole.grammar.expr, bytes((byte,))) for byte in starts(first)])


def without_choice(subject: Subject) -> Iterator[Finding]:
    """Where the same hole never has more than one text."""
    found: dict[tuple[object, ...], list[tuple[Step, tuple[str, ...] | None]]] = defaultdict(list)
    for _, _, step in subject.holes():
        assert isinstance(step.item, Fill)
        found[step.site].append((step, step.item.options))
    for holes in found.values():
        texts = {options for _, options in holes}
        only = texts.pop()
        if not texts and only is not None and len(only) == 1:
            step = holes[0][0]
            message = f"{called(step)} can only be {only[0]!r}"
            yield subject.finding("LM04", step.site, message, "write it as text, or allow more")


def refusals(subject: Subject) -> Iterator[Finding]:
    """Errors that each row leads to, in the same words: they do not depend on the stand-ins."""
    kinds = (ConstraintError, HoleError, PartError)
    for row in subject.rows:
        for path in row.paths:
            if path.error is None or not isinstance(path.error[0], kinds):
                continue
            error, site = path.error
            if not subject.real and not all([_same(other.paths, str(error)) for other in subject.rows]):
                continue
            lines = [line for line in str(error).splitlines() if line.strip()]
            yield subject.finding("LM05", site, f"{type(error).__name__}: {lines[0]}", "a run fails here: mend it")


def _same(paths: list[Survey], message: str) -> bool:
    return any([path.error is not None and str(path.error[0]) == message for path in paths])


def endless_holes(subject: Subject) -> Iterator[Finding]:
    for path, at, step in subject.holes():
        hole = _hole(step)
        if hole.max_tokens is not None or hole.stop or hole.options is not None or hole.json or _follow(step):
            continue
        if not isinstance(step.item, Fill) or step.item.follow or _ends_message(path, at):
            continue
        if hole.grammar is not None and not (endless(hole.grammar.expr) and can_go_on(hole.grammar.expr)):
            continue
        behind = _next(path, at)
        if behind is not None and behind.hole is not None:
            continue  # LM03
        seen = behind is not None and isinstance(behind.item, Text)
        yield subject.finding(
            "LM11",
            step.site,
            f"nothing ends {called(step)}: it goes on to the model's end of text, or for 512 tokens",
            'give max_tokens= or stop=, or let text follow in the same p(...): p(gen(), "\\n")'
            + ("; the text of the next call is not seen as its end" if seen else ""),
        )


def _hole(step: Step) -> Hole:
    assert step.hole is not None
    return step.hole


def _follow(step: Step) -> str:
    """The text that certainly follows in the same call."""
    assert isinstance(step.item, Fill)
    first = step.item.follow[0] if step.item.follow else ""
    return first if isinstance(first, str) else ""


def _next(path: Survey, at: int) -> Step | None:
    """The step that comes next on every path, or None where there is a branch or the end."""
    after = path.steps[at + 1] if at + 1 < len(path.steps) else None
    return after if after is not None and not isinstance(after.item, End) else None


def _ends_message(path: Survey, at: int) -> bool:
    """A message of a chat ends behind the hole, and with it the value."""
    after = _next(path, at)
    return after is not None and isinstance(after.item, Role) and after.item != FORK


RULES = (unclear_ends, nested_options, adjacent_holes, without_choice, refusals, endless_holes)
