"""Regex nodes to expressions, with look-around.

A node is compiled from right to left with everything that may follow it in hand (`Entries`): look-ahead is then an
intersection with the continuation, `$` an intersection with the empty text. What is asked of the left is carried
along as a `Behind` and used up by the characters that the nodes before it put there:

    before(node, {behind: rest})  →  the texts of node·rest, sorted by what they still ask of the text on their left

Nodes without assertions take the short way, so that counters stay symbolic. Loops over assertions become recursive
rules, one per `Behind` that can arise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import groupby

from .errors import UnsupportedConstraint
from .expr import ALL, EMPTY, EPS, Expr, Kind, Ref, alt, both, complement, concat, ref, repeat
from .regex_context import FREE, MOST_CASES, START, Behind, cases, none_of
from .regex_loops import solve_regular
from .regex_nodes import Alt, At, Boundary, Cat, Chars, Edge, Look, Node, Repeat
from .unicode_sets import Ranges, invert

Entries = dict[Behind, Expr]

MOST_COPIES = 1_000  # of bodies of bounded repeats that hold assertions, in one regex
_NOTHING = Alt(())


@dataclass(frozen=True)
class Alphabet:
    """How one code point of a set is spelled, one of some words, and any text of such code points."""

    chars: Callable[[Ranges], Expr]
    options: Callable[[list[str]], Expr]
    text: Expr


class Compiler:
    """Compiles nodes in one alphabet; `finish` gives the expression."""

    def __init__(self, alphabet: Alphabet) -> None:
        self.alphabet = alphabet
        self.rules: list[Ref] = []
        self.copies_left = MOST_COPIES

    def finish(self, entries: Entries) -> Expr:
        """The texts that ask for nothing on their left but the start of the text."""
        solve_regular(self.rules)
        return alt(entries.get(FREE, EMPTY), entries.get(START, EMPTY))

    def plain(self, node: Node) -> Expr:
        """The language of a node without assertions."""
        match node:
            case Chars(ranges):
                return self.alphabet.chars(ranges)
            case Cat(parts):
                pieces = [(_literal(part), part) for part in parts]
                runs = groupby(pieces, lambda piece: piece[0] is not None)
                return concat(*[self.run(list(run), literal) for literal, run in runs])
            case Alt(parts):
                words = [_literal(part) for part in parts]
                rest = [self.plain(part) for word, part in zip(words, parts, strict=True) if word is None]
                known = [word for word in words if word is not None]
                return alt(self.alphabet.options(known), *rest) if known else alt(*rest)
            case Repeat(body, low, high):
                return repeat(self.plain(body), low, high)
        raise AssertionError(node)

    def run(self, pieces: list[tuple[str | None, Node]], literal: bool) -> Expr:
        if literal:
            return self.alphabet.options(["".join([word or "" for word, _ in pieces])])
        return concat(*[self.plain(node) for _, node in pieces])

    def before(self, node: Node, after: Entries) -> Entries:
        if is_plain(node) and after.keys() == {FREE}:
            return {FREE: concat(self.plain(node), after[FREE])}
        match node:
            case Chars():
                return self.before_chars(node, after)
            case Cat(parts):
                return reduce(lambda rest, part: self.before(part, rest), reversed(parts), after)
            case Alt(parts):
                return _merge(*[self.before(part, after) for part in parts])
            case Repeat(body):
                return self.before_plain_repeat(node, after) if is_plain(body) else self.copies(node, after)
            case Look():
                return self.meet(self.look(node), after)
            case Boundary():
                return self.meet(self.boundary(node), after)
            case At():
                return self.meet(self.edge(node), after)

    def before_chars(self, node: Chars, after: Entries) -> Entries:
        out: list[Entries] = []
        for behind, rest in after.items():
            met = behind.after(node.ranges)
            if met is not None:
                out.append({met[0]: concat(self.alphabet.chars(met[1]), rest)})
        return _merge(*out)

    # -- repeats

    def before_plain_repeat(self, node: Repeat, after: Entries) -> Entries:
        """Only the last iterations, which what is asked of the left reaches into, are taken out of the repeat."""
        body, high = node.body, node.high
        low = 0 if _may_be_empty(body) else node.low
        out: list[Entries] = []
        pending = after
        for n in range(max([len(b.sets) for b in after], default=0) + 2):
            if FREE in pending:
                out.append({FREE: concat(self.plain(_times(body, max(low - n, 0), high, n)), pending[FREE])})
            asking = {b: e for b, e in pending.items() if b is not FREE and b != FREE}
            out.append(asking if n >= low else {})
            if not asking or n == high:
                break
            pending = _merge(*[self.consumed(body, b, e) for b, e in asking.items()])
        return _merge(*out)

    def consumed(self, body: Node, behind: Behind, rest: Expr) -> Entries:
        """One iteration that takes at least a character."""
        return {b: e for b, e in self.before(body, {behind: rest}).items() if b.width < behind.width}

    def copies(self, node: Repeat, after: Entries) -> Entries:
        """A repeat whose body holds assertions, written out."""
        if node.high is None:
            out = self.loop(node.body, after)
        else:
            out = after
            for _ in range(node.high - node.low):
                out = _merge(after, self.copy(node.body, out))
        return reduce(lambda rest, _: self.copy(node.body, rest), range(node.low), out)

    def copy(self, body: Node, after: Entries) -> Entries:
        self.copies_left -= 1
        if self.copies_left < 0:
            raise _too_many_copies()
        return self.before(body, after)

    def loop(self, body: Node, after: Entries) -> Entries:
        body = consuming(body)
        rules: dict[Behind, Ref] = {behind: ref("regex loop") for behind in after}
        known = 0
        while known < len(rules):  # a new rule may give rise to further ones
            known = len(rules)
            around = self.before(body, dict(rules))
            rules.update({behind: ref("regex loop") for behind in around if behind not in rules})
        for behind, rule in rules.items():
            rule.define(alt(after.get(behind, EMPTY), around.get(behind, EMPTY)))
        self.rules.extend(rules.values())
        return dict(rules)

    # -- assertions, as what they ask of the left and of the right

    def look(self, node: Look) -> list[tuple[Behind, Expr]]:
        if not node.ahead:
            found = cases(node.body, node.position)
            return [(behind, ALL) for behind in (none_of(found) if node.negative else found)]
        ahead = self.before(node.body, {FREE: self.alphabet.text})
        if not node.negative:
            return list(ahead.items())
        out = [(FREE, ALL)]
        for behind, rest in ahead.items():
            forbidden = [(b, both(e, complement(rest))) for b, e in out]
            out = forbidden + [(m, e) for b, e in out for other in behind.negated() if (m := b.meet(other))]
        return out

    def boundary(self, node: Boundary) -> list[tuple[Behind, Expr]]:
        word, other = node.word, invert(node.word)
        to_word, to_other = self.starts_with(word), self.starts_with(other)
        if node.negative:
            at_start = alt(EPS, to_other) if node.on_empty else to_other
            return [(Behind((word,)), to_word), (Behind((other,)), alt(EPS, to_other)), (START, at_start)]
        return [(Behind((word,)), alt(EPS, to_other)), (Behind((other,)), to_word), (START, to_word)]

    def edge(self, node: At) -> list[tuple[Behind, Expr]]:
        match node.edge:
            case Edge.START:
                return [(START, ALL)]
            case Edge.END:
                return [(FREE, EPS)]
            case Edge.LAST_LINE_END:
                return [(FREE, alt(EPS, self.alphabet.chars(((10, 10),))))]
            case Edge.LINE_START:
                return [(START, ALL), (Behind((node.breaks,)), ALL)]
            case Edge.LINE_END:
                return [(FREE, alt(EPS, self.starts_with(node.breaks)))]

    def meet(self, asked: list[tuple[Behind, Expr]], after: Entries) -> Entries:
        out: list[Entries] = []
        for behind, right in asked:
            for have, rest in after.items():
                met = behind.meet(have)
                if met is not None:
                    within = rest is self.alphabet.text and right.kind not in (Kind.NOT, Kind.AND)
                    out.append({met: right if within else both(right, rest)})
        return _merge(*out)

    def starts_with(self, ranges: Ranges) -> Expr:
        return concat(self.alphabet.chars(ranges), self.alphabet.text)


def _merge(*entries: Entries) -> Entries:
    out: dict[Behind, list[Expr]] = {}
    for each in entries:
        for behind, e in each.items():
            if e is not EMPTY:
                out.setdefault(behind, []).append(e)
    if len(out) > MOST_CASES:
        raise UnsupportedConstraint("the regex asks too many different things of the text on the left")
    return {behind: alt(*es) for behind, es in out.items()}


def _too_many_copies() -> UnsupportedConstraint:
    return UnsupportedConstraint(f"more than {MOST_COPIES} bounded repeats of assertions are not supported")


def _times(body: Node, low: int, high: int | None, used: int) -> Node:
    return Repeat(body, low, None if high is None else high - used)


@lru_cache(maxsize=4096)
def is_plain(node: Node) -> bool:
    match node:
        case Chars():
            return True
        case Cat(parts) | Alt(parts):
            return all(map(is_plain, parts))
        case Repeat(body):
            return is_plain(body)
    return False


def intersects(node: Node) -> bool:
    """Whether intersections last longer than a character: look-ahead, or assertions within loops."""
    match node:
        case Cat(parts) | Alt(parts):
            return any(map(intersects, parts))
        case Repeat(body, _, high):
            return high != 0 and (intersects(body) or (high != 1 and not is_plain(body)))
        case Look(_, ahead):
            return ahead
    return False


@lru_cache(maxsize=4096)
def _literal(node: Node) -> str | None:
    """The one text that a node matches, if it is written as such."""
    match node:
        case Chars(((low, high),)) if low == high and not 0xD800 <= low < 0xE000:
            return chr(low)
        case Cat(parts):
            words = [_literal(part) for part in parts]
            return None if None in words else "".join([word or "" for word in words])
    return None


def _may_be_empty(node: Node) -> bool:
    match node:
        case Chars():
            return False
        case Cat(parts):
            return all(map(_may_be_empty, parts))
        case Alt(parts):
            return any(map(_may_be_empty, parts))
        case Repeat(body, low):
            return low == 0 or _may_be_empty(body)
    return True


def consuming(node: Node) -> Node:
    """The matches of `node` that take at least one character; what it asserts on the way is kept."""
    if not _may_be_empty(node):
        return node
    match node:
        case Cat((head, *tail)) if tail:
            rest = Cat(tuple(tail))
            return Alt((Cat((consuming(head), rest)), Cat((_idle(head), consuming(rest)))))
        case Cat((only,)):
            return consuming(only)
        case Alt(parts):
            return Alt(tuple(map(consuming, parts)))
        case Repeat(body, low, high):
            if low > MOST_COPIES:
                raise _too_many_copies()
            if low > 1 and not is_plain(_idle(body)):
                return consuming(Cat((body, Repeat(body, low - 1, None if high is None else high - 1))))
            return _NOTHING if high == 0 else Repeat(consuming(body), 1, high)
    return _NOTHING


def _idle(node: Node) -> Node:
    """The matches of `node` that take no character: its assertions."""
    match node:
        case Chars():
            return _NOTHING
        case Cat(parts):
            return Cat(tuple(map(_idle, parts)))
        case Alt(parts):
            return Alt(tuple(map(_idle, parts)))
        case Repeat(body, low):
            return _idle(body) if low else Cat(())
    return node
