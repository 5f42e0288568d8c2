"""Arguments to look at a program with: those that are given, or stand-ins for those that are not.

A text that the program only appends can be any text. Two sets of stand-ins differ in all their texts, so that what is
the same for both is the program's own.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from ..programs import Program
from ..templates import Template

TEXTS = (("Quartz vow", "pale fjord", "sixth gum"), ("Judge my fox", "black imp", "humid wren"))
NUMBERS = {bool: (True, False), int: (2, 3), float: (2.5, 3.5)}
LISTS = (list, Sequence, tuple, set)


class Anything(dict[Any, Any]):
    """A dict that has `value` under every key that is asked for."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def __missing__(self, key: Any) -> Any:
        return self.value

    def get(self, key: Any, default: Any = None) -> Any:
        return self.value


class Unknown(Exception):
    """There is no stand-in for a parameter's type."""


def stand_ins(program: Program[..., Any], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Two sets of arguments; one where all are given or have defaults; none where nobody could know."""
    try:
        sets = [_template(program, given, n) if isinstance(program, Template) else _function(program, given, n)
                for n in (0, 1)]  # fmt: skip
    except Unknown:
        return []
    return sets if sets[0] != sets[1] else sets[:1]


def _function(program: Program[..., Any], given: Mapping[str, Any], n: int) -> dict[str, Any]:
    found = dict(given)
    hints = _hints(program.function)
    for parameter in [*inspect.signature(program.function).parameters.values()][1:]:
        plain = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if parameter.name not in given and parameter.default is parameter.empty and plain:
            found[parameter.name] = _value(hints.get(parameter.name, str), n)
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            raise Unknown
    return found


def _hints(function: Any) -> dict[str, Any]:
    try:
        return get_type_hints(getattr(function, "__func__", function))
    except Exception:  # whatever a name in an annotation comes to
        return dict.fromkeys(getattr(function, "__annotations__", ()), Any)


def _value(tp: Any, n: int, which: int = 0) -> Any:
    origin, inner = get_origin(tp), get_args(tp)
    if tp in (str, Any, inspect.Parameter.empty):
        return TEXTS[n][which]
    if tp in NUMBERS:
        return NUMBERS[tp][n]
    if origin is Annotated:
        return _value(inner[0], n, which)
    if origin is Literal:
        return inner[n % len(inner)]
    if origin in (Union, types.UnionType):
        return _value(next(one for one in inner if one is not type(None)), n, which)
    if isinstance(tp, type) and issubclass(tp, Enum):
        return [*tp][n % len(tp)]
    if (origin or tp) in (dict, Mapping):
        return Anything(_value(inner[1] if inner else str, n, which))
    if (origin or tp) in LISTS or getattr(origin, "__name__", "") in ("Sequence", "Iterable", "Collection"):
        return [_value(inner[0] if inner else str, n, i) for i in range(3)]
    raise Unknown


def _template(template: Template, given: Mapping[str, Any], n: int) -> dict[str, Any]:
    asked = {name: _value(list if looped else str, n) for name, looped in template.asks().items()}
    return {**asked, **given}
