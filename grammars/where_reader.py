"""The syntax of where-expressions: from Python's own parse tree to conditions."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from .errors import InvalidConstraint, UnsupportedConstraint
from .expr import options, text
from .regex import PLAIN, search, whole
from .where_classes import METHODS, is_method
from .where_counts import LENGTH, Numbers, Quantity
from .where_machines import ALWAYS, Condition, before, condition, contains, ends_with, starts_with
from .where_numbers import compared
from .where_subjects import Subject
from .where_terms import LARGEST, Amount, Number, Numeral, Term, Terms

OPERATORS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


@dataclass(frozen=True, slots=True)
class Sized:
    """An amount is among `numbers`."""

    amount: Amount
    numbers: Numbers

    def __invert__(self) -> Sized:
        return Sized(self.amount, ~self.numbers)

    @property
    def settled(self) -> Condition:
        return self.amount.subject.lift(self.amount.quantity.within(self.numbers))


Piece = Condition | Sized


class Reader(Terms):
    """Conditions of one expression."""

    def conjuncts(self) -> list[ast.expr]:
        """The parts that must all be true."""
        return list(_flat(self.tree, ast.And))

    def condition(self, node: ast.expr) -> Condition:
        piece = self.piece(node)
        return piece.settled if isinstance(piece, Sized) else piece

    def piece(self, node: ast.expr) -> Piece:
        match node:
            case ast.BoolOp(op):
                parts = [self.piece(n) for n in _flat(node, type(op))]
                return _joined(parts, operator.and_ if isinstance(op, ast.And) else operator.or_)
            case ast.UnaryOp(ast.Not(), body):
                return ~self.piece(body)
            case ast.IfExp(test, then, other):
                decides = self.condition(test)
                return (decides & self.condition(then)) | (~decides & self.condition(other))
            case ast.Compare(left, ops, rights):
                steps = zip([left, *rights], ops, rights, strict=False)
                return _joined([self.comparison(node, a, op, b) for a, op, b in steps], operator.and_)
            case ast.Constant(bool(value)):
                return ALWAYS if value else ~ALWAYS
        return self.test(node) or self.truth(node)

    def truth(self, node: ast.expr) -> Piece:
        """Texts are true unless empty, amounts unless 0."""
        found = self.term(node)
        if isinstance(found, Subject):
            found = Amount(found, LENGTH)
        if isinstance(found, Amount):
            return Sized(found, Numbers.between(1, None))
        raise self.unsupported(node)

    def test(self, node: ast.expr) -> Condition | None:
        """A call that is a condition by itself; None when it is none."""
        match node:
            case ast.Call(ast.Name("startswith" | "endswith" as method), [value, affixes], []):
                return self.affix(self.subject(value), method, affixes)
            case ast.Call(ast.Attribute(value, "startswith" | "endswith" as method), [affixes], []):
                return self.affix(self.subject(value), method, affixes)
            case ast.Call(ast.Name("matches" | "search" as method), [value, pattern], []):
                return self.pattern(self.subject(value), method, pattern)
            case ast.Call(ast.Attribute(value, method), [], []) if method in METHODS:
                return self.subject(value).lift(is_method(method))
        return None

    def affix(self, subject: Subject, method: str, node: ast.expr) -> Condition:
        given = self.constant(node)
        words = _texts([given] if isinstance(given, str) else given)
        if words is None:
            raise self.wrong(node, f"{method} takes a text, or several in parentheses")
        known = starts_with if method == "startswith" else ends_with
        return subject.lift(reduce(operator.or_, [known(word) if word else ALWAYS for word in words], ~ALWAYS))

    def pattern(self, subject: Subject, method: str, node: ast.expr) -> Condition:
        pattern = self.constant(node)
        if not isinstance(pattern, str):
            raise self.wrong(node, f"{method} takes a regex in a text")
        try:
            compiled = whole if method == "matches" else search
            return subject.lift(condition(compiled(pattern, "python", PLAIN)))
        except (InvalidConstraint, UnsupportedConstraint) as error:
            raise type(error)(f"in the regex {pattern!r}: {error}", self.place(node)) from None

    # -- comparisons

    def comparison(self, node: ast.expr, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Piece:
        a, b = self.term(left), self.term(right)
        found: Piece | None = None
        if isinstance(op, ast.In | ast.NotIn):
            found = self.membership(node, a, b)
            found = ~found if found is not None and isinstance(op, ast.NotIn) else found
        elif type(op) in OPERATORS:
            sign = OPERATORS[type(op)]
            found = self.compared(node, a, sign, b) or self.compared(node, b, FLIPPED[sign], a)
        if found is None:
            raise self.mismatch(node, a, b)
        return found

    def compared(self, node: ast.expr, a: Term, sign: str, b: Term) -> Piece | None:
        match a, b:
            case Amount(), int() | float():
                return Sized(a, self.numbers(node, sign, b))
            case Numeral(subject, kind), int() | float():
                return subject.lift(compared(kind, sign, b))
            case Subject(), str():
                return a.lift(_ordered(sign, b))
        return None

    def numbers(self, node: ast.expr, sign: str, bound: Number) -> Numbers:
        if abs(bound) > LARGEST:
            raise UnsupportedConstraint(f"counts end at {LARGEST:,}", self.place(node))
        return Numbers.compared(sign, bound)

    def membership(self, node: ast.expr, a: Term, b: Term) -> Piece | None:
        match a, b:
            case str(), Subject():
                return b.lift(contains(a) if a else ALWAYS)
            case Subject(), str():
                return a.lift(condition(options({b[i:j] for i in range(len(b)) for j in range(i, len(b) + 1)} | {""})))
            case Subject(), list() if (words := _texts(b)) is not None:
                return a.lift(condition(options(words)))
            case Amount(), range(start=start, stop=stop):
                return Sized(a, Numbers.between(start, stop - 1))
            case Numeral(subject, kind), range(start=start, stop=stop):
                return subject.lift(compared(kind, ">=", start) & compared(kind, "<", stop))
            case Amount(), list() if (numbers := _numbers(b)) is not None:
                sets = [self.numbers(node, "==", n) for n in numbers]
                return Sized(a, reduce(operator.or_, sets, Numbers(())))
            case Numeral(subject, kind), list() if (numbers := _numbers(b)) is not None:
                return subject.lift(reduce(operator.or_, [compared(kind, "==", n) for n in numbers], ~ALWAYS))
        return None

    def mismatch(self, node: ast.expr, a: Term, b: Term) -> Exception:
        spoken = [isinstance(term, Subject | Amount | Numeral) for term in (a, b)]
        if not any(spoken):
            return self.wrong(node, f"this says nothing about {self.name!r}")
        if all(spoken) or (
            isinstance(node, ast.Compare) and not {*map(type, node.ops)} <= {*OPERATORS, ast.In, ast.NotIn}
        ):
            return self.unsupported(node)
        return self.wrong(node, "texts are compared with texts; len(), int() and the like are compared with numbers")


def _texts(items: object) -> list[str] | None:
    return items if isinstance(items, list) and all(isinstance(item, str) for item in items) else None


def _numbers(items: list[Any]) -> list[Number] | None:
    return None if any(isinstance(item, str) for item in items) else items


def _flat(node: ast.expr, op: type[ast.boolop]) -> Iterator[ast.expr]:
    if isinstance(node, ast.BoolOp) and isinstance(node.op, op):
        for value in node.values:
            yield from _flat(value, op)
    else:
        yield node


def _joined(pieces: Sequence[Piece], op: Callable[[Any, Any], Any]) -> Piece:
    """`and` or `or`; what is said about one amount is joined as sets of numbers."""
    sizes: dict[tuple[str, Quantity], Sized] = {}
    rest: list[Condition] = []
    for piece in pieces:
        if isinstance(piece, Condition):
            rest.append(piece)
        else:
            key = piece.amount.subject.source, piece.amount.quantity
            known = sizes.get(key)
            sizes[key] = Sized(piece.amount, op(known.numbers, piece.numbers)) if known else piece
    if not rest and len(sizes) == 1:
        return next(iter(sizes.values()))
    found: Condition = reduce(op, [*[size.settled for size in sizes.values()], *rest])
    return found


def _ordered(sign: str, bound: str) -> Condition:
    same = condition(text(bound))
    less = before(bound) if bound else ~ALWAYS
    return {"==": same, "!=": ~same, "<": less, "<=": less | same, ">": ~less & ~same, ">=": ~less}[sign]
