"""The tags of prompts: `{% gen "name", regex="…" %}`, and `{% user %}…{% enduser %}` for the messages of a chat."""

from __future__ import annotations

from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

HOLES = ("gen", "select", "quote")
ROLES = ("system", "user", "assistant", "tool")


class HoleTags(Extension):
    """`{% gen ARGUMENTS %}` means `{{ gen(ARGUMENTS) }}`."""

    tags = set(HOLES)  # noqa: RUF012  # as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        tag = next(parser.stream)
        args, kwargs = _call(parser) if parser.stream.current.type == "lparen" else _bare(parser)
        hole = nodes.Call(nodes.Name(tag.value, "load"), args, kwargs, None, None)
        return nodes.Output([hole]).set_lineno(tag.lineno)


class RoleTags(Extension):
    """A message. White space at its edges is not part of it."""

    tags = set(ROLES)  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        tag = next(parser.stream)
        role: list[nodes.Expr] = [nodes.Const(tag.value)]
        if tag.value == "tool" and parser.stream.current.type != "block_end":
            role.append(parser.parse_expression())
        body = parser.parse_statements((f"name:end{tag.value}",), drop_needle=True)
        _trim(body)
        return [_marker("opened", role, tag.lineno), *body, _marker("closed", [], tag.lineno)]


def _marker(name: str, args: list[nodes.Expr], line: int) -> nodes.Node:
    call = nodes.Call(nodes.EnvironmentAttribute(name), args, [], None, None)
    return nodes.Output([call]).set_lineno(line)


def _call(parser: Parser) -> tuple[list[nodes.Expr], list[nodes.Keyword]]:
    call = parser.parse_call(nodes.Const(None))
    assert isinstance(call, nodes.Call)
    return call.args, call.kwargs


def _bare(parser: Parser) -> tuple[list[nodes.Expr], list[nodes.Keyword]]:
    args: list[nodes.Expr] = []
    kwargs: list[nodes.Keyword] = []
    while parser.stream.current.type != "block_end":
        if args or kwargs:
            parser.stream.expect("comma")
        if parser.stream.current.type == "name" and parser.stream.look().type == "assign":
            key = next(parser.stream)
            next(parser.stream)
            kwargs.append(nodes.Keyword(key.value, parser.parse_expression(), lineno=key.lineno))
        elif kwargs:
            parser.fail("a positional argument comes after one by name")
        else:
            args.append(parser.parse_expression())
    return args, kwargs


def _trim(body: list[nodes.Node]) -> None:
    for node, at in ((body[0], 0), (body[-1], -1)) if body else ():
        if isinstance(node, nodes.Output) and node.nodes and isinstance(data := node.nodes[at], nodes.TemplateData):
            data.data = data.data.rstrip() if at else data.data.lstrip()
