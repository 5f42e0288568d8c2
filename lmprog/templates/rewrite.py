"""How a parsed template is changed before Jinja compiles it.

Names     Jinja looks up names when a block begins; captures come later. So names that the template does not set itself
          are looked up where they stand.
Follow    A hole needs to know what text comes after it. What certainly comes is written beside the expression.
super()   Its text would be collected first; it is run in its place instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Any, cast

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from .refusals import stored_names

KEPT = {"loop", "self", "super", "caller", "varargs", "kwargs"}  # Jinja's own


def rewrite(template: nodes.Template) -> None:
    _follow(template.body, "", False)
    _Names(stored_names(template) | KEPT).visit(template)


class _Names(NodeTransformer):
    def __init__(self, known: set[str]) -> None:
        self.known = known

    def visit_Name(self, node: nodes.Name) -> nodes.Node:
        if node.ctx != "load" or node.name in self.known:
            return node
        return _call("look_up", nodes.ContextReference(), nodes.Const(node.name), line=node.lineno)


def _follow(body: list[nodes.Node], after: str, looped: bool) -> None:
    """`after`: the text that certainly comes after `body`."""
    for i, node in enumerate(body):
        rest = _text(body[i + 1 :], after)
        if isinstance(node, nodes.Output):
            node.nodes = [_part(node.nodes, k, rest, looped) for k in range(len(node.nodes))]
            continue
        rest = rest if isinstance(node, nodes.If | nodes.With | nodes.Scope) else ""
        for inner in _bodies(node):
            _follow(inner, rest, looped or isinstance(node, nodes.For))


def _bodies(node: nodes.Node) -> Iterator[list[nodes.Node]]:
    """The lists of statements of which one is run."""
    for field, value in node.iter_fields():
        if field == "elif_":
            yield from [[each] for each in value]
        elif isinstance(value, list) and value and isinstance(value[0], nodes.Stmt):
            yield value


def _part(siblings: list[nodes.Expr], k: int, rest: str, looped: bool) -> nodes.Expr:
    node = siblings[k]
    if isinstance(node, nodes.TemplateData):
        return node
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.EnvironmentAttribute):
        return node
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "super":
        return _call("inner", node.node, line=node.lineno)
    follow = _data(siblings[k + 1 :])
    if all(isinstance(n, nodes.TemplateData) for n in siblings[k + 1 :]):
        follow += rest
    if not (follow or looped) or isinstance(node, nodes.Const):
        return node
    return _call("part", node, nodes.Const(follow), nodes.Const(looped), line=node.lineno)


def _text(body: list[nodes.Node], after: str) -> str:
    """The text that `body` and what comes after it certainly begin with."""
    out = ""
    for node in body:
        if isinstance(node, nodes.Output):
            out += _data(node.nodes)
            if not all(isinstance(n, nodes.TemplateData) for n in node.nodes):
                return out
        elif not isinstance(node, nodes.Assign):
            return out
    return out + after


def _data(siblings: list[nodes.Expr]) -> str:
    return "".join([cast(Any, n).data for n in takewhile(lambda n: isinstance(n, nodes.TemplateData), siblings)])


def _call(method: str, *args: nodes.Expr, line: int) -> nodes.Call:
    call = nodes.Call(nodes.EnvironmentAttribute(method), list(args), [], None, None)
    call.set_lineno(line)
    return call
