"""The format `regex`: the patterns that ECMA-262 (2020) accepts with the `u` flag, as a language.

What is inside brackets and braces is regular, and written as expressions. The rest needs a memory: which groups are
open, how many there have been, the names given; that is a `_State`, and the rules between states are written as they
are visited (`Lazy`).

Narrower than the standard, so that the memory stays small; nothing is accepted that it forbids:

- the names of groups are ASCII and begin with different characters; `\\k<x>` refers to a group before it whose name is
  one character long; `\\9` may refer to a group at most nine further than those so far;
- `{m,n}` has m of at most three digits unless it is left open, and no leading zeros;
- the lower end of a range in brackets is below U+0080, or the range reaches beyond the block that begins below it
  (`_EDGES`), or both ends are written with the same kind of escape; lone surrogates are not escaped in brackets;
- `\\p{...}` knows the general categories and the binary properties, and of scripts the usual ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from itertools import pairwise
from string import ascii_letters
from weakref import WeakValueDictionary

from .derive import minlen
from .expr import EMPTY, EPS, Expr, Lazy, alt, concat, ref, repeat, text
from .regex import whole
from .regex_compile import Alphabet
from .unicode_sets import LAST, Ranges, intersect, invert, of

AHEAD = 9  # how many groups later a group may be that is referred to by number
_NAME_START = ascii_letters + "$_"

_SYNTAX = r"\^\$\\.*+?()\[\]{}|/"
_HEX = "[0-9A-Fa-f]"
_POINT = rf"\\u\{{0*(?:10|{_HEX})?{_HEX}{{1,4}}\}}"
_PLAIN = r"[^\^$\\.*+?()\[\]{}|]"
_CODE = rf"\\(?:[fnrtv]|c[A-Za-z]|x{_HEX}{{2}}|[{_SYNTAX}])|{_POINT}"
_BMP = rf"\\u(?:[0-9A-Ca-cEeFf]{_HEX}|[dD][0-7]){_HEX}{{2}}"  # but for surrogates
_PAIR = rf"\\u[dD][89ABab]{_HEX}{{2}}\\u[dD][C-Fc-f]{_HEX}{{2}}"
_RAW: Ranges = invert(of(map(ord, "\\]")))  # what stands for itself in brackets
_ESCAPES: dict[int, list[str]] = {
    0: [r"\0"],
    8: [r"\b"],
    9: [r"\t"],
    10: [r"\n"],
    11: [r"\v"],
    12: [r"\f"],
    13: [r"\r"],
}
for _char in "^$\\.*+?()[]{}|/-":
    _ESCAPES[ord(_char)] = ["\\" + _char]


def _words(text: str) -> list[str]:
    return text.split(" ")


_GENERAL = _words(
    "Cased_Letter Close_Punctuation Connector_Punctuation Control cntrl Currency_Symbol Dash_Punctuation "
    "Decimal_Number digit Enclosing_Mark Final_Punctuation Format Initial_Punctuation Letter Letter_Number "
    "Line_Separator Lowercase_Letter Mark Combining_Mark Math_Symbol Modifier_Letter Modifier_Symbol Nonspacing_Mark "
    "Number Open_Punctuation Other Other_Letter Other_Number Other_Punctuation Other_Symbol Paragraph_Separator "
    "Private_Use Punctuation punct Separator Space_Separator Spacing_Mark Surrogate Symbol Titlecase_Letter "
    "Unassigned Uppercase_Letter LC Pe Pc Cc Sc Pd Nd Me Pf Cf Pi L Nl Zl Ll M Sm Lm Sk Mn N Ps C Lo No Po So Zp Co P "
    "Z Zs Mc Cs S Lt Cn Lu"
)
_BINARY = _words(
    "ASCII ASCII_Hex_Digit AHex Alphabetic Alpha Any Assigned Bidi_Control Bidi_C Bidi_Mirrored Bidi_M Case_Ignorable "
    "CI Cased Changes_When_Casefolded CWCF Changes_When_Casemapped CWCM Changes_When_Lowercased CWL "
    "Changes_When_NFKC_Casefolded CWKCF Changes_When_Titlecased CWT Changes_When_Uppercased CWU Dash "
    "Default_Ignorable_Code_Point DI Deprecated Dep Diacritic Dia Emoji Emoji_Component Emoji_Modifier "
    "Emoji_Modifier_Base Emoji_Presentation Extended_Pictographic Extender Ext Grapheme_Base Gr_Base Grapheme_Extend "
    "Gr_Ext Hex_Digit Hex IDS_Binary_Operator IDSB IDS_Trinary_Operator IDST ID_Continue IDC ID_Start IDS Ideographic "
    "Ideo Join_Control Join_C Logical_Order_Exception LOE Lowercase Lower Math Noncharacter_Code_Point NChar "
    "Pattern_Syntax Pat_Syn Pattern_White_Space Pat_WS Quotation_Mark QMark Radical Regional_Indicator RI "
    "Sentence_Terminal STerm Soft_Dotted SD Terminal_Punctuation Term Unified_Ideograph UIdeo Uppercase Upper "
    "Variation_Selector VS White_Space space XID_Continue XIDC XID_Start XIDS"
)
_SCRIPTS = _words(
    "Arabic Arab Armenian Armn Bengali Beng Bopomofo Bopo Cherokee Cher Common Zyyy Coptic Copt Cyrillic Cyrl "
    "Devanagari Deva Ethiopic Ethi Georgian Geor Gothic Goth Greek Grek Gujarati Gujr Gurmukhi Guru Han Hani Hangul "
    "Hang Hebrew Hebr Hiragana Hira Inherited Zinh Kannada Knda Katakana Kana Khmer Khmr Lao Laoo Latin Latn "
    "Malayalam Mlym Mongolian Mong Myanmar Mymr Oriya Orya Runic Runr Sinhala Sinh Syriac Syrc Tamil Taml Telugu Telu "
    "Thaana Thaa Thai Tibetan Tibt"
)

# where the blocks of lower ends of ranges begin, beyond ASCII
_EDGES = [
    0x80, 0xC0, 0xC1, 0xD6, 0xD8, 0xDF, 0xE0, 0xE1, 0xF6, 0xF8, 0xF9, *range(0x100, 0x600, 32),
    *range(0x600, 0x3000, 512),
    *range(0x3000, 0x3100, 32), 0x3100, 0x4E00, 0x4E01, 0xAC00, 0xAC01, 0xE000, 0x10000, *range(0x1F000, 0x20000, 256),
    0x20000, 0x110000,
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _State:
    """Between two tokens. `open`: of each open group, whether it may be repeated."""

    open: str = ""
    groups: int = 0
    needed: int = 0  # the groups that there must be, when those are more
    names: str = ""  # first characters of the names used, in order
    short: str = ""  # names of one character
    repeatable: bool = False  # a quantifier may come
    digit: bool = True  # a digit may come: none behind a number
    naming: bool = False  # in front of a name

    def counted(self) -> _State:
        return replace(self, groups=self.groups + 1, needed=0 if self.needed <= self.groups + 1 else self.needed)

    def least(self) -> int:
        """Bytes of a shortest end."""
        missing = max(0, self.needed - self.groups - self.naming)
        return len(self.open) + 2 * missing + 3 * self.naming  # x>)


@lru_cache(maxsize=8)
def patterns(alphabet: Alphabet) -> Expr:
    return _Patterns(alphabet).rule(_State())


class _Patterns:
    """The rules of all states in one alphabet."""

    def __init__(self, alphabet: Alphabet) -> None:
        self.alphabet = alphabet
        self.rules: WeakValueDictionary[_State, Lazy] = WeakValueDictionary()

    def rule(self, state: _State) -> Expr:
        found = self.rules.get(state)
        if found is None:
            least = state.least()
            found = self.rules[state] = Lazy("regex", text("x" * least), partial(self.written, state))
        return found

    def written(self, state: _State) -> Expr:
        moves = self.named(state) if state.naming else self.moves(state)
        return alt(EPS if state.least() == 0 else EMPTY, *[concat(token, self.rule(to)) for token, to in moves])

    def moves(self, s: _State) -> Iterator[tuple[Expr, _State]]:
        words = self.alphabet.options
        fresh = replace(s, repeatable=False, digit=True)
        atom = replace(s, repeatable=True, digit=True)
        yield (self.atom if s.digit else self.no_digit), atom
        yield self.brackets, atom
        yield words(["^", "$", r"\b", r"\B", "|"]), fresh
        if s.repeatable:
            yield self.quantifier, fresh
        yield words(["("]), replace(fresh.counted(), open=s.open + "1")
        yield words(["(?:"]), replace(fresh, open=s.open + "1")
        yield words(["(?=", "(?!", "(?<=", "(?<!"]), replace(fresh, open=s.open + "0")
        if len(s.names) < len(_NAME_START):
            yield words(["(?<"]), replace(fresh, naming=True)
        if s.open:
            yield words([")"]), replace(fresh, open=s.open[:-1], repeatable=s.open[-1] == "1")
        if s.short:
            yield words([rf"\k<{name}>" for name in s.short]), atom
        number = replace(atom, digit=False)
        known = max(s.groups, s.needed)
        yield words([rf"\{n}" for n in range(known + 1)]), number
        for n in range(known + 1, s.groups + AHEAD + 1):
            yield words([rf"\{n}"]), replace(number, needed=n)

    def named(self, s: _State) -> Iterator[tuple[Expr, _State]]:
        after = replace(s.counted(), open=s.open + "1", naming=False)
        for first in _NAME_START:
            if first not in s.names:
                names = "".join(sorted(s.names + first))
                yield self.alphabet.options([first + ">"]), replace(after, names=names, short=s.short + first)
                yield self.longer_name(first), replace(after, names=names)

    def longer_name(self, first: str) -> Expr:
        return concat(self.alphabet.options([first]), self.name_rest)

    # -- tokens

    def of(self, pattern: str) -> Expr:
        return whole(f"(?as){pattern}", "python", self.alphabet)

    @cached_property
    def name_rest(self) -> Expr:
        return self.of(r"[\w$]+>")

    @cached_property
    def class_escape(self) -> Expr:
        names = Lazy("property", text("x}"), self.property_names)
        return alt(self.of(r"\\[dDsSwW]"), concat(self.of(r"\\[pP]\{"), names))

    def property_names(self) -> Expr:
        general = [f"{key}{name}" for key in ("", "gc=", "General_Category=") for name in _GENERAL]
        scripts = [f"{key}{name}" for key in ("sc=", "scx=", "Script=", "Script_Extensions=") for name in _SCRIPTS]
        return concat(self.alphabet.options([*general, *_BINARY, *scripts]), self.of(r"\}"))

    @cached_property
    def escape(self) -> Expr:
        return alt(self.of(rf"{_CODE}|\\u{_HEX}{{4}}"), self.class_escape)

    @cached_property
    def atom(self) -> Expr:
        return alt(self.of(rf"{_PLAIN}|\."), self.escape)

    @cached_property
    def no_digit(self) -> Expr:
        return alt(self.of(rf"(?!\d){_PLAIN}|\."), self.escape)

    @cached_property
    def quantifier(self) -> Expr:
        digits, comma = [self.of(d) for d in "0123456789"], self.of(",")
        some = alt(*digits)
        ordered = [Ordered(digits, 1, comma, concat(alt(*digits[1:]), repeat(some, 1)))]
        ordered += [Ordered(digits, n, comma, concat(alt(*digits[1:]), repeat(some, n)), 1) for n in (2, 3)]
        bounds = alt(self.of(r"\d+,?"), *[pair.after(()) for pair in ordered])
        braces = concat(self.of(r"\{"), bounds, self.of(r"\}"))
        return concat(alt(self.of("[*+?]"), braces), self.of(r"\??"))

    # -- brackets

    @cached_property
    def brackets(self) -> Expr:
        return Lazy("brackets", text("x]"), self.new_brackets)

    def new_brackets(self) -> Expr:
        """A hyphen makes a range unless it comes first, last, or behind a range."""
        fresh, later = ref("brackets"), ref("rest of brackets")
        single = alt(self.of(rf"[^\\\]^-]|{_CODE}|\\[b-]|{_PAIR}|{_BMP}"), self.class_escape)
        last = self.of(r"(?:\\0)?-?\]")
        ranges = alt(*self.ascii_ranges(), *self.block_ranges(), *self.escaped_ranges())
        caret = alt(concat(self.of(r"\^"), later), concat(self.range_from(0x5E, ["^"]), fresh))
        no_caret = alt(last, concat(single, later), concat(ranges, fresh))
        hyphen = alt(concat(self.of("-"), later), concat(self.range_from(0x2D, ["-"]), fresh))
        later.define(alt(no_caret, caret))
        fresh.define(alt(no_caret, caret, hyphen))
        return concat(self.of(r"\["), alt(no_caret, hyphen, concat(self.of(r"\^"), fresh)))

    def ascii_ranges(self) -> Iterator[Expr]:
        for low in range(0x80):
            raw = [] if chr(low) in "\\]^-" else [chr(low)]
            yield self.range_from(low, raw + _ESCAPES.get(low, []))

    def range_from(self, low: int, spellings: list[str]) -> Expr:
        words = [word + "-" for word in spellings]
        return (
            concat(self.alphabet.options(words), Lazy("range", text("x"), partial(self.at_least, low)))
            if words
            else EMPTY
        )

    def at_least(self, low: int) -> Expr:
        escaped = [word for code, words in _ESCAPES.items() if code >= max(low, 1) for word in words]
        raw = self.alphabet.chars(intersect(((low, 0x7F),), _RAW))
        return alt(raw, self.beyond_ascii, self.alphabet.options(escaped) if escaped else EMPTY)

    @cached_property
    def beyond_ascii(self) -> Expr:
        """A code point from U+0080 on, escaped or not."""
        h = _HEX
        return self.of(
            r"[\x80-\U0010FFFF]|"
            rf"\\x[89A-Fa-f]{h}|\\u00[89A-Fa-f]{h}|(?!\\u00){_BMP}"
            rf"|\\u\{{0*(?:[89A-Fa-f]{h}|[1-9A-Fa-f]{h}{{2,4}}|10{h}{{4}})\}}"
        )

    def block_ranges(self) -> Iterator[Expr]:
        chars, hyphen = self.alphabet.chars, self.of("-")
        for low, after in pairwise(_EDGES):
            least = low if after == low + 1 else after
            if least <= LAST:
                write = partial(lambda least: concat(hyphen, chars(((least, LAST),))), least)
                yield concat(chars(((low, after - 1),)), Lazy("range", text("-" + chr(least)), write))

    def escaped_ranges(self) -> Iterator[Expr]:
        """Both ends as `\\xFF`, as `\\uFFFF`, as `\\u{FFFF}`, or the second with more digits."""
        digits = [self.of(f"[{d}{d.upper()}]") for d in "0123456789abcdef"]
        x, u, brace = self.of(r"\\x"), self.of(r"\\u"), self.of(r"\\u\{")
        yield concat(x, Ordered(digits, 2, self.of(r"-\\x")).after(()))
        yield concat(u, _NoSurrogates(digits, 4, self.of(r"-\\u")).after(()))
        yield self.of(rf"\\x{_HEX}{{2}}-(?!\\u00){_BMP}|{_BMP}-\\u\{{(?:[1-9A-Fa-f]{_HEX}{{4}}|10{_HEX}{{4}})\}}")
        between, end = self.of(r"\}-\\u\{"), self.of(r"\}")
        for size in range(1, 6):
            longer = self.of("|".join([f"[1-9A-Fa-f]{_HEX}{{{more}}}" for more in range(size, 5)] + [f"10{_HEX}{{4}}"]))
            yield concat(brace, Ordered(digits, size, between, longer, int(size > 1)).after(()), end)


@dataclass(frozen=True)
class Ordered:
    """Two numbers of `size` digits with `between`; the second is not less than the first, or one of `longer`.

    What was read of the first is remembered, by rules that are written as they are visited.
    """

    digits: list[Expr]
    size: int
    between: Expr
    longer: Expr = EMPTY
    lowest: int = 0  # first digit

    def after(self, number: tuple[int, ...]) -> Expr:
        """What follows the first digits of the first number."""
        if len(number) == self.size:
            return concat(self.between, alt(self.longer, self.at_least(number, 0)))
        least = 2 * self.size - len(number) + minlen(self.between)
        return Lazy("ordered", text("x" * least), lambda: self.another(number))

    def another(self, number: tuple[int, ...]) -> Expr:
        allowed = self.next_digits(number)
        return alt(*[concat(self.digits[d], self.after((*number, d))) for d in allowed])

    def at_least(self, number: tuple[int, ...], at: int) -> Expr:
        """What the second number may be from the digit `at` on, when it is the same before."""
        if at == self.size:
            return EPS
        prefix = number[:at]
        greater = [d for d in self.next_digits(prefix) if d > number[at]]
        more = [concat(self.digits[d], self.any((*prefix, d))) for d in greater]
        return alt(*more, concat(self.digits[number[at]], self.at_least(number, at + 1)))

    def any(self, prefix: tuple[int, ...]) -> Expr:
        left = self.size - len(prefix)
        return repeat(alt(*self.digits), left, left)

    def next_digits(self, prefix: tuple[int, ...]) -> range:
        return range(0 if prefix else self.lowest, len(self.digits))


class _NoSurrogates(Ordered):
    """Not D800 to DFFF."""

    def any(self, prefix: tuple[int, ...]) -> Expr:
        if prefix == (13,):
            return concat(alt(*self.digits[:8]), super().any((0, 0)))
        return super().any(prefix)

    def next_digits(self, prefix: tuple[int, ...]) -> range:
        return range(8) if prefix == (13,) else super().next_digits(prefix)
