"""`lmprog compile` and `lmprog prompt`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from json import dumps, loads
from pathlib import Path
from typing import Any

from .errors import ProgramError
from .jobs.target import named
from .programs import Program


def compiled(name: str, args: Sequence[str], slots: Path | None = None, *, json: bool, grammar: bool) -> str:
    """What `lmprog compile` prints. Raises ProgramError for what is no program, JobError when it is not there."""
    plan = _asked(name, slots, args, "plan")
    return dumps(plan.to_dict(), ensure_ascii=False) if json else repr(plan.grammar()) if grammar else str(plan)


def prompted(name: str, args: Sequence[str], slots: Path | None = None) -> str:
    """What `lmprog prompt` prints. Raises as `compiled` does."""
    return str(_asked(name, slots, args, "prompt"))


def program_of(name: str, slots: Path | None = None) -> Program[..., Any]:
    """A program by its name, `file.py:name` or `module:name`, with the values of a file in its slots.

    Raises ProgramError, SlotError, JobError, OSError.
    """
    program = named(name)
    if not isinstance(program, Program):
        raise ProgramError(f"{name} is not a program: it is {program!r}")
    return program if slots is None else program.load(slots)


def _asked(name: str, slots: Path | None, args: Sequence[str], what: str) -> Any:
    program, given = program_of(name, slots), dict(map(argument, args))
    try:
        inspect.signature(program.function).bind(None, **given)
    except TypeError as error:
        raise ProgramError(f"{program.__name__}: {error}; arguments are given as --arg name=value") from None
    return getattr(program, what)(**given)


def argument(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ProgramError(f"an argument is name=value, not {text!r}")
    try:
        return name, loads(value)
    except ValueError:
        return name, value
