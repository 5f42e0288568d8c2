"""Hostile regexes: an answer or a typed error, each in a process with bounds on time and memory."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SECONDS, BYTES = 15, 3 << 30  # of processor time; of address space, of which a good part are libraries

PROGRAM = f"""
import itertools, json, os, random, resource, sys
from lmprog.grammars import Vocabulary, compile, regex
from lmprog.grammars.errors import LmprogError
words = ["".join(p).encode() for n in (2, 3, 5) for p in itertools.product("abc ", repeat=n)] + [b"a" * 30, b"ab" * 8]
vocab = Vocabulary([*(bytes((i,)) for i in range(256)), *words, None], {{256 + len(words)}})


def answer(pattern):
    rng, constraint = random.Random(0), compile(regex(pattern), vocab)
    state = constraint.start()
    for _ in range(40):
        constraint.mask(state)
        tokens = [t for t in rng.sample(range(vocab.size - 1), 400) if constraint.advance(state, t) is not None]
        if not tokens:
            break
        state = constraint.advance(state, tokens[0])
    return "answered"


for pattern in json.load(sys.stdin):
    if os.fork() == 0:
        resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
        resource.setrlimit(resource.RLIMIT_AS, ({BYTES}, {BYTES}))
        try:
            print(answer(pattern), flush=True)
        except LmprogError as error:
            print(type(error).__name__, flush=True)
        os._exit(0)
    if (status := os.wait()[1]) != 0:
        print("status", status, flush=True)
"""

ANSWERED = {
    "plus of plus": "(a+)+$",
    "equal alternatives": "(a|a)*",
    "overlapping alternatives": "(a|aa)+b",
    "adjacent runs": "(x+x+)+y",
    "a million": ".{1000000}",
    "a million pairs": "(ab){1,1000000}",
    "counted words": r"\w{1,1000}(?:,\w{1,1000}){0,1000}",
    "counted counts": "(a{1,50}){1,50}",
    "ten thousand words": "|".join(f"w{i}x{i * 7919 % 10007}" for i in range(10_000)),
    "ten thousand words, again and again": "(" + "|".join(f"w{i}" for i in range(10_000)) + ")*",
    "ten thousand patterns": "|".join(f"[ab]{i}c*" for i in range(10_000)),
    "exponential": "(a|b)*a(a|b){30}",
    "exponential, longer": "[ab]*a[ab]{200}",
    "complement of exponential": "(?!(a|b)*a(a|b){30}$).*",
    "look-ahead within look-ahead": "(?=.*a" * 20 + ")" * 20 + ".*",
    "not not": "(?!.*a" * 20 + ")" * 20 + ".*",
    "look-behinds": "(?:(?<=[ab])(?<![^a]))*a|.*(?<=[ab][bc]{20}|[cd]{21})x",
    "look-ahead in a loop": "(?:(?!ab|ba{30}c)[abc])*",
    "look-ahead in a count": "(?:(?!ab)[abc]){1,500}",
    "boundaries in a count": r"(?:\b\w+\b ?){1,30}",
    "large class": "[" + "".join(chr(c) for c in range(0x4E00, 0x9000, 2)) + "]{3,9}",
    "large class, negated": "[^" + "".join(chr(c) for c in range(0x4E00, 0x9000, 3)) + "]+",
    "coprime counts": "(?=(a{7})+$)(?=(a{11})+$)(?=(a{13})+$)(?=(a{17})+$)a+",
    "deep": "(?:" * 1000 + "a" + ")*" * 1000,
    "many stars": "a*" * 1000,
}
EMPTY = {
    "never": "(?!)a",
    "ahead of another": "a(?=b)c",
    "boundary within a word": r"a\bb",
    "no character": r"[^\s\S]",
    "both": "(?=.*a)(?!.*a).*",
    "lengths": "(?=[ab]{1000}$)[ab]{999}",
    "remainders": "(?=.{20}$)(a{7}){1,900}$",
    "coprime": "(?=(a{31})+$)(?!(a{31}){1,37}$)a{1,1000}",
}
REFUSED = {
    "too large a count": "a{99999999999}",
    "ten thousand parentheses": "(" * 10_000 + "a" + ")" * 10_000,
    "a million copies": "(?:(?!ab)[abc]){1,1000000}",
    "nested copies": "(?:(?:(?!ab)[ab]c?){1,100}){1,100}",
    "twenty look-aheads": "".join(f"(?=.*{c})" for c in "abcdefghijklmnopqrst") + ".{20,}",
    "five hundred look-behinds": "(?:" + "|".join(f"(?<!w{i})w" for i in range(500)) + ")*",
}
EITHER = {
    "counts thrice": "((a{1,1000}){1,1000}){1,1000}",
    "counts thrice, smaller": "((a{1,50}){1,50}b?){1,50}",
    "exponential look-aheads": "(?=.*a.{20}b)(?=.*b.{25}a).*c",
    "twenty negative look-aheads": "".join(f"(?!.*{c}.{c})" for c in "abcdefghijklmnopqrst") + ".*",
    "optional, then not": "a?" * 2000 + "a" * 2000,
    "deep options": "(" * 3000 + "a" + "b)?" * 3000,
    "nested look-aheads": "(?=" * 3000 + "a" + ")" * 3000 + "a",
    "thousand boundaries": r"(?:\b\w+\b ?){1,1000}",
}


CASES: list[tuple[set[str], dict[str, str]]] = [
    ({"answered"}, ANSWERED),
    ({"EmptyLanguage"}, EMPTY),
    ({"UnsupportedConstraint", "InvalidConstraint"}, REFUSED),
    ({"answered", "UnsupportedConstraint"}, EITHER),
]


@pytest.mark.slow
@pytest.mark.parametrize(("expected", "table"), CASES, ids=["answered", "empty", "refused", "either"])
def test_bounded(expected: set[str], table: dict[str, str]) -> None:
    given = json.dumps(list(table.values()))
    done = subprocess.run([sys.executable, "-c", PROGRAM], input=given, capture_output=True, text=True, check=True)
    found = dict(zip(table, done.stdout.splitlines(), strict=True))

    assert {} == {name: outcome for name, outcome in found.items() if outcome not in expected}
