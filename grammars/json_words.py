"""How many values a Form has at least, and how long their texts are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from .derive import solve
from .distinct import shortest
from .errors import UnsupportedConstraint
from .expr import INF
from .json_equal import Value, read
from .schema_forms import TYPES, Form

if TYPE_CHECKING:
    from .json_values import Values

SPELLINGS = 20  # texts that are read for one more value, on average


class Words:
    def __init__(self, values: Values) -> None:
        self.values = values
        self._lengths: dict[int, list[int]] = {}
        self._seen: dict[int, set[Value]] = {}
        self._texts: dict[int, Iterator[bytes]] = {}

    def length(self, form: Form, n: int) -> int:
        """The length of the n-th shortest text, from 0 and counting one for each value; INF when there are not known
        to be so many."""
        lengths = self._lengths.setdefault(form.uid, [])
        if len(lengths) <= n and form.uid not in self._texts:
            expr = self.values.expr(form)
            solve(expr)
            self._texts[form.uid], self._seen[form.uid] = shortest(expr), set()
        try:
            for text in islice(self._texts.get(form.uid, iter(())), 0 if n < len(lengths) else SPELLINGS * (n + 1)):
                value = read(text)
                if value not in self._seen[form.uid]:
                    self._seen[form.uid].add(value)
                    lengths.append(len(text))
                    if len(lengths) > n:
                        break
        except UnsupportedConstraint:  # it takes too long to find the next one
            self._texts[form.uid] = iter(())
        return lengths[n] if n < len(lengths) else INF

    def strings_only(self, form: Form) -> bool:
        false = self.values.forms.logic.false
        return all([form.of(kind) is false for kind in TYPES if kind != "string"])
