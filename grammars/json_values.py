"""Forms to expressions: the JSON texts, in one style, of all values that a schema allows."""

from __future__ import annotations

from typing import Literal

from .errors import UnsupportedConstraint
from .expr import EMPTY, Expr, Ref, alt, ref, text
from .json_arrays import Arrays
from .json_numbers import number_expr
from .json_objects import Objects
from .json_text import Style
from .logic import Node
from .schema_forms import TYPES, Form, JsonType
from .schema_meaning import Meaning

Order = Literal["schema", "any"]
MOST_DEPTH = 400


class Values:
    """Compiles Forms; recursion becomes recursive rules."""

    def __init__(self, meaning: Meaning, style: Style, order: Order) -> None:
        self.meaning, self.forms, self.strings, self.style = meaning, meaning.forms, meaning.strings, style
        self.arrays, self.objects = Arrays(self), Objects(self, order)
        self.depth = self.links = 0
        self._exprs: dict[int, Expr | None] = {}  # None: being compiled
        self._rules: dict[int, Ref] = {}

    def expr(self, form: Form) -> Expr:
        """The texts of the values of `form`; `EMPTY` when it is plain that there are none."""
        form = self.meaning.resolved(form)
        if form.uid not in self._exprs:
            self._exprs[form.uid] = None
            self._exprs[form.uid] = self._compiled(form)
        found = self._exprs[form.uid]
        if found is None:
            found = self._rules.setdefault(form.uid, ref("value"))
        return found

    def _compiled(self, form: Form) -> Expr:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise UnsupportedConstraint(f"values nested more than {MOST_DEPTH} deep are not supported")
        false = self.forms.logic.false
        found = alt(*[self.typed(kind, form.of(kind)) for kind in TYPES if form.of(kind) is not false])
        self.depth -= 1
        rule = self._rules.get(form.uid)
        return found if rule is None else rule.define(found)

    def typed(self, kind: JsonType, function: Node) -> Expr:
        """The texts of one type."""
        match kind:
            case "array":
                return alt(*map(self.arrays.expr, self.meaning.cases(function, kind)))
            case "object":
                return alt(*map(self.objects.expr, self.meaning.cases(function, kind)))
        function = self.meaning.expand(function, kind)
        match kind:
            case "number":
                return number_expr(self.forms.logic, function, self.style.flexible)
            case "string":
                inside = self.strings.expr(function)
                return EMPTY if inside is EMPTY else self.style.string(inside)
        return EMPTY if function is self.forms.logic.false else text(kind)
