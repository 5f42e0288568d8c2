"""What a function changes outside of itself: variables around it that it assigns to, as far as bytecode tells.

`n += 1` on a global, `found["x"] = 1` on a dict of the module, and `counter.n += 1` call nothing that could be watched,
and undoing them afterwards would also undo what other threads did meanwhile. So they are found beforehand.
"""

from __future__ import annotations

import dis
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

WHOLE = {"STORE_GLOBAL", "DELETE_GLOBAL"}
CELL = {"STORE_DEREF", "DELETE_DEREF"}
PART = {"STORE_ATTR", "DELETE_ATTR", "STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE"}


@lru_cache(maxsize=4096)
def assigned(code: CodeType, own: str | None = None) -> str | None:
    """A variable from outside of the code that it assigns to, as a whole (`n += 1`) or in part (`d["n"] = 1`).

    Outside are globals, variables of functions around, and the parameter `own`. Functions inside count as well. A part
    is told by its place: the expression begins where its variable does. Other names for an object are not seen through.
    """
    outside, begins = {*code.co_freevars, own}, {}
    for step in dis.get_instructions(code):
        place = step.positions and (step.positions.lineno, step.positions.col_offset)
        if step.opname in WHOLE or (step.opname in CELL and step.argval in code.co_freevars):
            return str(step.argval)
        if step.opname == "LOAD_GLOBAL" or (step.opname.startswith("LOAD_") and step.argval in outside):
            begins[place] = str(step.argval)
        elif step.opname in PART and place in begins:
            return begins[place]
    inner = [assigned(const) for const in code.co_consts if isinstance(const, CodeType)]
    return next((name for name in inner if name is not None and name not in code.co_cellvars), None)


def closed_over(function: FunctionType) -> Iterator[Any]:
    """The values that the function names: globals, and variables of functions around it."""
    names = function.__globals__.keys() & set(names_in(function.__code__))
    yield from [function.__globals__[name] for name in names]
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not set yet
            continue


def names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from names_in(const)


def changed(value: Any, depth: int = 3) -> str | None:
    """What a call of `value` assigns to outside of itself, also in functions and methods that it names."""
    function = getattr(value, "__func__", value)
    if not isinstance(function, FunctionType):
        return None
    if (name := assigned(function.__code__)) is not None or not depth:
        return name
    names = set(names_in(function.__code__))
    return next(_found(closed_over(function), names, depth - 1), None)


def _found(values: Iterable[Any], names: set[str], depth: int) -> Iterator[str]:
    for value in values:
        calls = [value] if isinstance(value, FunctionType | MethodType) else _methods(value, names)
        for call in calls:
            function = getattr(call, "__func__", call)
            own = function.__code__.co_varnames[:1] if function is not call else ()
            if name := (assigned(function.__code__, *own) or changed(function, depth)):
                yield name


def _methods(value: Any, names: set[str]) -> list[MethodType | FunctionType]:
    """Methods with these names of an object that the function names; of a program, its function."""
    if isinstance(value, ModuleType | type):
        return []
    ours = type(value).__module__.partition(".")[0] == "lmprog"
    kept = [inner for inner in getattr(value, "__dict__", {}).values() if isinstance(inner, FunctionType | MethodType)]
    named = [] if ours else [getattr(type(value), name, None) for name in sorted(names)]
    return [*kept, *[MethodType(method, value) for method in named if isinstance(method, FunctionType)]]
