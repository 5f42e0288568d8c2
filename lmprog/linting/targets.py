"""What the command line names: a program, all programs of a file or module, or a template."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ProgramError, TemplateError
from ..jobs.target import module, named
from ..programs import Program
from ..templates import Template

TEMPLATES = (".j2", ".jinja", ".jinja2")


def targets(name: str) -> list[tuple[Program[..., Any], str]]:
    """Programs, each with the file that it is from. Raises ProgramError, JobError where there are none; OSError."""
    if name.endswith(TEMPLATES):
        return [(_template(Path(name)), name)]
    before, colon, after = name.rpartition(":")
    whole = not colon or not after.isidentifier()
    home = module(name if whole else before)
    if whole:
        found = [value for value in vars(home).values() if isinstance(value, Program) and _is_from(value, home)]
        found += _methods(home)
        if not found:
            raise ProgramError(f"there is no program in {name}")
    else:
        found = [named(name)]
        if not isinstance(found[0], Program):
            raise ProgramError(f"{name} is not a program: it is {found[0]!r}")
    return [(program, home.__file__ or "") for program in dict.fromkeys(found)]


def _is_from(program: Program[..., Any], home: ModuleType) -> bool:
    """It is not one that the module only imports."""
    made = sys.modules.get(getattr(program, "__module__", ""))
    return made in (None, home) or getattr(made, program.__name__, None) is not program


def _methods(home: ModuleType) -> list[Program[..., Any]]:
    """The programs of the module's classes."""
    classes = [value for value in vars(home).values() if isinstance(value, type) and value.__module__ == home.__name__]
    named = [(cls, name) for cls in dict.fromkeys(classes) for name in vars(cls)]
    return [_bound(cls, name) for cls, name in named if isinstance(getattr(cls, name, None), Program)]


def _bound(cls: type, name: str) -> Any:
    """A program of an object that was not set up, whose attributes are those of its class."""
    try:
        return getattr(object.__new__(cls), name)
    except TypeError:  # of a class that Python must set up itself, such as an exception's
        return getattr(cls, name)


def _template(path: Path) -> Template:
    try:
        return Template.from_file(path)
    except UnicodeDecodeError:
        raise TemplateError("it is not UTF-8", str(path)) from None
