"""A preview that remembers where in the source each step stands: what the rules look at."""

from __future__ import annotations

import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from types import CodeType, FrameType, TracebackType
from typing import Any, cast

from ..decoders import Argmax, Decoder
from ..ends import UnclearEnd
from ..errors import LmprogError
from ..explore import Explorer
from ..grammars.shortest import shortest
from ..holes import Hole, text_of
from ..outline import Limb, Passes
from ..plan import Decoding, End, Fill, Item, Role, Text
from ..preview import Preview, perform
from ..programs import Program
from ..prompt import Prompt, Session
from .source import Site, Source

PATHS = 64  # of a body that are followed
ANY = ("moon", "Yes, it is.", "12")  # free texts
NOWHERE = Site("", 0)
FORK = Role("branch")  # where a branch begins or ends: what stands before and after it is not joined


@dataclass(frozen=True)
class Step:
    """An item of a path: where the body says it (as which part of a call), of which slot it is the text, of a hole as
    it was described, and how it is decoded."""

    item: Item
    site: Site
    part: int | None
    slot: str
    hole: Hole | None
    decoder: Decoder

    @property
    def text(self) -> str | None:
        """The text, as far as it is known before the run, of an item that is one; of values "" stands there."""
        if not isinstance(self.item, Text):
            return None
        return "".join([piece for piece in self.item.pieces if isinstance(piece, str)])


class Survey(Preview):
    """A preview that goes on behind conditions in Python and into attempts, and notes all steps.

    Where a value can be any of many, a few examples answer the questions that the body asks of it.
    """

    def __init__(self, answers: Sequence[int], decoder: Decoder) -> None:
        super().__init__(answers=answers)
        self.steps: list[Step] = []
        self.parts: deque[tuple[int, str]] = deque()  # of the call of p under way: numbers and slots of parts to come
        self.shortened: set[str] = set()  # slots that give way when the context overflows
        self.error: tuple[LmprogError, Site] | None = None
        self._hole: Hole | None = None
        self._decoders = [decoder]

    def fill(self, hole: Hole, follow: str) -> Any:
        self._hole = hole
        value = super().fill(replace(hole, check=None, monitor=None), follow)
        if self.domains[-1] is None:
            self.domains[-1] = examples(hole)
        return value

    def attempts(self, times: int, **options: Any) -> Iterator[Any]:
        yield Passes()

    def fork(self, function: Callable[..., Any], args: Iterable[Any], **options: Any) -> list[Limb]:
        """One branch stands for all."""
        some = list(args)
        if not some:
            return []
        self._note(FORK)
        value = function(Noting(cast(Session, self)), some[0])
        self._note(FORK)
        return [Limb(n, "", value) for n in range(len(some))]

    def adopt(self, branch: Limb) -> Any:
        return branch.value

    def append(self, branches: Sequence[Limb], separator: str) -> tuple[Any, ...]:
        return tuple([branch.value for branch in branches])

    def raised(self, error: BaseException) -> End:
        if isinstance(error, LmprogError):
            self.error = error, _of_traceback(error.__traceback__)
        return super().raised(error)

    def _note(self, item: Item) -> None:
        super()._note(item)
        if isinstance(item, Decoding):
            if item.decoder is None:
                self._decoders.pop()
            else:
                self._decoders.append(item.decoder)
        part, slot = self.parts.popleft() if self.parts and isinstance(item, Text | Fill) else (None, "")
        hole = self._hole if isinstance(item, Fill) else None
        self.steps.append(Step(item, here(part), part, slot, hole, self._decoders[-1]))


def examples(hole: Hole) -> tuple[str, ...] | None:
    """Some values' texts, two or more; None where that many are not found."""
    found = []
    for text in ANY if hole.grammar is None else shortest(hole.grammar.expr):
        with suppress(Exception):  # whatever a type's validator refuses
            hole.parse(text)
            found.append(text)
    return tuple(found) if len(found) > 1 else None


class Noting(Prompt):
    """A prompt that tells the survey which part of a call comes next."""

    def __call__(self, *parts: object) -> Any:
        survey = cast(Survey, self._session)
        some = [(i, part) for i, part in enumerate(parts) if isinstance(part, Hole) or text_of(part)]
        survey.parts = deque([(i, getattr(part, "slot", "")) for i, part in some])
        return super().__call__(*parts)


def surveys(program: Program[..., Any], args: Mapping[str, Any], paths: int = PATHS) -> list[Survey]:
    """The paths of a program with these arguments, the one with first answers first."""
    found: list[Survey] = []
    body, decoder = program.body((), dict(args)), program.options.decoder or Argmax()

    def path(answers: Sequence[int]) -> list[Item]:
        found.append(perform(Survey(answers, decoder), body, lambda session: Noting(session)))
        return found[-1].items

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnclearEnd)
        Explorer(path, merge=True, paths=paths, seconds=None).explore()
    for survey in found:
        survey.shortened = {name for name, slot in body.slots.items() if slot.shorten}
    return found


@lru_cache(maxsize=64)
def source(file: str) -> Source:
    return Source(file)


def here(part: int | None) -> Site:
    """Where the user's code is now; of a call with several parts, where this one stands."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not perform.__code__:
        if frame.f_code.co_name == "_drive" and "pieces" in frame.f_locals:
            return _in_template(frame.f_locals["pieces"])
        if not _ours(frame):
            return _part(_at(frame.f_code, frame.f_lasti), part)
        frame = frame.f_back
    return NOWHERE


def _ours(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "").partition(".")[0]
    return name in ("lmprog", "contextlib", "jinja2")


def _at(code: CodeType, instruction: int) -> Site:
    line, end, column, stop = next(islice(code.co_positions(), instruction // 2, None))
    return Site(code.co_filename, line or 0, column or 0, end or 0, stop or 0)


def _part(site: Site, part: int | None) -> Site:
    node = source(site.file).part(site, part) if part is not None else None
    if node is None:
        return site
    return Site(site.file, node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)


def _in_template(pieces: Any) -> Site:
    """Where the generated code of a template stands still, innermost."""
    while (inner := getattr(pieces, "gi_yieldfrom", None)) is not None and hasattr(inner, "gi_frame"):
        pieces = inner
    frame = pieces.gi_frame
    return _template_line(frame, frame.f_lineno) if frame is not None else NOWHERE


def _template_line(frame: FrameType, line: int) -> Site:
    template = frame.f_globals["__jinja_template__"]
    return Site(frame.f_code.co_filename, template.get_corresponding_lineno(line))


def _of_traceback(traceback: TracebackType | None) -> Site:
    """The innermost place in the user's code or template."""
    found = NOWHERE
    while traceback is not None:
        frame = traceback.tb_frame
        if "__jinja_template__" in frame.f_globals:
            found = _template_line(frame, traceback.tb_lineno)
        elif not _ours(frame):
            found = _at(frame.f_code, traceback.tb_lasti)
        traceback = traceback.tb_next
    return found
