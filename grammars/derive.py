"""What an expression accepts next: derivatives, nullability, byte classes, shortest completions.

`minlen` is exact. It is compositional but for `both` and complements, whose derivatives are searched best-first
(A*, the bound being the largest bound of the parts); a part with no completion is dead and pruned, so a state of the
automaton is alive exactly when its `minlen` is finite. Recursive rules are solved by Knuth's (1977) least fixpoint.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Container, Iterator

from . import dependent, distinct
from .errors import UnsupportedConstraint
from .expr import EMPTY, EPS, INF, Expr, Kind, Ref, _cat, _leaf, alt, both, complement, hole, repeat, spans, text
from .suffixes import Index

SEARCH_LIMIT = 20_000  # derivatives looked at before a conjunction counts as undecidable

_CUT_ALL = 1 | 1 << 256


def nullable(e: Expr) -> bool:
    """Whether the empty text is accepted."""
    if e.nullable_ is None:
        e.nullable_ = _nullable(e, nullable)
    return e.nullable_


def _nullable(e: Expr, of: Callable[[Expr], bool]) -> bool:
    match e.kind:
        case Kind.LEAF:
            return bool(e.args[0].final)
        case Kind.CAT:
            return of(e.args[0]) and of(e.args[1])
        case Kind.ALT:
            return any([of(x) for x in e.args])
        case Kind.AND:
            return all([of(x) for x in e.args])
        case Kind.REPEAT:
            return e.args[1] == 0 or of(e.args[0])
        case Kind.NOT:
            return not of(e.args[0])
        case Kind.SPAN:
            return minlen(e) == 0
        case Kind.UNIQUE:
            return distinct.nullable(e, of)
        case Kind.REF:
            assert isinstance(e, Ref)
            solve(e)
            return bool(e.nullable_)
        case Kind.HOLE:
            value, follow, positions = e.args
            return of(value) or (value is EMPTY and len(positions) == 1) or len(follow) in positions
        case _:
            return False


def cuts(e: Expr) -> int:
    """A bit set of byte values: between two neighbouring cuts all bytes have the same derivative."""
    if e.cuts_ < 0:
        e.cuts_ = _cuts(e)
    return e.cuts_


def _cuts(e: Expr) -> int:
    match e.kind:
        case Kind.LEAF:
            return int(e.args[0].cuts)
        case Kind.TEXT:
            return 3 << int(e.args[0][0])
        case Kind.CAT:
            return _cuts_cat(e)
        case Kind.ALT | Kind.AND:
            out = 0
            for part in e.args:
                out |= cuts(part)
            return out
        case Kind.REPEAT | Kind.NOT:
            return cuts(e.args[0])
        case Kind.REF:
            assert isinstance(e, Ref)
            solve(e)
            return cuts(e.resolved())
        case Kind.SPAN:
            return _cuts_span(*e.args)
        case Kind.UNIQUE:
            return distinct.cuts(e)
        case Kind.THEN:
            return dependent.cuts(e)
        case Kind.HOLE:
            value, follow, positions = e.args
            out = cuts(value)
            for i in (0, *positions):
                out |= 3 << follow[i] if i < len(follow) else 0
            return out
        case _:
            return 0


def _cuts_cat(e: Expr) -> int:
    out = 0
    while e.kind is Kind.CAT:
        out |= cuts(e.args[0])
        if not nullable(e.args[0]):
            return out
        e = e.args[1]
    return out | cuts(e)


def _cuts_span(suffixes: Index, low: int, high: int, depth: int) -> int:
    out = 0
    for byte in suffixes.next_bytes(low, high, depth):
        out |= 3 << byte
    return out


def segments(e: Expr) -> Iterator[tuple[int, int]]:
    """Byte ranges [low, high) with one derivative each, in order, covering all 256 bytes."""
    bits = cuts(e) | _CUT_ALL
    low = 0
    bits &= ~1
    while bits:
        high = (bits & -bits).bit_length() - 1
        yield low, high
        low = high
        bits &= bits - 1


def segment(e: Expr, byte: int) -> tuple[int, int]:
    """The range of `segments` that holds `byte`."""
    bits = cuts(e) | _CUT_ALL
    below = bits & ((1 << (byte + 1)) - 1)
    above = bits >> (byte + 1)
    return below.bit_length() - 1, byte + (above & -above).bit_length()


def derive(e: Expr, byte: int) -> Expr:
    """What may follow after `byte`; `EMPTY` when nothing may."""
    match e.kind:
        case Kind.LEAF:
            return _leaf(e.args[0].step(byte))
        case Kind.TEXT:
            return text(e.args[0][1:]) if e.args[0][0] == byte else EMPTY
        case Kind.EMPTY:
            return EMPTY
        case Kind.CAT:
            return _derive_cat(e, byte)
        case _:
            if e.derived is None:
                e.derived = {}
            found = e.derived.get(byte)
            if found is None:
                found = e.derived[byte] = _derive(e, byte)
            return found


def _derive_cat(e: Expr, byte: int) -> Expr:
    parts = []
    while e.kind is Kind.CAT:
        head, tail = e.args
        parts.append(_cat(derive(head, byte), tail))
        if not nullable(head):
            return alt(*parts)
        e = tail
    return alt(*parts, derive(e, byte))


def _derive(e: Expr, byte: int) -> Expr:
    match e.kind:
        case Kind.ALT:
            return alt(*[derive(x, byte) for x in e.args])
        case Kind.AND:
            return both(*[derive(x, byte) for x in e.args])
        case Kind.NOT:
            return complement(derive(e.args[0], byte))
        case Kind.REPEAT:
            body, low, high = e.args
            fewer = repeat(body, 0 if nullable(body) else max(low - 1, 0), high - 1 if high > 0 else None)
            return _cat(derive(body, byte), fewer)
        case Kind.REF:
            assert isinstance(e, Ref)
            solve(e)
            return derive(e.resolved(), byte)
        case Kind.SPAN:
            suffixes, low, high, depth = e.args
            low, high = suffixes.going_on(low, high, depth, byte)
            return spans(suffixes, low, high, depth + 1)
        case Kind.UNIQUE:
            return distinct.derive(e, byte)
        case Kind.THEN:
            return dependent.derive(e, byte)
        case _:
            return _derive_hole(e, byte)


def _derive_hole(e: Expr, byte: int) -> Expr:
    value, follow, positions = e.args
    started = (0, *positions) if nullable(value) else positions
    moved = tuple(sorted([i + 1 for i in started if i < len(follow) and follow[i] == byte]))
    if len(follow) in moved:
        return hole(EMPTY, follow, (len(follow),))
    after = derive(value, byte)
    return hole(after if minlen(after) < INF else EMPTY, follow, moved)


def minlen(e: Expr) -> int:
    """The least number of bytes to an accepted end; `INF` when there is none."""
    if e.minlen_ < 0:
        e.minlen_ = _minlen(e, minlen)
    return e.minlen_


def _minlen(e: Expr, of: Callable[[Expr], int]) -> int:
    match e.kind:
        case Kind.EMPTY:
            return INF
        case Kind.LEAF:
            return int(e.args[0].minlen)
        case Kind.TEXT:
            return len(e.args[0])
        case Kind.CAT:
            return min(INF, of(e.args[0]) + of(e.args[1]))
        case Kind.ALT:
            return min([of(x) for x in e.args])
        case Kind.REPEAT:
            return min(INF, int(e.args[1]) * of(e.args[0])) if e.args[1] else 0
        case Kind.REF:
            assert isinstance(e, Ref)
            solve(e)
            return e.minlen_
        case Kind.SPAN:
            suffixes, low, high, depth = e.args
            return int(suffixes.nearest_end(low, high, depth))
        case Kind.UNIQUE:
            return distinct.minlen(e)
        case Kind.THEN:
            return min(INF, of(e.args[0]) + of(e.args[2].longest))
        case Kind.HOLE:
            value, follow, positions = e.args
            if _nullable(e, nullable):
                return 0
            ways: list[int] = [of(value), *[len(follow) - i for i in positions]]
            return min(ways)
        case _:
            return _search(e)


def lower(e: Expr) -> int:
    """A cheap bound below `minlen`: conjunctions count as their dearest part, complements as nothing."""
    return _lower(e, {})


def _lower(e: Expr, known: dict[int, int]) -> int:
    """known: the bounds of parts, by uid; a part may be reached on exponentially many ways."""
    if e.minlen_ >= 0 and not (_solving and e.kind is Kind.REF):
        return e.minlen_
    found = known.get(e.uid)
    if found is None:
        found = known[e.uid] = _new_lower(e, known)
    return found


def _new_lower(e: Expr, known: dict[int, int]) -> int:
    match e.kind:
        case Kind.NOT:
            return 0
        case Kind.AND:
            return max([_lower(x, known) for x in e.args])
        case Kind.REF:  # not solved yet
            return 0
        case _:
            return _minlen(e, lambda x: _lower(x, known))


_lock = threading.RLock()  # guards the two below
_searching: set[int] = set()
_solving: list[Ref] = []  # rules whose `minlen` is not known yet: no shortcut through it


def _search(e: Expr) -> int:
    """A* over derivatives; what is learnt about the states on the shortest path is kept."""
    with _lock:
        if e.uid in _searching:
            raise UnsupportedConstraint("recursion through an intersection or a complement cannot be decided")
        _searching.add(e.uid)
        try:
            return _best_first(e)
        finally:
            _searching.discard(e.uid)


def _best_first(start: Expr) -> int:
    tick = itertools.count(0, -1)  # ties: the latest, depth first
    cost, parent = {start.uid: 0}, {start.uid: start}
    queue = [(lower(start), next(tick), 0, start, start)]
    done: set[int] = set()
    while queue:
        bound, _, g, e, end = heapq.heappop(queue)
        if bound >= INF:
            break
        if end is EPS and e.uid in done:  # popped with its exact rest: nothing can be shorter
            _remember(start, e, bound, parent)
            return bound
        if e.uid in done or g > cost[e.uid]:
            continue
        done.add(e.uid)
        if len(done) > SEARCH_LIMIT:
            raise UnsupportedConstraint("cannot decide whether an intersection or complement accepts anything")
        if nullable(e):
            heapq.heappush(queue, (g, next(tick), g, e, EPS))
            continue
        if e is not start and not _solving and (e.minlen_ >= 0 or e.kind not in (Kind.AND, Kind.NOT)):
            heapq.heappush(queue, (min(INF, g + minlen(e)), next(tick), g, e, EPS))
            continue
        for low, _high in segments(e):
            after = derive(e, low)
            if after is not EMPTY and cost.get(after.uid, INF) > g + 1 and lower(after) < INF:
                cost[after.uid], parent[after.uid] = g + 1, e
                done.discard(after.uid)  # bounds sharpen as minima become known: a state may come again, cheaper
                heapq.heappush(queue, (g + 1 + lower(after), next(tick), g + 1, after, after))
    for e_dead in parent.values():
        e_dead.minlen_ = INF
    return INF


def _remember(start: Expr, end: Expr, total: int, parent: dict[int, Expr]) -> None:
    """Every state on the shortest path now knows its own distance."""
    path = [end]
    while path[-1] is not start:
        path.append(parent[path[-1].uid])
    for used, e in enumerate(reversed(path)):
        e.minlen_ = total - used


def solve(root: Expr, known: Container[int] = ()) -> None:
    """Nullability and `minlen` of all rules below `root`; refuses left recursion and undefined rules.

    known: uids below which everything is solved.
    """
    if isinstance(root, Ref) and root.solved:
        return
    with _lock:
        _solve([r for r in _refs(root, known) if not r.solved])


def _solve(refs: list[Ref]) -> None:
    _fixpoint(refs, "nullable_", False, lambda r, memo: _round(r, memo, _nullable, "nullable_"))
    for r in refs:
        r.solved = True
        _refuse_left_recursion(r)
    _solving.extend(refs)
    try:
        _fixpoint(refs, "minlen_", INF, lambda r, memo: _round(r, memo, _minlen, "minlen_"))
    finally:
        _solving.clear()


def _refs(root: Expr, known: Container[int]) -> list[Ref]:
    seen: dict[int, Expr] = {root.uid: root}
    todo = [root]
    while todo:
        e = todo.pop()
        below = children(e)
        for x in below:
            if isinstance(x, Expr) and x.uid not in seen and x.uid not in known:
                seen[x.uid] = x
                todo.append(x)
    return [e for e in seen.values() if isinstance(e, Ref)]


def children(e: Expr) -> tuple[object, ...]:
    """The parts of an expression, among other arguments."""
    if isinstance(e, Ref):
        return (e.known(),)
    if e.kind is Kind.THEN:
        return (e.args[0], *e.args[2].parts)
    return () if e.kind in (Kind.LEAF, Kind.TEXT) else e.args


def _fixpoint(refs: list[Ref], slot: str, start: object, value: Callable[[Ref, dict[int, object]], object]) -> None:
    for r in refs:
        setattr(r, slot, start)
        r.solved = True  # so that evaluation reads the slot
    for _ in range(len(refs) + 2):
        memo: dict[int, object] = {}
        new = [value(r, memo) for r in refs]
        if new == [getattr(r, slot) for r in refs]:
            return
        for r, v in zip(refs, new, strict=True):
            setattr(r, slot, v)
    raise UnsupportedConstraint("a rule refers to its own complement")


def _round(r: Ref, memo: dict[int, object], rule: Callable[..., object], slot: str) -> object:
    def of(e: Expr) -> object:
        if isinstance(e, Ref):
            return getattr(e, slot)
        if e.uid not in memo:
            memo[e.uid] = rule(e, of)
        return memo[e.uid]

    return of(r.known())


def _refuse_left_recursion(rule: Ref) -> None:
    seen: set[int] = set()
    todo = [rule.known()]
    while todo:
        e = todo.pop()
        if e is rule:
            raise UnsupportedConstraint(f"left recursion in the rule {rule.name!r}: write it as a repetition")
        if e.uid in seen:
            continue
        seen.add(e.uid)
        if isinstance(e, Ref):
            todo.append(e.known())
        elif e.kind is Kind.CAT:
            todo.extend(e.args[: 1 + nullable(e.args[0])])
        elif e.kind in (Kind.ALT, Kind.AND):
            todo.extend(e.args)
        elif e.kind in (Kind.REPEAT, Kind.NOT, Kind.HOLE, Kind.THEN):
            todo.append(e.args[0])
