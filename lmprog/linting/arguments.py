"""Arguments to look at a program with: those that are given, or stand-ins for those that are not.

A text that the program only appends can be any text. Two sets of stand-ins differ in all their texts, so that what is
the same for both is the program's own. Those of the second could be names in a grammar or of a key.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from ..programs import Program
from ..templates import Template

TEXTS = (("Quartz vow", "pale fjord", "sixth gum"), ("judge", "imp", "fox"))
PLAIN = {
    bool: (True, False),
    int: (2, 3),
    float: (2.5, 3.5),
    date: (date(2024, 5, 17), date(1999, 11, 30)),
    datetime: (datetime(2024, 5, 17, 9, 30), datetime(1999, 11, 30, 20, 15)),
}
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
    first, *parameters = inspect.signature(program.function).parameters.values()
    if first.name == "self":  # of no object
        raise Unknown
    for parameter in parameters:
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
    if tp in PLAIN:
        return PLAIN[tp][n]
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
    return _record(tp, n, which)


def _record(tp: Any, n: int, which: int) -> Any:
    """Of a class of named fields: a dataclass, a pydantic model, a NamedTuple, a TypedDict; nothing is validated."""
    model = hasattr(tp, "model_construct")
    if not (model or is_dataclass(tp) or is_typeddict(tp) or hasattr(tp, "_field_defaults")):
        raise Unknown
    try:
        hints = get_type_hints(tp)
        names = tp.model_fields if model else [f.name for f in fields(tp) if f.init] if is_dataclass(tp) else hints
        values = {name: _value(hints[name], n, (which + i) % 3) for i, name in enumerate(names)}
        made = tp.model_construct() if model else tp(**values)
        if model:
            vars(made).update(values)
        return made
    except (Exception, RecursionError):  # whatever a class makes of its fields; a class that holds itself
        raise Unknown from None


def _template(template: Template, given: Mapping[str, Any], n: int) -> dict[str, Any]:
    asked = {name: _value(list if looped else str, n) for name, looped in template.asks().items()}
    return {**asked, **given}
