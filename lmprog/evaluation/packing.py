"""Runs as bytes. Values come back as what they were, of the user's classes too; nothing else than values can.

Reading a pickle can call anything that it names. Here it can name plain types, dataclasses, named tuples, enumerations
and pydantic models, of modules that are loaded already.
"""

from __future__ import annotations

import dataclasses
import enum
import io
import pickle
import sys
from typing import Any

from ..run import Run

PLAIN = {
    "builtins": {"bytearray", "complex", "frozenset", "range", "set", "slice"},
    "collections": {"Counter", "OrderedDict", "deque"},
    "copyreg": {"_reconstructor"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "lmprog.run": {"Captures"},
    "lmprog.slots": {"SlotText"},
    "uuid": {"UUID"},
}


Done = tuple[Run[Any], list[bool]]  # a run, and which of its calls of tools ran without an exception


def pack(done: Done) -> bytes:
    """Raises ValueError for a run that `unpack` would not give back."""
    try:
        data = pickle.dumps(done, protocol=5)
        unpack(data)
    except Exception as error:  # whatever a value's class raises
        raise ValueError(f"{type(error).__name__}: {error}") from None
    return data


def unpack(data: bytes) -> Done:
    """Raises whatever is wrong with the data."""
    run, calls = _Values(io.BytesIO(data)).load()
    if not isinstance(run, Run) or not isinstance(calls, list):
        raise TypeError("it is no run")
    return run, calls


class _Values(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if name in PLAIN.get(module, ()) or (isinstance(found, type) and _is_value(found)):
            return found
        raise pickle.UnpicklingError(f"{module}.{name} is no type of values")


def _is_value(kind: type) -> bool:
    from pydantic import BaseModel

    named = issubclass(kind, tuple) and hasattr(kind, "_fields")
    return dataclasses.is_dataclass(kind) or named or issubclass(kind, enum.Enum | BaseModel)
