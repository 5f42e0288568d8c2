"""Random expressions for property tests."""

from __future__ import annotations

import itertools
import random

from lmprog.grammars.derive import minlen, solve
from lmprog.grammars.errors import UnsupportedConstraint
from lmprog.grammars.expr import Expr, alt, both, chars, concat, negate, options, ref, repeat, text

ALPHABET = "ab é"


def random_expr(rng: random.Random, depth: int = 3) -> Expr:
    if depth == 0:
        return rng.choice(
            [
                text(rng.choice(["a", "b", "ab", "é", "ba "])),
                chars([(ord("a"), ord("b"))]),
                options(rng.sample(["a", "ab", "b", "", "aé"], 3)),
            ]
        )
    below = [random_expr(rng, depth - 1) for _ in range(2)]
    match rng.randrange(7):
        case 0 | 1:
            return concat(*below)
        case 2:
            return alt(*below)
        case 3:
            low = rng.randrange(3)
            return repeat(below[0], low, rng.choice([None, low + rng.randrange(3)]))
        case 4:
            return both(*below)
        case 5:
            return both(repeat(chars([(97, 98), (32, 32)]), 0, 5), negate(below[0]))
        case _:
            rule = ref("r")
            return rule.define(alt(below[0], concat(text("a"), rule, text("b"))))


def solved(seed: object) -> Expr:
    """A random expression; those whose emptiness is out of reach (recursion under `both`) are passed over."""
    for attempt in itertools.count():
        e = random_expr(random.Random(f"{seed}.{attempt}"))
        try:
            solve(e)
            minlen(e)
        except UnsupportedConstraint:
            continue
        return e
    raise AssertionError
