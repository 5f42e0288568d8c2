"""Forms to expressions: the JSON texts, in one style, of all values that a schema allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from .errors import InvalidConstraint, UnsupportedConstraint
from .expr import EMPTY, Expr, Ref, alt, ref, text
from .json_arrays import Arrays
from .json_numbers import number_expr
from .json_objects import Objects
from .json_strings import Strings
from .json_text import Style
from .logic import Node
from .schema_forms import TYPES, AtLeastItems, Atom, Exactly, Form, Forms, Items, JsonType, Members, StringIn, Target

Order = Literal["schema", "any"]
MOST_DEPTH = 400


class Values:
    """Compiles Forms; recursion becomes recursive rules."""

    def __init__(
        self, forms: Forms, strings: Strings, target: Callable[[str], Form], style: Style, order: Order
    ) -> None:
        self.forms, self.strings, self.target, self.style = forms, strings, target, style
        self.arrays, self.objects = Arrays(self), Objects(self, order)
        self.depth = 0
        self._exprs: dict[int, Expr | None] = {}  # None: being compiled
        self._rules: dict[int, Ref] = {}
        self._expanded: dict[tuple[int, JsonType], Node] = {}
        self._following: list[tuple[str, JsonType]] = []
        self._impossible: dict[tuple[int, JsonType], bool] = {}

    def expr(self, form: Form) -> Expr:
        """The texts of the values of `form`; `EMPTY` when it is plain that there are none."""
        form = self.expanded(form)
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
        found = alt(
            *[self.typed(kind, form.of(kind), form) for kind in TYPES if form.of(kind) is not self.forms.logic.false]
        )
        self.depth -= 1
        rule = self._rules.get(form.uid)
        return found if rule is None else rule.define(found)

    def typed(self, kind: JsonType, function: Node, form: Form) -> Expr:
        match kind:
            case "number":
                return number_expr(self.forms.logic, function, self.style.flexible)
            case "string":
                inside = self.strings.expr(function)
                return EMPTY if inside is EMPTY else self.style.string(inside)
            case "array":
                return self.arrays.expr(function)
            case "object":
                return self.objects.expr(function, [name for name in form.layout if isinstance(name, str)])
        return text(kind)

    # -- references and oneOf

    def expanded(self, form: Form) -> Form:
        functions = [self.expand(function, kind) for kind, function in zip(TYPES, form.functions, strict=True)]
        return self.forms.make(functions, self._names(form, frozenset()))

    def _names(self, form: Form, seen: frozenset[str]) -> list[str]:
        out: list[str] = []
        for name in form.layout:
            if isinstance(name, str):
                out.append(name)
            elif name.uri not in seen:
                out += self._names(self.target(name.uri), seen | {name.uri})
        return out

    def expand(self, function: Node, kind: JsonType) -> Node:
        """`function` without references and `oneOf`s."""
        key = (function.uid, kind)
        found = self._expanded.get(key)
        if found is None:
            found = self.forms.logic.replace(function, lambda atom: self._meaning(atom, kind))
            self._expanded[key] = found
        return found

    def _meaning(self, atom: Atom, kind: JsonType) -> Node | None:
        match atom:
            case Target(uri):
                return self._follow(uri, kind)
            case Exactly(parts):
                return self._exactly([self.expand(part.of(kind), kind) for part in parts], kind)
        return None

    def _follow(self, uri: str, kind: JsonType) -> Node:
        if (uri, kind) in self._following:
            raise InvalidConstraint("$ref leads back to itself without describing a value", uri)
        self._following.append((uri, kind))
        found = self.expand(self.target(uri).of(kind), kind)
        self._following.pop()
        return found

    def _exactly(self, functions: list[Node], kind: JsonType) -> Node:
        logic, parts = self.forms.logic, []
        for i, function in enumerate(functions):
            others = [f for j, f in enumerate(functions) if j != i and self._overlap(function, f, kind)]
            parts.append(logic.conj([function, *map(logic.negate, others)]))
        return logic.disj(parts)

    def _overlap(self, a: Node, b: Node, kind: JsonType) -> bool:
        return not self.impossible(self.forms.logic.conj([a, b]), kind)

    # -- what is plainly empty

    def impossible(self, function: Node, kind: JsonType, depth: int = 3) -> bool:
        """True only if no value of a type meets an expanded `function`; looks `depth` levels into containers."""
        logic = self.forms.logic
        if function is logic.false or function is logic.true or kind in ("null", "true", "false"):
            return function is logic.false
        key = (function.uid, kind)
        if key not in self._impossible:
            found = self._is_impossible(function, kind, depth)
            if depth < 3 and not found:  # a deeper look may tell more
                return False
            self._impossible[key] = found
        return self._impossible[key]

    def _is_impossible(self, function: Node, kind: JsonType, depth: int) -> bool:
        logic = self.forms.logic
        if kind in ("number", "string"):
            compiled = self.strings.expr if kind == "string" else lambda f: number_expr(logic, f, flexible=False)
            return compiled(function) is EMPTY
        cubes = logic.cover(function, 64) if depth else None
        test = self._array_cube if kind == "array" else self._object_cube
        return cubes is not None and all([test(cube, depth - 1) for cube in cubes])

    def impossible_form(self, form: Form, depth: int = 3) -> bool:
        return all([self.impossible(self.expand(form.of(kind), kind), kind, depth) for kind in TYPES])

    def _array_cube(self, cube: dict[Atom, bool], depth: int) -> bool:
        sizes = [
            (atom.count, value) for atom, value in cube.items() if isinstance(atom, AtLeastItems) and atom.form is None
        ]
        least = max([count for count, value in sizes if value], default=0)
        if any(count <= least for count, value in sizes if not value):
            return True
        items = [atom for atom, value in cube.items() if isinstance(atom, Items) and value]
        for i in {atom.start for atom in items if atom.start < least}:
            forms = [a.form for a in items if a.start <= i and (a.stop is None or i < a.stop)]
            if self.impossible_form(self.forms.all_of(forms), depth):
                return True
        return False

    def _object_cube(self, cube: dict[Atom, bool], depth: int) -> bool:
        """Whether a member that must be there cannot be."""
        for atom, value in cube.items():
            name = single_key(atom)
            if name is not None and not value:
                assert isinstance(atom, Members)
                forms = [a.form for a, v in cube.items() if v and isinstance(a, Members) and self.concerns(a, name)]
                if self.impossible_form(self.forms.all_of([self.forms.negate(atom.form), *forms]), depth):
                    return True
        return False

    def concerns(self, atom: Members, name: str) -> bool:
        """Whether an assertion speaks of the members of a given name."""
        keys = self.expand(atom.keys, "string")
        return self.forms.logic.holds(keys, lambda a: self.strings.holds(a, name))


def single_key(atom: Atom) -> str | None:
    """The key that an assertion is about, if it is about one only."""
    if isinstance(atom, Members) and isinstance(atom.keys.atom, StringIn) and len(atom.keys.atom.words) == 1:
        _, high, low = atom.keys.branches()
        if high.atom is None and low.atom is None and high.uid > low.uid:
            return atom.keys.atom.words[0]
    return None
