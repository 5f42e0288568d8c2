"""A readable form of expressions, for `repr` and error messages."""

from __future__ import annotations

from .expr import ALL, ANY_CHAR, ANY_TEXT, EPS, Expr, Kind, Ref

_NAMES = {ANY_CHAR.uid: ".", ANY_TEXT.uid: ".*", EPS.uid: "ε", ALL.uid: "⊤"}


def show(e: Expr, limit: int = 400) -> str:
    """At most about `limit` characters."""
    shown = _show(e, 12)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _show(e: Expr, depth: int) -> str:
    if e.uid in _NAMES:
        return _NAMES[e.uid]
    if depth == 0:
        return "…"
    if isinstance(e, Ref):
        return f"<{e.name}>"
    match e.kind:
        case Kind.EMPTY:
            return "∅"
        case Kind.LEAF:
            return "[" + " ".join(_span(low, high) for low, high, _ in e.args[0].edges[:6]) + "]"
        case Kind.TEXT:
            return repr(e.args[0].decode("utf-8", "backslashreplace"))
        case Kind.CAT:
            return f"{_show(e.args[0], depth - 1)} {_show(e.args[1], depth - 1)}"
        case Kind.ALT:
            return "(" + " | ".join(_show(x, depth - 1) for x in e.args[:8]) + ")"
        case Kind.AND:
            return "(" + " & ".join(_show(x, depth - 1) for x in e.args[:8]) + ")"
        case Kind.NOT:
            return f"~({_show(e.args[0], depth - 1)})"
        case Kind.REPEAT:
            body, low, high = e.args
            return f"({_show(body, depth - 1)}){{{low},{'' if high < 0 else high}}}"
        case Kind.UNIQUE:
            items, low, high, used, current, _ = e.args
            seen = f"{_show(current, depth - 1)} then {_show(items.item, depth - 1)} but {len(used)} used"
            return f"distinct({seen}){{{low},{'' if high < 0 else high}}}"
        case Kind.THEN:
            return f"{_show(e.args[0], depth - 1)} then what depends on it"
        case Kind.SPAN:
            suffixes, low, high, depth = e.args
            return f"spans({suffixes!r}, {low}:{high} after {depth})"
        case _:
            value, follow, _ = e.args
            return f"hole({_show(value, depth - 1)}, {follow!r})"


def _span(low: int, high: int) -> str:
    a, b = (chr(x) if 32 < x < 127 else f"{x:02x}" for x in (low, high))
    return a if low == high else f"{a}-{b}"
