"""The formats of JSON Schema as regexes over the decoded text, after the RFCs that define them."""

from __future__ import annotations

from functools import lru_cache, partial

from .expr import EPS, Expr, Lazy, alt, both, concat, ref, repeat, text
from .regex import whole
from .regex_compile import Alphabet
from .unicode_sets import ALL, DIGIT, LAST

# RFC 3339
DATE = (
    r"(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    r"|02-(?:0[1-9]|1\d|2[0-8]))"
    r"|(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
_HOUR, _SIXTY = r"(?:[01]\d|2[0-3])", r"[0-5]\d"
_TIME = rf"{_HOUR}:{_SIXTY}:{_SIXTY}(?:\.\d+)?(?:[Zz]|[+-]{_HOUR}:{_SIXTY})"
_CLOCK = r"T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S)"
_CALENDAR = r"(?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D)"
_DURATION = rf"P(?:{_CALENDAR}(?:{_CLOCK})?|{_CLOCK}|\d+W)"

# RFC 2673, RFC 4291, RFC 1123; A-labels (xn--) are left out, as their Punycode is beyond an automaton
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_H16 = r"[0-9a-fA-F]{1,4}"
_LS32 = rf"(?:{_H16}:{_H16}|{_IPV4})"
_IPV6 = "(?:{})".format(
    "|".join(
        [
            rf"(?:{_H16}:){{6}}{_LS32}",
            rf"::(?:{_H16}:){{5}}{_LS32}",
            *[rf"(?:{_H16}(?::{_H16}){{0,{n}}})?::(?:{_H16}:){{{4 - n}}}{_LS32}" for n in range(5)],
            rf"(?:{_H16}(?::{_H16}){{0,5}})?::{_H16}",
            rf"(?:{_H16}(?::{_H16}){{0,6}})?::",
        ]
    )
)
_LABEL_REST = (
    "(?:b?a|b(?:-a|aa|(?:-a|ab)b{0,58}a))?".replace("b", "[@0-9-]").replace("a", "[@0-9]").replace("@", "A-Za-z")
)
_LABEL = f"[A-Za-z0-9]{_LABEL_REST}"
_HOSTNAME = rf"{_LABEL}(?:\.{_LABEL})*"

# RFC 5321, RFC 6531
_LITERAL = rf"\[(?:{_IPV4}|IPv6:{_IPV6})\]"


def _local_part(more: str = "") -> str:
    text = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{more}-]"
    quoted = rf'"(?:[\x20\x21\x23-\x5b\x5d-\x7e{more}]|\\[\x20-\x7e])*"'
    return rf"(?:{text}+(?:\.{text}+)*|{quoted})"


# RFC 3986, RFC 3987, RFC 6570
_PRIVATE = r"\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
_UCS = r"\xa0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef" + "".join(
    rf"\U{plane:04x}0000-\U{plane:04x}fffd" for plane in range(1, 15)
).replace(r"\U000e0000", r"\U000e1000")


def _uri(more: str = "", private: str = "", reference: bool = False) -> str:
    unreserved, sub = rf"A-Za-z0-9._~{more}\-", r"!$&'()*+,;="
    escape = r"%[0-9A-Fa-f]{2}"
    pchar = rf"(?:[{unreserved}{sub}:@]|{escape})"
    literal = rf"\[(?:{_IPV6}|[vV][0-9A-Fa-f]+\.[{unreserved}{sub}:]+)\]"
    host = rf"(?:{literal}|(?:[{unreserved}{sub}]|{escape})*)"
    authority = rf"(?:(?:[{unreserved}{sub}:]|{escape})*@)?{host}(?::\d*)?"
    rooted = rf"/(?:{pchar}+(?:/{pchar}*)*)?"
    tail = rf"(?:\?(?:{pchar}|[/?{private}])*)?(?:\#(?:{pchar}|[/?])*)?"
    full = rf"[A-Za-z][A-Za-z0-9+.-]*:(?://{authority}(?:/{pchar}*)*|{rooted}|{pchar}+(?:/{pchar}*)*)?{tail}"
    if not reference:
        return full
    first = rf"(?:[{unreserved}{sub}@]|{escape})+"
    return rf"(?:{full}|(?://{authority}(?:/{pchar}*)*|{rooted}|{first}(?:/{pchar}*)*)?{tail})"


_VARCHAR = r"(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})"
_VARSPEC = rf"{_VARCHAR}(?:\.?{_VARCHAR})*(?::[1-9]\d{{0,3}}|\*)?"
_TEMPLATE = (
    rf"(?:[\x21\x23\x24\x26-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e{_UCS}{_PRIVATE}]|%[0-9A-Fa-f]{{2}}"
    rf"|\{{[+#./;?&=,!@|]?{_VARSPEC}(?:,{_VARSPEC})*\}})*"
)
_POINTER = r"(?:/(?:[^~/]|~[01])*)*"

_PATTERNS: dict[str, str] = {
    "date": DATE,
    "time": _TIME,
    "date-time": rf"{DATE}[Tt]{_TIME}",
    "duration": _DURATION,
    "hostname": _HOSTNAME,
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "uri": _uri(),
    "uri-reference": _uri(reference=True),
    "iri": _uri(_UCS, _PRIVATE),
    "iri-reference": _uri(_UCS, _PRIVATE, reference=True),
    "uri-template": _TEMPLATE,
    "uuid": r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "json-pointer": _POINTER,
    "relative-json-pointer": rf"(?:0|[1-9]\d*)(?:\#|{_POINTER})",
}
LAZY = frozenset({"idn-email", "idn-hostname", "regex"})  # with rules that are written as they are visited
FORMATS = LAZY | {*_PATTERNS, "email"}
WIDEST = {  # of formats that are narrower here than their standards: texts that may be meant
    "hostname": r"[A-Za-z0-9.-]+",
    "idn-hostname": r"[A-Za-z0-9.\x80-\U0010ffff-]+",
    "email": rf"{_local_part()}@(?:[A-Za-z0-9.-]+|{_LITERAL})",
    "idn-email": r".+@.+",
    "regex": r".*",
}
_MOST_OF_NAME, _MOST_OF_LOCAL_PART = 253, 64  # octets


