"""Random patterns and texts against Python's `re`, the `regex` module and, where it is installed, Node's RegExp."""

from __future__ import annotations

import itertools
import json
import random
import re
import shutil
import subprocess

import pytest
import regex

from lmprog.grammars.expr import Expr, matches
from lmprog.grammars.regex import PLAIN, search, whole
from lmprog.grammars.regex_parse import Dialect

from .patterns import SHARED, Patterns, texts

SHORT = ["".join(word) for n in range(3) for word in itertools.product("ab \n", repeat=n)]
LONG = ["".join(word) for n in range(5) for word in itertools.product("ab ", repeat=n)]
FEW = ["".join(word) for n in range(9) for word in itertools.product("ab", repeat=n)]


def both_readings(pattern: str, dialect: Dialect) -> tuple[Expr, Expr]:
    return whole(pattern, dialect, PLAIN), search(pattern, dialect, PLAIN)


def compared(pattern: str, words: list[str]) -> None:
    full, anywhere = both_readings(pattern, "python")
    known = re.compile(pattern)
    for word in words:
        assert bool(known.fullmatch(word)) == matches(full, word.encode()), (pattern, word)
        assert bool(known.search(word)) == matches(anywhere, word.encode()), (pattern, word)


@pytest.mark.parametrize("block", range(10))
def test_python(block: int) -> None:
    for seed in range(block * 40, block * 40 + 40):
        rng = random.Random(seed)
        pattern = Patterns(rng).pattern()
        if pattern.source.count("?P<n>") < 2:
            compared(pattern.source, [*texts(pattern, rng, 12), *SHORT])


@pytest.mark.parametrize("seed", range(30))
def test_every_text_of_a_small_alphabet(seed: int) -> None:
    rng = random.Random(f"small {seed}")
    small = Patterns(rng)
    small.atoms = {"a": "a", "b": "b", "[ab]": "ab", ".": "ab", "[^a]": "b", "(?i:A)": "a", r"\w": "ab", r"\W": " "}
    compared(small.pattern().source, LONG if seed % 2 else FEW)


@pytest.mark.parametrize("seed", range(60))
def test_properties_equal_the_regex_module(seed: int) -> None:
    rng = random.Random(f"regex {seed}")
    source = Patterns(rng)
    source.atoms = {**SHARED, r"\p{L}": "aé", r"\P{Lu}": "ab1", r"[\p{Nd}b]": "1b", r"[^\p{Ll}]": "A1", r"\p{P}": "-"}
    pattern = source.pattern()
    if r"\B" in pattern.source:
        return  # nor is it of one mind with `re` about the empty text
    if "(?" in pattern.source[:2] and "i" in pattern.source[: pattern.source.index(")")]:
        return  # `regex` folds case in its own way
    known = regex.compile(pattern.source, regex.V0)
    full, anywhere = both_readings(pattern.source, "python")
    for word in texts(pattern, rng, 12):
        assert bool(known.fullmatch(word)) == matches(full, word.encode()), word
        assert bool(known.search(word)) == matches(anywhere, word.encode()), word


PROGRAM = """
const jobs = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(jobs.map(([source, words]) => {
  const whole = new RegExp(`^(?:${source})$`, 'u'), search = new RegExp(source, 'u');
  return words.map(word => [whole.test(word), search.test(word)]);
})));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node, the oracle of ECMA-262, is not on PATH")
def test_ecma() -> None:
    jobs = []
    for seed in range(300):
        rng = random.Random(f"ecma {seed}")
        pattern = Patterns(rng, ecma=True).pattern()
        jobs.append((pattern.source, [*texts(pattern, rng, 12), *SHORT]))
    done = subprocess.run(["node", "-e", PROGRAM], input=json.dumps(jobs), capture_output=True, text=True, check=True)
    for (source, words), verdicts in zip(jobs, json.loads(done.stdout), strict=True):
        full, anywhere = both_readings(source, "ecma")
        for word, expected in zip(words, verdicts, strict=True):
            assert expected == [matches(full, word.encode()), matches(anywhere, word.encode())], (source, word)


FOUND = [  # patterns that were once judged wrongly, with the reason
    (r"a(?!\W).", "éab"),  # sets of characters were told apart only where the look-ahead left something
    (r"(?:\b)+a", "ab "),  # a group of an edge may be repeated
    (r"(?:a^)+", "ab"),  # nothing can follow what is repeated
    (r"[ab]*\A", "ab"),
    (r"(?:(?![]a])(?:a)*?){2,}", "ab]"),  # intersections nested ever deeper
    (r"(?:(?:a|\b){2} )*", "ab "),
    (r"(?i)\w", "\u0345a"),  # the case of classes is not ignored
]


@pytest.mark.parametrize(("pattern", "alphabet"), FOUND)
def test_found_before(pattern: str, alphabet: str) -> None:
    compared(pattern, ["".join(word) for n in range(5) for word in itertools.product(alphabet, repeat=n)])
