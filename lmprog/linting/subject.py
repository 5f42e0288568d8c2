"""What is linted: a program, the paths that it takes with some rows of arguments, its source, and maybe a model."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from types import FunctionType
from typing import Any

from ..errors import ProgramError
from ..models import LanguageModel
from ..programs import Program
from ..templates import Template
from .arguments import stand_ins
from .findings import Finding
from .source import Function, Names, Site
from .survey import PATHS, Step, Survey, source, surveys

FEW = 8  # paths that are followed of each row but the first


@dataclass(frozen=True)
class Row:
    """Arguments, and the paths that the program takes with them. `number`: in the data; None: a stand-in."""

    number: int | None
    args: Mapping[str, Any]
    paths: list[Survey] = field(repr=False)

    @property
    def first(self) -> list[Step]:
        return self.paths[0].steps


def check(program: Program[..., Any], given: Mapping[str, Any]) -> None:
    """Raises ProgramError for what is no program, and for arguments that it does not take."""
    if not isinstance(program, Program):
        raise ProgramError(f"a program is what @program makes, not {program!r}")
    try:
        inspect.signature(program.function).bind_partial(None, **given)
    except TypeError as error:
        raise ProgramError(f"{program.__name__}: {error}") from None


class Subject:
    """A program to be linted. `given`: arguments by name, `data`: rows of them; `home`: the file that it is from."""

    def __init__(
        self,
        program: Program[..., Any],
        given: Mapping[str, Any],
        data: Sequence[Mapping[str, Any]] | None,
        model: LanguageModel | None,
        home: str = "",
    ) -> None:
        self.program, self.model, self.home = program, model, home
        self.function = _function(program)
        self.real = data is not None or bool(given)
        numbered: list[tuple[int | None, dict[str, Any]]]
        check(program, given)
        if data is None:
            numbered = [(None, args) for args in stand_ins(program, given)]
        else:
            numbered = [(n, dict(row)) for n, row in enumerate(data)]
        self.rows = [Row(n, args, surveys(program, args, FEW if i else PATHS)) for i, (n, args) in enumerate(numbered)]

    @property
    def vocab(self) -> Any:
        return getattr(self.model, "vocab", None)

    def tokens(self, text: str) -> int:
        """How many tokens a text has; without a model about as many as a tokenizer would make of it."""
        data = text.encode()
        with suppress(ValueError):  # a small vocabulary that cannot spell it
            if self.vocab is not None:
                return len(self.vocab.encode(data))
        return (len(data) + 3) // 4

    def paths(self) -> Iterator[Survey]:
        for row in self.rows:
            yield from row.paths

    def holes(self) -> Iterator[tuple[Survey, int, Step]]:
        """Each hole of each path, with its number among the path's steps."""
        for path in self.paths():
            for at, step in enumerate(path.steps):
                if step.hole is not None:
                    yield path, at, step

    # -- the source ------------------------------------------------------------------------------------------------

    @cached_property
    def tree(self) -> Function | None:
        if self.function is None:
            return None
        return source(self.function.__code__.co_filename).function(self.function.__code__)

    @cached_property
    def names(self) -> Names | None:
        return None if self.function is None else Names(self.function)

    @property
    def site(self) -> Site:
        """Where the program is defined."""
        if self.function is not None:
            return Site(self.function.__code__.co_filename, self.function.__code__.co_firstlineno)
        return Site(getattr(self.program, "filename", f"<{self.program.__name__}>"), 1)

    def finding(self, code: str, site: Site, message: str, advice: str) -> Finding:
        site = self._in_home(site if site.line else self.site)
        return Finding(code, site.line, _column(site), message, advice, site.file)

    def _in_home(self, site: Site) -> Site:
        """A line of a template that is a text in a file of Python is a line of that file."""
        program = self.program
        if not isinstance(program, Template) or site.file != program.filename or not self.home:
            return site
        literals = [text for text in source(self.home).strings() if text.value == program.source]
        if len(literals) != 1:
            return site
        first, last = literals[0].lineno, literals[0].end_lineno or 0
        lines = program.source.count("\n")
        return Site(self.home, first + site.line - 1 if last - first == lines else first)


def _function(program: Program[..., Any]) -> FunctionType | None:
    """The program's function, where it is one of Python."""
    function: Any = getattr(program.function, "__func__", program.function)
    return function if isinstance(function, FunctionType) and not isinstance(program, Template) else None


def _column(site: Site) -> int:
    """In characters, where Python counts bytes."""
    line = linecache.getline(site.file, site.line).encode()
    return len(line[: site.column].decode(errors="ignore")) + 1


def called(step: Step) -> str:
    """How a hole is called in a message."""
    assert step.hole is not None
    return f"the hole {step.hole.name!r}" if step.hole.name else f"the hole ({step.hole.kind})"
