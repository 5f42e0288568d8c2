"""Random schemas against jsonschema-rs: verdicts on random values, and texts found by random walks under the masks."""

import json
import random
from typing import Any

import jsonschema_rs
import pytest

from lmprog.grammars import (
    ConstraintError,
    EmptyLanguage,
    InvalidConstraint,
    UnsupportedConstraint,
    Vocabulary,
    compile,
)
from lmprog.grammars import json_schema as grammar_of

from .schemas import Schemas

VALIDATORS = {
    4: jsonschema_rs.Draft4Validator,
    6: jsonschema_rs.Draft6Validator,
    7: jsonschema_rs.Draft7Validator,
    2019: jsonschema_rs.Draft201909Validator,
    2020: jsonschema_rs.Draft202012Validator,
}
SEPARATORS = {"flexible": None, "spaced": None, "compact": (",", ":")}
BYTES = Vocabulary([*[bytes([i]) for i in range(256)], None], eos={256})


def compiled(schema: Any, **options: Any) -> Any:
    """None when nothing is valid; refused schemas raise UnsupportedConstraint."""
    try:
        return compile(grammar_of(schema, **options), BYTES)
    except EmptyLanguage:
        return None


def accepts(constraint: Any, text: str) -> bool:
    state = constraint and constraint.start()
    for byte in text.encode():
        if state is None:
            return False
        state = constraint.advance(state, byte)
    return state is not None and constraint.accepting(state)


def walk(constraint: Any, r: random.Random, budget: int) -> str:
    """A random text of at most `budget` bytes."""
    state, out = constraint.start(), bytearray()
    while True:
        mask = constraint.mask(state, budget - len(out))
        allowed = [i for i in range(257) if mask[i // 32] >> (i % 32) & 1]
        token = r.choice(allowed)
        if token == 256:
            return out.decode()
        out.append(token)
        state = constraint.advance(state, token)


@pytest.mark.parametrize("style", ["flexible", "spaced", "compact"])
@pytest.mark.parametrize("draft", [4, 6, 7, 2019, 2020])
def test_verdicts(draft: int, style: str) -> None:
    checked = compare(draft, style, range(25))

    assert checked > 200


@pytest.mark.slow
@pytest.mark.parametrize("draft", [4, 6, 7, 2019, 2020])
def test_more_verdicts(draft: int) -> None:
    checked = compare(draft, "compact", range(1000, 1150))

    assert checked > 1000


def compare(draft: int, style: str, seeds: range) -> int:
    checked = 0
    for seed in seeds:
        r = random.Random(f"{draft} {style} {seed}")
        make = Schemas(r, draft)
        schema = make.root(r.choice([1, 2, 3]))
        order = "schema" if r.random() < 0.3 else "any"
        try:
            constraint = compiled(schema, order=order, whitespace=style)
        except (UnsupportedConstraint, InvalidConstraint):  # among them: $ref that leads back to itself
            continue
        validator = VALIDATORS[draft](schema)
        for _ in range(12):
            value = make.fitting(schema, schema) if r.random() < 0.8 else make.value(3)
            text = json.dumps(value, ensure_ascii=False, separators=SEPARATORS[style])
            found, valid = accepts(constraint, text), validator.is_valid(value)
            assert found <= valid, (text, schema)
            assert found == valid or order == "schema", (text, schema)
            checked += 1
    return checked


@pytest.mark.parametrize("order", ["schema", "any"])
@pytest.mark.parametrize("style", ["flexible", "compact"])
def test_walks(style: str, order: str) -> None:
    """Keys may recur and numbers be long; what `json.loads` makes of the text is valid all the same."""
    done = 0
    for seed in range(40):
        r = random.Random(f"{order} {style} {seed}")
        make = Schemas(r)
        schema = make.root(2)
        try:
            constraint = compiled(schema, order=order, whitespace=style)
        except ConstraintError:
            continue
        if constraint is None:
            continue
        validator = VALIDATORS[2020](schema)
        for budget in (constraint.distance(constraint.start()), 40, 120):
            if budget >= constraint.distance(constraint.start()):
                text = walk(constraint, r, budget)
                assert len(text.encode()) <= budget
                assert validator.is_valid(json.loads(text)), (text, schema)
                done += 1

    assert done > 50
