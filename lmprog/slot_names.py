"""Which slots a program can have: as its code tells, and as previews of all its paths do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import CodeType, FunctionType, ModuleType
from typing import Any

from .changes import closed_over, names_in
from .errors import SlotError
from .explore import explore_all
from .plan import End, Item, Node, nodes
from .preview import MARK, preview
from .replay import Body
from .slots import Slot, examples

DEPTH = 3  # functions that call functions


def unsaid(program: Any, names: Iterable[str], *, strict: bool = True) -> set[str]:
    """Those of the slots' names that a program's code does not seem to have: it may make them up, or a user misspelt
    them.

    Names stand in the code as texts, those of its own slots not in that of programs called inside, which are
    functions' names. Without `strict` it is enough that a name begins or ends with a text of the code, as f"part_{i}"
    does.
    """
    if not (names := [*names]):
        return set()
    all_texts, programs = _said(_reached(program, DEPTH, set()))
    own_texts, _ = _said(_reached(program, DEPTH, set(), inside=False))
    wrong = set()
    for name in names:
        inside, _, own = name.rpartition(".")
        texts = all_texts if inside else own_texts
        parts = [text for text in texts if len(text) > 1 and not strict]
        known = own in texts or any([own.startswith(part) or own.endswith(part) for part in parts])
        if not known or (inside and inside not in programs and not set(inside.split(".")) <= programs):
            wrong.add(name)
    return wrong


def _said(reached: Iterable[Any]) -> tuple[set[str], set[str]]:
    """All texts in the code of these functions and programs, and the names of the programs."""
    texts: set[str] = set()
    programs: set[str] = set()
    for value in reached:
        if isinstance(value, FunctionType):
            defaults = *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()
            texts |= {*_constants(value.__code__), *[text for text in defaults if isinstance(text, str)]}
            if "examples" in names_in(value.__code__) or any([inner is examples for inner in closed_over(value)]):
                texts.add("examples")  # what their slot is called by itself
        else:
            programs.add(value.__name__)
            texts |= value.said
    return texts, programs


def _reached(value: Any, depth: int, seen: set[int], *, inside: bool = True) -> Iterator[Any]:
    """Functions and programs: what a program's function names, and so on. `seen` by their ids.

    inside  also other programs, and what these name
    """
    if _is_program(value):
        yield value
        value = value.function
    function = getattr(value, "__func__", value)
    if isinstance(function, FunctionType) and not _ours(function.__module__) and id(function) not in seen:
        seen.add(id(function))
        yield function
        names = set(names_in(function.__code__))
        homes = [getattr(value, "__self__", None), *closed_over(function)] if depth else []
        for inner in homes:
            for each in [inner, *_attributes(inner, names)]:
                if inside or not _is_program(each):
                    yield from _reached(each, depth - 1, seen, inside=inside)


def _attributes(home: Any, names: set[str]) -> list[Any]:
    """Of a module, or of an object's class: what the function may call of it."""
    if home is None or _ours(home.__name__ if isinstance(home, ModuleType) else type(home).__module__):
        return []
    home = home if isinstance(home, ModuleType) else type(home)
    found = [vars(home).get(name) for name in sorted(names)]
    return [value for value in found if isinstance(value, FunctionType) or _is_program(value)]


def _ours(module: str) -> bool:
    return module.partition(".")[0] == "lmprog"


def _is_program(value: Any) -> bool:
    return _ours(type(value).__module__) and hasattr(type(value), "with_")


def _constants(code: CodeType) -> Iterator[str]:
    for const in code.co_consts:
        if isinstance(const, str):
            yield const
        elif isinstance(const, CodeType):
            yield from _constants(const)


def found(program: Any, body: Body) -> tuple[dict[str, Slot], bool]:
    """The slots that the body asks for on any path, and whether those are all: every path is known to its end.

    What is asked of a text that holds a hole's value (f"{kind}" > "m") is not noticed, and the path that is taken then
    may be the wrong one. Those are all there only if the code spells those that were found.
    """
    spelt = False

    def path(answers: Sequence[int]) -> list[Item]:
        nonlocal spelt
        seen = preview(body, (), answers)
        spelt = spelt or seen.spelt
        return seen.items

    root, complete = explore_all(path)
    known = {name: _shown(slot) for name, slot in body.slots.items()}
    vague = spelt and (not known or bool(unsaid(program, known)))
    return known, complete and _whole(root) and not vague


def _whole(root: Node) -> bool:
    return all([not isinstance(node.item, End) or node.item.why == "return" for node in nodes(root)])


def _shown(slot: Slot) -> Slot:
    """Hole values, which a preview does not know, as ⟨…⟩."""
    values = [MARK.sub("⟨…⟩", text) if isinstance(text, str) else text for text in (slot.default, slot.value)]
    return replace(slot, default=values[0], value=values[1])


def refuse(program: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raises SlotError when there are any names."""
    if wrong := sorted(names):
        listed = ", ".join(map(repr, sorted(known))) or "none"
        raise SlotError(f"{program} has no slot {wrong[0]!r}; it has {listed}")
