"""Holes that a template cannot fill in their order, refused when it is compiled.

Jinja collects the output of some blocks before it goes on, and hands values to filters before they are written: a hole
there would have no place in the text, or its value would be asked for before there is one.
"""

from __future__ import annotations

from jinja2 import nodes

from ..errors import TemplateError
from .tags import HOLES

COLLECTED: dict[type[nodes.Node], tuple[str, str]] = {
    nodes.FilterBlock: ("a {% filter %} block", "fill it before, and use its value inside"),
    nodes.Macro: ("a {% macro %}", "put that part into a template of its own and {% include %} it"),
    nodes.CallBlock: ("a {% call %} block", "fill it before, and use its value inside"),
    nodes.AssignBlock: ("a {% set %} block", "fill it before, and use its value inside"),
}
FILL_FIRST = 'fill it first, {{ gen("x") }}, then use the value: '
ASKED: dict[type[nodes.Node], tuple[str, str]] = {
    nodes.Filter: ("a filter's input", FILL_FIRST + "{{ x | upper }}"),
    nodes.Test: ("a test", FILL_FIRST + "{% if x is even %}"),
    nodes.Compare: ("a comparison", FILL_FIRST + '{% if x == "yes" %}'),
    nodes.Concat: ("a string joined by ~", "write the text beside the hole"),
    nodes.BinExpr: ("an operator's operand", FILL_FIRST + "{{ x + 1 }}"),
    nodes.UnaryExpr: ("an operator's operand", FILL_FIRST + "{% if not x %}"),
    nodes.Getattr: ("an expression that asks for an attribute", FILL_FIRST + "{{ x.name }}"),
    nodes.Getitem: ("an expression that asks for an item", FILL_FIRST + "{{ x[0] }}"),
    nodes.Call: ("a call's arguments", FILL_FIRST + "{{ f(x) }}"),
}
CONDITION = ("a condition", FILL_FIRST + "{% if x %}")
RECURSIVE = ("a recursive loop", "include a template in its body instead")


def refuse(template: nodes.Template, name: str) -> None:
    """Raises TemplateError for holes and roles where their order cannot be kept, and for names that are taken."""
    stored = stored_names(template)
    _check(template, name, stored, None)


def stored_names(template: nodes.Template) -> set[str]:
    """The names that the template itself sets somewhere."""
    out = {node.name for node in template.find_all(nodes.Name) if node.ctx in ("store", "param")}
    out |= {node.name for node in template.find_all(nodes.Macro)}
    out |= {node.target for node in template.find_all(nodes.Import)}
    for node in template.find_all(nodes.FromImport):
        out |= {each if isinstance(each, str) else each[1] for each in node.names}
    return out


def _check(node: nodes.Node, name: str, stored: set[str], inside: tuple[str, str] | None) -> None:
    if (what := _special(node)) is not None:
        if inside is not None:
            raise TemplateError(f"{what} inside of {inside[0]}: {inside[1]}", name, node.lineno)
        _check_name(node, name, stored)
    for field, value in node.iter_fields():
        within = inside or _within(node, field)
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, nodes.Node):
                _check(child, name, stored, within)


def _within(node: nodes.Node, field: str) -> tuple[str, str] | None:
    """Why a hole cannot stand in this part of a node; None where it can."""
    if field == "test" and isinstance(node, nodes.If | nodes.CondExpr | nodes.For):
        return CONDITION
    if isinstance(node, nodes.For) and node.recursive and field == "body":
        return RECURSIVE
    return next((place for kind, place in (COLLECTED | ASKED).items() if isinstance(node, kind)), None)


def _special(node: nodes.Node) -> str | None:
    if not isinstance(node, nodes.Call):
        return None
    if isinstance(node.node, nodes.EnvironmentAttribute):
        return "a chat role" if node.node.name == "opened" else None
    if isinstance(node.node, nodes.Name) and node.node.name in HOLES:
        return f"{node.node.name}(...)"
    return None


def _check_name(node: nodes.Node, name: str, stored: set[str]) -> None:
    assert isinstance(node, nodes.Call)
    named = [*node.args[:1], *(kwarg.value for kwarg in node.kwargs if kwarg.key == "name")]
    for given in named:
        if isinstance(given, nodes.Const) and given.value in stored:
            raise TemplateError(
                f"the hole {given.value!r} has the name of a variable that the template sets: rename one of them",
                name,
                node.lineno,
            )
