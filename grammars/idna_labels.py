"""Internationalised labels of host names: IDNA2008 (RFC 5890 to 5893) as rules that are written as they are visited.

A state knows what the rules can still ask: the last characters, what must follow, the direction of the label. The
code points come from `idna.txt` by kinds (Unicode 14), which is read when the first such label is compiled.

Narrower than the standard; nothing is accepted that it forbids:

- A-labels (`xn--`) are left out, as their Punycode is beyond an automaton;
- a label has at most 11 code points, at most 14 when they are below U+10000, at most 22 when those beyond ASCII lie in
  one of a few windows: so many are never more than 63 octets as Punycode;
- in normal form C a mark that composes with some letter is not put behind a letter that composes with some mark, and
  marks of rare combining classes stand alone;
- the zero width non-joiner stands behind a virama, or between letters of Arabic, Syriac, N'Ko, Mandaic, Mongolian.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from heapq import heappop, heappush
from itertools import accumulate, count
from pathlib import Path
from weakref import WeakValueDictionary

from .expr import EMPTY, EPS, INF, Expr, Lazy, alt, both, concat, repeat, text
from .regex_compile import Alphabet
from .unicode_sets import ALL, Ranges, union

# spans of at most 256 code points that hold the letters of one script or several
_WINDOWS: Ranges = (
    (0x80, 0x17F), (0x370, 0x46F), (0x470, 0x56F), (0x590, 0x68F), (0x690, 0x78F),
    *((low, low + 0xFF) for low in range(0x900, 0x1400, 256)),
    (0x1780, 0x187F), (0x1E00, 0x1EFF), (0x1F00, 0x1FFF), (0x3005, 0x3104),
)  # fmt: skip
# how many code points are never more than 63 octets as Punycode, whichever they are
_SHORT: list[tuple[Ranges, int]] = [(ALL, 11), (((0, 0xFFFF),), 14), *[(((0, 0x7F), span), 22) for span in _WINDOWS]]


@dataclass(frozen=True, slots=True)
class Kind:
    """What the rules tell of a code point. `own` is set for those that are named in a rule."""

    bidi: str = "L"
    combining: int = 0
    mark: int = 0
    composes: int = 0  # as the first of a pair
    completes: int = 0  # as the second
    joining: str = ""  # D, R, T
    script: str = ""
    own: str = ""


@cache
def kinds() -> list[tuple[Kind, Ranges]]:
    """The allowed code points."""
    lines = Path(__file__).with_name("idna.txt").read_text("utf-8").splitlines()[1:]
    return [_read(line) for line in lines]


def _read(line: str) -> tuple[Kind, Ranges]:
    head, tail = line.split(": ")
    bidi, combining, mark, composes, completes, *words = head.split(" ")
    joining, script, own = ["" if word == "." else word for word in words]
    kind = Kind(bidi, int(combining), int(mark), int(composes), int(completes), joining, script, own)
    edges = list(accumulate(int(gap, 16) for gap in tail.split(" ")))
    return kind, tuple((low, after - 1) for low, after in zip(edges[::2], edges[1::2], strict=True))


@dataclass(frozen=True, slots=True)
class _State:
    """Inside a label: what the last code point was, what must follow, what came before."""

    at: int = 0  # how many code points so far, at most 4
    own: str = ""  # of the last code point, if it is a hyphen or an l
    hebrew: bool = False
    combining: int = 0
    base: bool = False  # the last that is no mark may compose with a mark
    joined: bool = False  # the letter before joins on its right
    must: str = ""  # what the next must be: "l", "greek", "join" (a letter that joins on its left)
    japanese: str = ""  # "wanted", "found"
    digits: str = ""  # which of the two sorts
    right: bool = False  # from right to left
    number: str = ""  # EN or AN
    complete: bool = False  # may end, after the Bidi rule

    @property
    def final(self) -> bool:
        return self.complete and self.own != "-" and not self.must and self.japanese != "wanted"


@dataclass(frozen=True, slots=True)
class Rules:
    """bidi: the label keeps the Bidi rule; else it has nothing that is written from right to left. composed: in normal
    form C."""

    bidi: bool
    composed: bool

    def after(self, s: _State, kind: Kind) -> _State | None:
        """The state after a code point of `kind`; None where none may come."""
        if (s.at == 0 and (kind.mark or kind.own == "-")) or (s.at == 3 and s.own == kind.own == "-"):
            return None
        if self.composed and not _in_normal_form(s, kind):
            return None
        must = _must(s, kind)
        directed = self.directed(s, kind)
        if must is None or directed is None:
            return None
        right, number, complete = directed
        return _State(
            at=min(s.at + 1, 4),
            own=kind.own if kind.own in "-l" else "",
            hebrew=kind.script == "hebrew",
            combining=kind.combining,
            base=bool(kind.composes) if not kind.combining else s.base,
            joined=s.joined if kind.joining == "T" else kind.joining == "D",
            must=must,
            japanese=_japanese(s.japanese, kind),
            digits=kind.own if kind.own in ("0", "1") else s.digits,
            right=right,
            number=number,
            complete=complete,
        )

    def told_apart(self) -> list[tuple[Kind, Ranges]]:
        """The kinds, as far as these rules tell them apart."""
        found: dict[Kind, list[Ranges]] = {}
        for kind, ranges in kinds():
            if not self.bidi and kind.bidi not in ("R", "AL", "AN"):
                kind = replace(kind, bidi="L")
            if not self.composed:
                kind = replace(kind, composes=0, completes=0, combining=9 if kind.combining == 9 else 0)
            found.setdefault(kind, []).append(ranges)
        return [(kind, union(*sets)) for kind, sets in found.items()]

    def directed(self, s: _State, kind: Kind) -> tuple[bool, str, bool] | None:
        """RFC 5893: direction, sort of numbers, whether the label may end."""
        if not self.bidi:
            return None if kind.bidi in ("R", "AL", "AN") else (False, "", True)
        if s.at == 0 and kind.bidi not in ("L", "R", "AL"):
            return None
        right = kind.bidi != "L" if s.at == 0 else s.right
        number = kind.bidi if right and kind.bidi in ("EN", "AN") else s.number
        if (
            (kind.bidi in ("R", "AL", "AN") and not right)
            or (kind.bidi == "L" and right)
            or s.number not in ("", number)
        ):
            return None
        ends = ("R", "AL", "EN", "AN") if right else ("L", "EN")
        return right, number, s.complete if kind.bidi == "NSM" else kind.bidi in ends


def _in_normal_form(s: _State, kind: Kind) -> bool:
    """Marks are in order, and the one before does not compose with this one."""
    ordered = not (s.combining and kind.combining) or (
        1 not in (s.combining, kind.combining) and s.combining <= kind.combining
    )
    return ordered and not (s.base and kind.completes)


def _must(s: _State, kind: Kind) -> str | None:
    """What must follow, by the context rules of RFC 5892; None where `kind` may not follow."""
    if s.must == "join" and kind.joining == "T":
        return "join"
    if (s.must == "l" and kind.own != "l") or (s.must == "greek" and kind.script != "greek"):
        return None
    if s.must == "join" and kind.joining not in ("D", "R"):
        return None
    match kind.own:
        case "\u00b7":
            return "l" if s.own == "l" else None
        case "\u0375":
            return "greek"
        case "\u05f3" | "\u05f4":
            return "" if s.hebrew else None
        case "\u200d":
            return "" if s.combining == 9 else None
        case "\u200c":
            return "" if s.combining == 9 else "join" if s.joined else None
        case "0" | "1":
            return "" if s.digits in ("", kind.own) else None
        case "\u30fb":
            return None if s.right else ""
    return ""


def _japanese(before: str, kind: Kind) -> str:
    if kind.script == "japanese":
        return "found"
    return "wanted" if kind.own == "\u30fb" and not before else before


class Labels:
    """Labels after `rules` in one alphabet."""

    def __init__(self, rules: Rules, alphabet: Alphabet) -> None:
        self.rules, self.alphabet = rules, alphabet
        self.kinds = [
            (kind, alphabet.chars(ranges), len(chr(ranges[0][0]).encode())) for kind, ranges in self.rules.told_apart()
        ]
        self.known: WeakValueDictionary[_State, Lazy] = WeakValueDictionary()
        self.lengths: dict[_State, int] = {}

    def expr(self) -> Expr:
        return both(
            self.rule(_State()), alt(*[repeat(self.alphabet.chars(ranges), 1, most) for ranges, most in _SHORT])
        )

    def rule(self, state: _State) -> Expr:
        found = self.known.get(state)
        if found is None:
            found = self.known[state] = Lazy("label", text("x" * self.least(state)), partial(self.written, state))
        return found

    def written(self, state: _State) -> Expr:
        moves = [(chars, self.rules.after(state, kind)) for kind, chars, _ in self.kinds]
        onward = [concat(chars, self.rule(to)) for chars, to in moves if to is not None and self.least(to) < INF]
        return alt(EPS if state.final else EMPTY, *onward)

    def least(self, state: _State) -> int:
        """Bytes of a shortest end."""
        if state not in self.lengths:
            self.lengths[state] = self.search(state)
        return self.lengths[state]

    def search(self, start: _State) -> int:
        tick = count()
        queue, costs = [(0, next(tick), start)], {start: 0}
        while queue:
            cost, _, s = heappop(queue)
            if s.final:
                return cost
            for kind, _, size in self.kinds:
                to = self.rules.after(s, kind)
                if to is not None and cost + size < costs.get(to, INF):
                    costs[to] = cost + size
                    heappush(queue, (cost + size, next(tick), to))
        return INF


@lru_cache(maxsize=64)
def label(rules: Rules, alphabet: Alphabet) -> Expr:
    return Labels(rules, alphabet).expr()
