"""Random regexes together with texts that are likely to match, or nearly."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

ALPHABET = "abA1_ \n-éſKİßσ"
SHARED = {
    "a": "a", "b": "bb", "ab": ("ab",), ".": "ab1é ", "[ab]": "ab", "[^a]": "b1 é", "é": "é", r"\d": "1", r"\D": "ab ",
    r"\w": "ab1_é", r"\W": " -", r"\s": " \n", r"\S": "ab-", "[a-b1]": "ab1", r"[\w-]": "a-", r"[^\s\d]": "ab_",
    r"\n": "\n", r"\x61": "a", "-": "-", " ": " ", r"[^\W_]": "a1", r"\u00e9": "é", "[A-Z]": "A", "[a-zß-é]": "aéß",
}  # fmt: skip
PYTHON = {r"[]a]": "]a", r"\141": "a", r"\N{LATIN SMALL LETTER B}": "b", "[^]]": "ab", "(?i:a)": "aA", "(?a:\\w)": "a1",
          "(?i:k)": "kK\u212a", "(?i:[^s])": "ab", "(?i:σ)": "σςΣ", "(?s:.)": "a\n", "(?i:İ)": "iİ", "(?i:ß)": "ßẞ",
          "(?x: a b )": ("ab",), "(?P<n>a)": "a", "a(?#b)": "a"}  # fmt: skip
ECMA = {r"\u{61}": "a", "[^]": "ab\n", r"\cJ": "\n", r"\p{L}": "aé", r"\P{Lu}": "ab1", r"[\p{Nd}b]": "1b"}
EDGES = ["^", "$", r"\b", r"\B"]
REPEATS = {
    "*": (0, 3),
    "+": (1, 3),
    "?": (0, 1),
    "*?": (0, 2),
    "{2}": (2, 2),
    "{1,3}": (1, 3),
    "{0,2}?": (0, 2),
    "{2,}": (2, 4),
}


@dataclass(frozen=True)
class Pattern:
    """`sample` gives a text that it matches but for its assertions; `width`: -1 if it varies."""

    source: str
    sample: Callable[[random.Random], str]
    width: int
    edge: bool = False


class Patterns:
    """`looks`: whether there may be look-around, and how deep."""

    def __init__(self, rng: random.Random, *, ecma: bool = False, looks: int = 2) -> None:
        self.rng, self.ecma, self.looks = rng, ecma, looks
        self.atoms = {**SHARED, **(ECMA if ecma else PYTHON)}

    def pattern(self, depth: int = 3) -> Pattern:
        found = self.node(depth)
        flags = (
            ""
            if self.ecma or self.rng.random() < 0.6
            else f"(?{''.join(self.rng.sample('imsa', self.rng.randrange(1, 4)))})"
        )
        return Pattern(flags + found.source, found.sample, found.width)

    def node(self, depth: int) -> Pattern:
        if depth <= 0 or self.rng.random() < 0.15:
            return self.atom()
        kinds = [self.cat, self.cat, self.alt, self.repeat, self.repeat, self.edge] + [self.look] * (self.looks > 0)
        return self.rng.choice(kinds)(depth - 1)

    def atom(self) -> Pattern:
        source, texts = self.rng.choice(list(self.atoms.items()))
        return Pattern(source, lambda rng: rng.choice(texts), len(texts[0]))

    def cat(self, depth: int) -> Pattern:
        parts = [self.node(depth) for _ in range(self.rng.randrange(2, 4))]
        width = -1 if any(p.width < 0 for p in parts) else sum(p.width for p in parts)
        return Pattern("".join(p.source for p in parts), lambda rng: "".join(p.sample(rng) for p in parts), width)

    def alt(self, depth: int) -> Pattern:
        parts = [self.node(depth) for _ in range(self.rng.randrange(2, 4))]
        if self.rng.random() < 0.15:
            parts.append(Pattern("", lambda _: "", 0))
        widths = {p.width for p in parts}
        return Pattern(
            f"(?:{'|'.join(p.source for p in parts)})",
            lambda rng: rng.choice(parts).sample(rng),
            widths.pop() if len(widths) == 1 else -1,
        )

    def repeat(self, depth: int) -> Pattern:
        body, (sign, (low, high)) = self.node(depth), self.rng.choice(list(REPEATS.items()))
        return Pattern(
            f"(?:{body.source}){sign}",
            lambda rng: "".join(body.sample(rng) for _ in range(rng.randint(low, high))),
            low * body.width if sign == "{2}" and body.width >= 0 else -1,
        )

    def edge(self, depth: int) -> Pattern:
        edges = [*EDGES, *([] if self.ecma else [r"\A", r"\Z", "(?m:^)", "(?m:$)"])]
        return Pattern(self.rng.choice(edges), lambda _: "", 0, edge=True)

    def look(self, depth: int) -> Pattern:
        sign = self.rng.choice(["?=", "?!", "?<=", "?<!"])
        below = Patterns(self.rng, ecma=self.ecma, looks=self.looks - 1 if "<" not in sign else 0)
        body = below.behind() if "<" in sign else below.node(depth)
        return Pattern(f"({sign}{body.source})", lambda _: "", 0, edge=True)

    def behind(self) -> Pattern:
        """Of one width, as Python wants it; without word boundaries and line ends."""
        parts = [self.atom() for _ in range(self.rng.randrange(1, 3))]
        if self.rng.random() < 0.2:
            parts.insert(0, Pattern("^", lambda _: "", 0))
        source = "".join(p.source for p in parts)
        if self.rng.random() < 0.3:
            other = "." * sum(p.width for p in parts)
            return Pattern(f"(?:{source}|{other})", lambda _: "", len(other))
        return Pattern(source, lambda _: "", sum(p.width for p in parts))


def texts(pattern: Pattern, rng: random.Random, count: int) -> list[str]:
    """Samples, most of them with a character or two changed, and some put between others."""
    out = [""]
    for _ in range(count):
        text = pattern.sample(rng)
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice([*ALPHABET, ""]) + text[at + rng.randrange(2) :]
        out.append(text[:12])
    return out
