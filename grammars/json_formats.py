"""The formats of JSON Schema as regexes over the decoded text, after the RFCs that define them."""

from __future__ import annotations

from functools import lru_cache

from .errors import UnsupportedConstraint
from .expr import Expr, alt, both, concat, repeat
from .regex import whole
from .regex_compile import Alphabet
from .unicode_sets import ALL, DIGIT

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

# RFC 2673, RFC 4291, RFC 1123; A-labels (xn--) are left out, as their Punycode is beyond a regex
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
_LABEL = "a(?:b?a|b(?:-a|aa|(?:-a|ab)b{0,58}a))?".replace("b", "[@0-9-]").replace("a", "[@0-9]").replace("@", "A-Za-z")
_HOSTNAME = rf"{_LABEL}(?:\.{_LABEL})*"

# RFC 5321, RFC 6531
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_QUOTED = r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*"'
_DOMAIN_LITERAL = rf"\[(?:{_IPV4}|IPv6:{_IPV6})\]"
_EMAIL = rf"(?:{_ATEXT}+(?:\.{_ATEXT}+)*|{_QUOTED})@(?:{_HOSTNAME}|{_DOMAIN_LITERAL})"

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

FORMATS: dict[str, str | None] = {  # None: known, not supported yet
    "date": DATE,
    "time": _TIME,
    "date-time": rf"{DATE}[Tt]{_TIME}",
    "duration": _DURATION,
    "email": _EMAIL,
    "idn-email": None,
    "hostname": _HOSTNAME,
    "idn-hostname": None,
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
    "regex": "",  # ecma_syntax.py
}
_MOST_CHARS = {"hostname": 253}


@lru_cache(maxsize=128)
def format_expr(name: str, alphabet: Alphabet) -> Expr:
    """The texts of a format, spelled in `alphabet`."""
    pattern = FORMATS[name]
    if pattern is None:
        raise UnsupportedConstraint(f"the format {name!r} is not supported")
    if name == "regex":
        from .ecma_syntax import patterns

        return patterns(alphabet)
    found = whole(f"(?as){pattern}", "python", alphabet)
    if name in ("time", "date-time"):
        found = alt(found, _leap_seconds(name, alphabet))
    if name in _MOST_CHARS:
        found = both(found, repeat(alphabet.chars(ALL), 0, _MOST_CHARS[name]))
    return found


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