@lru_cache(maxsize=128)
def format_expr(name: str, alphabet: Alphabet, widest: bool = False) -> Expr:
    """The texts of a format, spelled in `alphabet`. `widest`: at least those, where what the standard says is too much
    for an automaton; else there may be fewer. `idna_labels` and `ecma_syntax` say which."""
    found = _whole(WIDEST[name] if widest else _PATTERNS.get(name, ""), alphabet)
    match name:
        case _ if widest:
            return found
        case "hostname":
            return both(found, repeat(alphabet.chars(ALL), 1, _MOST_OF_NAME))
        case "time" | "date-time":
            return alt(found, _leap_seconds(name, alphabet))
        case "email":
            most = repeat(alphabet.chars(ALL), 1, _MOST_OF_LOCAL_PART)
            return _address(_local_part(), most, format_expr("hostname", alphabet), alphabet)
        case "idn-email":
            names = _international_name(_whole(r"\.", alphabet), False, alphabet)
            return _address(_local_part(r"\x80-\U0010ffff"), _octets(alphabet, _MOST_OF_LOCAL_PART), names, alphabet)
        case "idn-hostname":
            return _international_name(_whole(r"[.\u3002\uff0e\uff61]", alphabet), True, alphabet)
        case "regex":
            from .ecma_syntax import patterns

            return patterns(alphabet)
    return found


def _whole(pattern: str, alphabet: Alphabet) -> Expr:
    return whole(f"(?as){pattern}", "python", alphabet)


def _octets(alphabet: Alphabet, most: int) -> Expr:
    """Texts of at most so many bytes of UTF-8."""
    sizes = [
        alphabet.chars(((low, high),)) for low, high in ((0, 0x7F), (0x80, 0x7FF), (0x800, 0xFFFF), (0x10000, LAST))
    ]
    left: list[Expr] = [EPS]
    for _ in range(most):
        moves = [concat(chars, rest) for chars, rest in zip(sizes, reversed(left[-4:]), strict=False)]
        left.append(Lazy("octets", EPS, partial(alt, EPS, *moves)))
    return left[-1]


def _address(local_part: str, most: Expr, names: Expr, alphabet: Alphabet) -> Expr:
    local = both(_whole(local_part, alphabet), most)
    return concat(local, _whole("@", alphabet), alt(names, _whole(_LITERAL, alphabet)))


def _international_name(dot: Expr, composed: bool, alphabet: Alphabet) -> Expr:
    """Names with up to three labels beyond ASCII, and 64 code points then: at most 253 octets as A-labels. When one of
    them is written from right to left, all labels follow the Bidi rule."""
    names = []
    for bidi, first in ((False, "A-Za-z0-9"), (True, "A-Za-z")):
        ascii_label = _whole(f"[{first}]{_LABEL_REST}", alphabet)
        names.append(_with_labels(ascii_label, _lazy_label(bidi, composed, alphabet), dot))
    label = _whole(_LABEL, alphabet)
    ascii_name = concat(label, repeat(concat(dot, label), 0))
    chars = alphabet.chars(ALL)
    return alt(both(ascii_name, repeat(chars, 1, _MOST_OF_NAME)), both(alt(*names), repeat(chars, 1, 64)))


def _with_labels(ascii_label: Expr, label: Expr, dot: Expr) -> Expr:
    rests = [repeat(concat(dot, ascii_label), 0)]
    for _ in range(3):
        rest = ref("more labels")
        rest.define(alt(EPS, concat(dot, alt(concat(ascii_label, rest), concat(label, rests[-1])))))
        rests.append(rest)
    return alt(concat(ascii_label, rests[3]), concat(label, rests[2]))


def _lazy_label(bidi: bool, composed: bool, alphabet: Alphabet) -> Expr:
    def write() -> Expr:
        from .idna_labels import Rules, label

        return label(Rules(bidi, composed), alphabet)

    return Lazy("label", text("x"), write)


def _leap_seconds(name: str, alphabet: Alphabet) -> Expr:
    """Second 60, which ends an UTC day: the local time is 23:59 plus the offset (in quarters of an hour, as in use)."""
    fraction = repeat(concat(alphabet.options(["."]), repeat(alphabet.chars(DIGIT), 1)), 0, 1)
    by_offset: dict[str, list[str]] = {}
    for minutes in range(0, 24 * 60, 15):
        for sign in (1, -1):
            local = (24 * 60 - 1 + sign * minutes) % (24 * 60)
            offset = f"{'+' if sign > 0 else '-'}{minutes // 60:02}:{minutes % 60:02}"
            by_offset.setdefault(f"{local // 60:02}:{local % 60:02}:60", []).append(offset)
    by_offset["23:59:60"] += ["Z", "z"]
    times = alt(*[concat(alphabet.options([at]), fraction, alphabet.options(to)) for at, to in by_offset.items()])
    return concat(whole(f"(?a){DATE}[Tt]", "python", alphabet), times) if name == "date-time" else times
