"""What programs have to do with their slots: they are found, given values, and kept in files."""

from __future__ import annotations

import copy
import inspect
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from .errors import SlotError
from .options import CALL
from .replay import Body
from .slot_files import read, write
from .slot_frames import Frame, frame_of
from .slot_names import found, refuse, unsaid
from .slot_values import Value, checked
from .slots import Slot


class Slotted:
    """The part of a program that is about slots.

    said   texts that may be names of slots, beside those in the function's code
    """

    __name__: str
    function: Callable[..., Any]
    said: frozenset[str] = frozenset()
    _values: Mapping[str, Value] = MappingProxyType({})
    _unsaid: frozenset[str] = frozenset()  # of their names, those that the code may not have

    @property
    def values(self) -> Mapping[str, Any]:
        """The values of slots that `with_` gave."""
        return MappingProxyType(copy.deepcopy(dict(self._values)))

    def with_(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> Self:
        """The same program with other values in its slots, by their names: texts, and lists of dicts for examples.

        Slots of a program called inside are "inner.instruction", in a mapping. None takes a value back. Values are
        copied, and none of them changes the program itself.

        Raises SlotError for what is neither a text nor examples. That a program has no such slot is found before it
        runs, where its code tells, and otherwise when it has run.
        """
        if values is not None and not isinstance(values, Mapping):
            raise SlotError(f"with_ takes values by the names of slots, not {values!r:.60}")
        given = {**self._values, **{str(name): value for name, value in {**(values or {}), **more}.items()}}
        changed = copy.copy(self)
        changed._values = {name: checked(name, value) for name, value in given.items() if value is not None}
        changed._unsaid = frozenset(unsaid(self, changed._values))
        return changed

    def save(self, path: str | Path) -> None:
        """Write the values that `with_` gave to a .toml or .json file, for `load`; see `lmprog.slot_files`.

        The file is there as a whole or as it was. Raises SlotError for values that the format cannot say, OSError.
        """
        write(path, self.__name__, self._values)

    def load(self, path: str | Path) -> Self:
        """As `with_`, with the values in a file, .toml or .json.

        Raises SlotError for what is no file of slots, and for slots that the program's code does not have; OSError.
        """
        values = read(path).values
        for name in sorted(unsaid(self, values, strict=False)):
            own = name.rpartition(".")[2]
            raise SlotError(
                f"{path}: {self.__name__} has no slot {name!r}: take it out of the file, or ask for it in the program, "
                f'as in p(lp.slot("{own}", "..."))'
            )
        return self.with_(values)

    def slots(self, *args: Any, **kwargs: Any) -> dict[str, Slot]:
        """The slots that a run with these arguments may ask for, by name; needs no model.

        Found on all paths through the program, as far as they can be known without a model, in the order in which they
        are asked for.
        """
        known, complete = found(self, self._bound(args, kwargs))
        if complete:
            self._refuse_others(known)
        return known

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Body:
        """Raises TypeError, as a call does, for arguments that are none of the function's."""
        own = {name: value for name, value in kwargs.items() if name not in CALL}
        inspect.signature(self.function).bind(None, *args, **own)
        return self.body(args, own)

    def body(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Body:
        """Its function with these arguments, inside of which its slots have their values."""
        return Body(self.function, args, kwargs, self._frame())

    def _frame(self, *, root: bool = True) -> Frame:
        return frame_of(self.__name__, self.function, self._values, root=root)

    def _check_slots(self, body: Body) -> None:
        """Raises SlotError when it was given values of slots that it certainly does not have."""
        if self._unsaid:
            known, complete = found(self, body)
            if complete:
                self._refuse_others(known)

    def _refuse_others(self, known: Mapping[str, Slot]) -> None:
        """Raises SlotError when it was given values of other slots than these."""
        refuse(self.__name__, self._unsaid - known.keys(), known)

    def _changed(self) -> str:
        """What `with_` changed, in a few words."""
        return "".join([f", {name}={reprlib.repr(value)}" for name, value in self._values.items()])
