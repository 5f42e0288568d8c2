"""One step through a container: which values an item or member may have, and what is then left to be met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .logic import Node
from .schema_forms import Form

if TYPE_CHECKING:
    from .json_values import Values

Moves = list[tuple[Form, Node]]
Step = Callable[[Node], Node]


@dataclass(frozen=True, slots=True)
class Choice:
    """A Form that matters for the value: how the function of assertions changes if the value has it, and if not."""

    form: Form
    yes: Step
    no: Step


def explore(values: Values, function: Node, choices: Sequence[Choice], after: Step) -> Moves:
    """Values sorted by what they leave of `function`: disjoint Forms, each with what `after` makes of the rest."""
    logic, forms = values.forms.logic, values.forms
    found: dict[int, tuple[Node, list[Form]]] = {}

    def go(left: Node, i: int, form: Form) -> None:
        if left is logic.false:
            return
        if i == len(choices):
            rest = after(left)
            if rest is not logic.false:
                found.setdefault(rest.uid, (rest, []))[1].append(form)
            return
        yes, no = choices[i].yes(left), choices[i].no(left)
        if yes is no:
            go(yes, i + 1, form)
            return
        branching = yes is not logic.false and no is not logic.false
        for side, wanted in ((yes, True), (no, False)):
            if side is logic.false:
                continue
            narrowed = forms.all_of([form, choices[i].form if wanted else forms.negate(choices[i].form)])
            if not (branching and values.meaning.impossible_form(narrowed)):
                go(side, i + 1, narrowed)

    go(function, 0, forms.anything)
    return [(forms.any_of(parts), rest) for rest, parts in found.values()]
