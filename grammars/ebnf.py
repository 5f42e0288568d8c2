"""GBNF and the EBNF of xgrammar as grammars."""

from __future__ import annotations

from . import expr as x
from .cfg import Net, Nets, Symbol, Times
from .cfg_expr import DEEPEST, to_expr
from .components import components
from .derive import nullable
from .ebnf_parse import Alt, Chars, Name, Node, Parser, Repeat, Seq, Text
from .errors import InvalidConstraint
from .expr import EPS, Expr
from .grammar import Grammar


def gbnf(source: str, *, start: str = "root") -> Grammar:
    """The language of a llama.cpp grammar: `root ::= "a" [b-z]* (item "," ws){2,5} # comment`.

    Rules, strings, classes and `.`, escapes (`\\n`, `\\x41`, `\\u00e9`, `\\U0001f600`), groups, `*`, `+`, `?`, `{m}`,
    `{m,}`, `{m,n}` and comments; a rule ends where the next `name ::=` begins. Left recursion is allowed. Nothing is
    skipped between the parts: the language is that of the characters, as in llama.cpp and xgrammar.

    Raises `InvalidConstraint` with line and column for a broken grammar, `UnsupportedConstraint` for what depends on
    tokens and for look-ahead.

    >>> gbnf('root ::= root "+" num | num   num ::= [0-9]+').matches("1+22")
    True
    """
    parser = Parser(source)
    try:
        rules = parser.parse()
        return Grammar(_Builder(rules, parser, start).build())
    except RecursionError:
        raise InvalidConstraint("the grammar is nested too deeply") from None


def ebnf(source: str, *, start: str = "root") -> Grammar:
    """The language of a grammar in xgrammar's EBNF, which is the notation of `gbnf`."""
    return gbnf(source, start=start)


class _Builder:
    """Rules that no recursive rule takes part in become plain expressions, the others nets."""

    def __init__(self, rules: dict[str, Node], parser: Parser, start: str) -> None:
        self.rules, self.start = rules, start
        self._check(parser)
        self.nets: Nets = {}
        self.exprs: dict[str, Expr] = {}
        self.depth: dict[str, int] = {}

    def _check(self, parser: Parser) -> None:
        used = {name.value for node in self.rules.values() for name in _names(node)}
        unused = sorted(self.rules.keys() - used - {self.start})
        hint = f"; defined but never used: {', '.join(unused)}" if unused else ""
        if self.start not in self.rules:
            raise InvalidConstraint(f"the start rule {self.start!r} is not defined{hint}")
        for node in self.rules.values():
            for name in _names(node):
                if name.value not in self.rules:
                    message = f"the rule {name.value!r} is used but never defined{hint}"
                    raise parser.broken(message, name.at)

    def build(self) -> Expr:
        calls = {name: [n.value for n in _names(node)] for name, node in self.rules.items()}
        recursive: set[str] = set()
        for group in components([self.start], calls.__getitem__):
            for name in group:
                if len(group) > 1 or any(callee == name or callee in recursive for callee in calls[name]):
                    recursive.add(name)
                else:
                    self.exprs[name] = self.plain(name, calls[name])
        if self.start in self.exprs:
            return self.exprs[self.start]
        for name in recursive:
            net = self.nets[name] = Net()
            end = net.state()
            net.final.add(end)
            self.add(net, self.rules[name], 0, end)
        return to_expr(self.nets, self.start)

    def plain(self, name: str, calls: list[str]) -> Expr:
        body = self.expr(self.rules[name])
        self.depth[name] = 1 + max([self.depth[called] for called in calls], default=0)
        if self.depth[name] <= DEEPEST:
            return body
        self.depth[name] = 0
        return x.ref(name).define(body)

    def expr(self, node: Node) -> Expr:
        match node:
            case Text(value):
                return x.text(value)
            case Chars(ranges):
                return x.chars(ranges)
            case Name(value):
                return self.exprs[value]
            case Seq(parts):
                return x.concat(*map(self.expr, parts))
            case Alt(parts):
                return x.alt(*map(self.expr, parts))
            case Repeat(body, low, high):
                return x.repeat(self.expr(body), low, high)

    def add(self, net: Net, node: Node, start: int, end: int) -> None:
        """A path from `start` to `end` that reads `node`."""
        if all(name.value in self.exprs for name in _names(node)):
            self.add_terminal(net, self.expr(node), start, end)
            return
        match node:
            case Name(value):
                net.edge(start, value, end)
            case Seq(parts):
                for part in parts[:-1]:
                    between = net.state()
                    self.add(net, part, start, between)
                    start = between
                self.add(net, parts[-1], start, end)
            case Alt(parts):
                for part in parts:
                    self.add(net, part, start, end)
            case Repeat():
                self.add_repeat(net, node, start, end)

    def add_terminal(self, net: Net, e: Expr, start: int, end: int) -> None:
        if nullable(e):
            net.skip(start, end)
        if (some := _nonempty(e)) is not x.EMPTY:
            net.edge(start, some, end)

    def add_repeat(self, net: Net, node: Repeat, start: int, end: int) -> None:
        if node.low == 0:
            net.skip(start, end)
        if node.high == 1:
            self.add(net, node.body, start, end)
        elif node.high is None and node.low <= 1:
            first, last = net.state(), net.state()
            self.add(net, node.body, first, last)
            for before, after in ((start, first), (last, first), (last, end)):
                net.skip(before, after)
        elif node.high != 0:
            net.edge(start, Times(self.rule(node.body), node.low, node.high), end)

    def rule(self, node: Node) -> Symbol:
        if isinstance(node, Name):
            return node.value
        name = f"group {len(self.nets)}"
        net = self.nets[name] = Net()
        net.final.add(net.state())
        self.add(net, node, 0, 1)
        return name


def _names(node: Node) -> list[Name]:
    """The rules that a node calls, in order."""
    match node:
        case Name():
            return [node]
        case Seq(parts) | Alt(parts):
            return [name for part in parts for name in _names(part)]
        case Repeat(body):
            return _names(body)
    return []


def _nonempty(e: Expr) -> Expr:
    """The texts of a regular expression but the empty one."""
    if not nullable(e):
        return e
    match e.kind:
        case x.Kind.ALT:
            return x.alt(*map(_nonempty, e.args))
        case x.Kind.CAT:
            head, tail = e.args
            return x.alt(x.concat(_nonempty(head), tail), _nonempty(tail))
        case x.Kind.REF:
            assert isinstance(e, x.Ref)
            return x.ref(e.name).define(_nonempty(e.resolved()))
        case x.Kind.REPEAT if not nullable(e.args[0]):
            return x.repeat(e.args[0], 1, None if e.args[2] < 0 else e.args[2])
    return x.EMPTY if e is EPS else x.both(e, x.complement(EPS))
