"""What a function's bytecode says that it uses."""

from __future__ import annotations

import dis
import importlib
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any

from .library import ATTRIBUTES, GLOBALS, Unsure

MADE = frozenset(
    {"__dict__", "attrgetter", "getattr", "getmembers", "methodcaller", "vars"}
)  # look up names of any kind


@dataclass(frozen=True)
class Used:
    """`names` are all that it says, and texts that may be names; `dynamic`: it may look up others."""

    globals: set[str]
    names: set[str]
    imported: list[ModuleType]
    dynamic: bool


def look(code: CodeType, around: Mapping[str, Any]) -> Used:
    """Raises Unsure for names that lead outside of the program: files, clocks, chance."""
    globals_, attributes, texts, modules = set[str](), set[str](), set[str](), list[ModuleType]()
    for inner in _codes(code):
        for text in _texts(inner.co_consts):  # of a format such as "{a.b}", the names in it
            texts |= set(re.findall(r"\w+", text)) if "{" in text else {text} if text.isidentifier() else set()
        for step in dis.get_instructions(inner):
            if step.opname == "IMPORT_NAME":
                modules += _imported(inner, step, around)
            elif "GLOBAL" in step.opname or step.opname == "LOAD_NAME":
                globals_.add(str(step.argval))
            elif "ATTR" in step.opname or "METHOD" in step.opname or step.opname == "IMPORT_FROM":
                attributes.add(str(step.argval))
    if outside := [*sorted(globals_ & GLOBALS - (around.keys() - {"__builtins__"})), *sorted(attributes & ATTRIBUTES)]:
        raise Unsure(f"{code.co_qualname} uses {outside[0]}, and so what is outside of it")
    return Used(globals_, globals_ | attributes | texts, modules, bool((globals_ | attributes) & MADE))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes(const)


def _texts(consts: tuple[Any, ...]) -> Iterator[str]:
    for const in consts:
        if isinstance(const, str):
            yield const
        elif isinstance(const, tuple):
            yield from _texts(const)


def _imported(code: CodeType, step: dis.Instruction, around: Mapping[str, Any]) -> list[ModuleType]:
    """The modules of an import inside of a function: `import a.b` binds a, and uses both."""
    steps = [*dis.get_instructions(code)]
    at = next(n for n, other in enumerate(steps) if other.offset == step.offset)
    level = next((s.argval for s in reversed(steps[:at]) if s.opname == "LOAD_CONST" and isinstance(s.argval, int)), 0)
    try:
        package = around.get("__package__") or ""
        name = importlib.util.resolve_name("." * level + str(step.argval), package) if level else str(step.argval)
        parts = name.split(".")
        return [importlib.import_module(".".join(parts[: n + 1])) for n in range(len(parts))]
    except Exception as error:  # the run would meet it as well
        raise Unsure(f"{code.co_qualname} imports {step.argval}, which cannot be: {error}") from None
