"""LM40 to LM42: conditions that could be masks, borders, settings of decoders."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from types import FunctionType

from ..decoders import Argmax
from ..errors import ConstraintError, SamplingError
from ..holes import Hole
from ..languages import restricted
from ..plan import Role
from .findings import Finding
from .source import Function
from .subject import Subject, called
from .survey import Step, source

CALLS = {"len"}  # functions that mean the same in a `where` as in Python
METHODS = {"startswith", "endswith", "count", "strip", "isdigit", "isalpha", "isalnum", "isupper", "islower", "isspace"}


def conditions_in_python(subject: Subject) -> Iterator[Finding]:
    for _, _, step in subject.holes():
        hole = step.hole
        assert hole is not None
        if hole.check is not None and (condition := _as_where(hole)) is not None:
            yield subject.finding(
                "LM40",
                step.site,
                f"the condition of {called(step)} is a function, which is only asked when a value is complete: values "
                "that fail are generated in vain",
                f"as a text it is part of the masks: where={condition!r}",
            )


def _as_where(hole: Hole) -> str | None:
    """The condition as a text, where it is one expression of what means the same there."""
    if not isinstance(hole.check, FunctionType) or hole.type is not str:
        return None
    code = hole.check.__code__
    expression = _expression(source(code.co_filename).function(code))
    if expression is None or code.co_argcount != 1 or code.co_freevars:
        return None
    known = _Renamed(code.co_varnames[0])
    text = ast.unparse(known.visit(ast.parse(ast.unparse(expression), mode="eval").body))
    if not known.plain:
        return None
    try:
        restricted(hole.grammar, text)
    except ConstraintError:
        return None
    return text


def _expression(function: Function | None) -> ast.expr | None:
    """What a function of a single expression returns."""
    if isinstance(function, ast.Lambda):
        return function.body
    if function is None:
        return None
    body = [node for node in function.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    return body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else None


class _Renamed(ast.NodeTransformer):
    """The parameter becomes `x`. `plain`: there is nothing else that could mean something else in a `where`."""

    def __init__(self, parameter: str) -> None:
        self.parameter, self.plain = parameter, True

    def visit_Name(self, node: ast.Name) -> ast.Name:
        self.plain &= node.id == self.parameter
        return ast.Name("x", node.ctx)

    def visit_Call(self, node: ast.Call) -> ast.Call:
        func = node.func
        if isinstance(func, ast.Name):
            self.plain &= func.id in CALLS
        elif isinstance(func, ast.Attribute) and func.attr in METHODS:
            func = ast.Attribute(self.visit(func.value), func.attr, func.ctx)
        else:
            self.plain = False
        return ast.Call(func, [self.visit(arg) for arg in node.args], node.keywords)

    def visit_Subscript(self, node: ast.Subscript) -> ast.Subscript:
        self.plain &= isinstance(node.slice, ast.Slice)  # an index that is not there: an exception here, false there
        self.generic_visit(node)
        return node


def space_before_hole(subject: Subject) -> Iterator[Finding]:
    for path, at, step in subject.holes():
        assert step.hole is not None
        boundary = step.hole.boundary or subject.program.options.boundary
        if boundary != "token" or not _ends_in_space([*path.steps[:at]]):
            continue
        if subject.vocab is not None and not subject.vocab.extendable(b" "):
            continue
        yield subject.finding(
            "LM41",
            step.site,
            f'the text before {called(step)} ends in a space, and boundary="token" keeps it as a token of its own: '
            "most models have words with the space before them as one token",
            'end the text before the space, and let the value begin with it; or leave out boundary="token"',
        )


def _ends_in_space(before: list[Step]) -> bool:
    step = before[-1] if before else None
    return step is not None and not isinstance(step.item, Role) and (step.text or "").endswith(" ")


def contradicting_settings(subject: Subject) -> Iterator[Finding]:
    for _, _, step in subject.holes():
        assert step.hole is not None
        settings = step.hole.settings
        if isinstance(settings.decoder, Argmax) and settings.temperature:
            yield subject.finding(
                "LM42",
                step.site,
                f"{called(step)} has decoder=Argmax() and temperature={settings.temperature}: the temperature counts, "
                "values are drawn",
                "leave out one of them",
            )
        try:
            replace(settings).over(step.decoder)
        except SamplingError as error:
            message, _, advice = str(error).partition(": ")
            message = f"{message} ({called(step)} is decoded by {settings.decoder or step.decoder})"
            yield subject.finding("LM42", step.site, message, advice or "leave it out")


RULES = (conditions_in_python, space_before_hole, contradicting_settings)
