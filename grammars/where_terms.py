"""The words of where-expressions: the value and its parts, amounts, numerals, constants."""

from __future__ import annotations

import ast
import math
import warnings
from dataclasses import dataclass

from . import where_subjects as subjects
from .errors import InvalidConstraint, UnsupportedConstraint
from .where_counts import LENGTH, SENTENCES, WORDS, Quantity, occurrences_of
from .where_subjects import Subject

KNOWN = "len, words, sentences, int, float, count, startswith, endswith, matches, search, strip, is…(), slices and in"
LARGEST = 10**9  # of what is counted
COUNTED = {"len": LENGTH, "words": WORDS, "sentences": SENTENCES}
STRIPS = {"strip": (True, True), "lstrip": (True, False), "rstrip": (False, True)}


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of something a part of the value has."""

    subject: Subject
    quantity: Quantity


@dataclass(frozen=True, slots=True)
class Numeral:
    """The number that a part of the value stands for; `kind` is "int" or "float"."""

    subject: Subject
    kind: str


Number = int | float
Constant = str | Number | range | list[str] | list[Number]
Term = Subject | Amount | Numeral | Constant


class Terms:
    """Of one expression, whose value is called `name`."""

    def __init__(self, expression: str, name: str) -> None:
        self.name = name
        self.skipped = len(expression) - len(expression.lstrip())
        self.lines = expression.strip().splitlines()
        self.tree = self._parsed(expression.strip())

    def _parsed(self, source: str) -> ast.expr:
        try:
            with warnings.catch_warnings():  # "\\d" in a pattern that is not raw
                warnings.simplefilter("ignore")
                return ast.parse(source, mode="eval").body
        except SyntaxError as error:
            column = (error.offset or 1) + (self.skipped if error.lineno == 1 else 0)
            raise InvalidConstraint(f"the where expression is broken: {error.msg}", f"column {column}") from None
        except ValueError as error:  # a null character
            raise InvalidConstraint(f"the where expression is broken: {error}") from None

    def term(self, node: ast.expr) -> Term:
        match node:
            case ast.Constant() | ast.UnaryOp() | ast.List() | ast.Tuple() | ast.Set():
                return self.constant(node)
            case ast.Call(ast.Name("range"), args, []) if 1 <= len(args) <= 3:
                return self.range_(node, args)
            case ast.Call(ast.Name("len"), [ast.Call(ast.Attribute(value, "split"), [], [])], []):
                return Amount(self.subject(value), WORDS)
            case ast.Call(ast.Name("len"), [ast.Call(ast.Name("words" | "sentences")) as counted], []):
                return self.term(counted)
            case ast.Call(ast.Name("len" | "words" | "sentences" as name), [value], []):
                return Amount(self.subject(value), COUNTED[name])
            case ast.Call(ast.Attribute(value, "count"), [needle], []):
                return Amount(self.subject(value), self.occurrences(needle))
            case ast.Call(ast.Name("int" | "float" as kind), [value], []):
                return Numeral(self.subject(value), kind)
        return self.subject(node)

    # -- the value and its parts

    def subject(self, node: ast.expr) -> Subject:
        source = ast.unparse(node)
        match node:
            case ast.Name(self.name):
                return subjects.whole(source)
            case ast.Name(other):
                raise self.wrong(node, f"there is no {other!r} here; the value is called {self.name!r}")
            case ast.Call(ast.Attribute(value, "strip" | "lstrip" | "rstrip" as method), [], []):
                return subjects.part(self.subject(value), source, subjects.stripped(*STRIPS[method]))
            case ast.Subscript(value, ast.Slice(low, high, None)):
                ends = [None if end is None else self.position(end) for end in (low, high)]
                return self.slice(node, self.subject(value), ends[0] or 0, ends[1])
            case ast.Subscript(value, index):
                return subjects.character(self.subject(value), source, self.position(index))
        raise self.unsupported(node)

    def slice(self, node: ast.expr, subject: Subject, start: int, stop: int | None) -> Subject:
        if start < 0 and stop is not None and stop >= 0:
            raise self.unsupported(node)
        source = ast.unparse(node)
        if start:
            subject = subjects.part(
                subject, source, subjects.without_first(start) if start > 0 else subjects.last(-start)
            )
        if stop is not None:
            kept = subjects.without_last(-stop) if stop < 0 else subjects.first(max(stop - start, 0))
            subject = subjects.part(subject, source, kept)
        return Subject(source, subject.lift)

    def position(self, node: ast.expr) -> int:
        number = self.constant(node)
        if not isinstance(number, int):
            raise self.wrong(node, "a position is a whole number")
        if abs(number) > LARGEST:
            raise UnsupportedConstraint(f"positions end at {LARGEST:,}", self.place(node))
        return number

    def occurrences(self, node: ast.expr) -> Quantity:
        needle = self.constant(node)
        if not isinstance(needle, str) or not needle:
            raise self.wrong(node, "count takes a text that is not empty")
        return occurrences_of(needle)

    # -- constants

    def range_(self, node: ast.expr, args: list[ast.expr]) -> range:
        found = range(*map(self.position, args))
        if found.step != 1:
            raise self.unsupported(node)
        return found

    def constant(self, node: ast.expr) -> Constant:
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return self.items([self.single(item) for item in node.elts], node)
        return self.single(node)

    def items(self, values: list[str | Number], node: ast.expr) -> list[str] | list[Number]:
        texts = [v for v in values if isinstance(v, str)]
        numbers = [v for v in values if not isinstance(v, str)]
        if texts and numbers:
            raise self.wrong(node, "these are texts and numbers at once")
        return texts or numbers

    def single(self, node: ast.expr) -> str | Number:
        try:
            value = ast.literal_eval(node)
        except ValueError:
            raise self.unsupported(node) from None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.unsupported(node)
        if isinstance(value, str) and any(0xD800 <= ord(c) < 0xE000 for c in value):
            raise self.wrong(node, "half a surrogate pair is no text")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.unsupported(node)
        return value

    # -- errors

    def place(self, node: ast.expr) -> str:
        column = len(self.lines[node.lineno - 1].encode()[: node.col_offset].decode()) + 1
        return f"column {column + self.skipped}" if node.lineno == 1 else f"line {node.lineno}, column {column}"

    def wrong(self, node: ast.expr, why: str) -> InvalidConstraint:
        return InvalidConstraint(f"in the where {ast.unparse(node)!r}: {why}", self.place(node))

    def unsupported(self, node: ast.expr) -> UnsupportedConstraint:
        return UnsupportedConstraint(f"where cannot express {ast.unparse(node)!r}; it knows {KNOWN}", self.place(node))
