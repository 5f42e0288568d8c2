"""`lmprog compile`."""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps, loads
from typing import Any

from .errors import ProgramError
from .jobs.target import named
from .programs import Program


def compiled(name: str, args: Sequence[str], *, json: bool, grammar: bool) -> str:
    """What `lmprog compile` prints. Raises ProgramError for what is no program, JobError when it is not there."""
    program = named(name)
    if not isinstance(program, Program):
        raise ProgramError(f"{name} is not a program: it is {program!r}")
    try:
        plan = program.plan(**dict(map(argument, args)))
    except TypeError as error:
        raise ProgramError(f"{program.__name__}: {error}; arguments are given as --arg name=value") from None
    return dumps(plan.to_dict(), ensure_ascii=False) if json else repr(plan.grammar()) if grammar else str(plan)


def argument(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ProgramError(f"an argument is name=value, not {text!r}")
    try:
        return name, loads(value)
    except ValueError:
        return name, value
