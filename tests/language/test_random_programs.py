"""Random programs on a random model: every hole gets a valid value within its budget, or there is none that fits."""

from __future__ import annotations

import contextlib
import datetime
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jsonschema_rs
import pydantic
import pytest

import lmprog as lp
from lmprog import gen, select
from lmprog.fill import language_of
from lmprog.grammars import compile
from lmprog.testing import RandomModel

pytestmark = pytest.mark.filterwarnings("ignore::lmprog.UnclearEnd")
WORDS = ["moon", "sea", "the", "a", "ab", "abc", "math", "topic: 1", "日本", "é", "x y", '"', "12", "\n"]
CLASSES = ["[a-z]", "[0-9]", "[a-f0-9]", "[^\\n]", "\\w", "\\d", "[A-Z ]", "é", "[日本語]", "ab", "the ", "\\.", '"']


@dataclass
class Case:
    """How to make a hole with `max_tokens`, and the truth about its values, which does not come from lmprog."""

    hole: Callable[..., lp.Hole]
    valid: Callable[[Any], bool]


def random_regex(rng: random.Random, depth: int = 3) -> str:
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(CLASSES)
    inner = [random_regex(rng, depth - 1) for _ in range(rng.randint(1, 3))]
    kind = rng.randrange(5)
    if kind == 0:
        return f"(?:{'|'.join(inner)})"
    if kind == 1:
        low = rng.randint(0, 3)
        return f"(?:{inner[0]}){{{low},{low + rng.randint(0, 4)}}}"
    if kind == 2:
        return f"(?:{inner[0]}){rng.choice('*+?')}"
    return "".join(inner)


def regex_case(rng: random.Random) -> Case:
    pattern = random_regex(rng)
    return Case(lambda **kw: gen(regex=pattern, **kw), lambda v: re.fullmatch(pattern, v) is not None)


def int_case(rng: random.Random) -> Case:
    low = rng.randint(-1000, 1000)
    high = low + rng.choice([0, 1, 9, 1000, 10**9])
    return Case(lambda **kw: gen(int, ge=low, le=high, **kw), lambda v: type(v) is int and low <= v <= high)


def choice_case(rng: random.Random) -> Case:
    options = rng.sample(WORDS, rng.randint(1, len(WORDS)))
    if rng.random() < 0.3:
        return Case(lambda name, **kw: select(options, name=name), lambda v: v in options)
    return Case(lambda **kw: gen(choices=options, **kw), lambda v: v in options)


def free_case(rng: random.Random) -> Case:
    stop = rng.choice([None, "\n", [". ", "a"], ["the", "he", "日"]])
    stops = [stop] if isinstance(stop, str) else stop or []
    return Case(lambda **kw: gen(stop=stop, **kw), lambda v: not any(s in v for s in stops))


def random_schema(rng: random.Random, depth: int = 2) -> dict[str, Any]:
    kind = rng.choice(
        ["string", "integer", "enum", "boolean", "number", "array", "object", "object"] if depth else ["enum"]
    )
    if kind == "enum":
        return {"enum": rng.sample(["red", 3, None, True, "é\n", 2.5], rng.randint(1, 4))}
    if kind == "string":
        low = rng.randint(0, 3)
        return {"type": "string", "minLength": low, "maxLength": low + rng.randint(0, 20)}
    if kind == "integer":
        low = rng.randint(-50, 50)
        return {"type": "integer", "minimum": low, "maximum": low + rng.randint(0, 500)}
    if kind == "array":
        low = rng.randint(0, 2)
        return {
            "type": "array",
            "items": random_schema(rng, depth - 1),
            "minItems": low,
            "maxItems": low + rng.randint(0, 3),
        }
    if kind == "object":
        names = rng.sample(["name", "age", "é", "the sea", "x"], rng.randint(1, 3))
        properties = {name: random_schema(rng, depth - 1) for name in names}
        required = rng.sample(names, rng.randint(0, len(names)))
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    if kind == "number":  # bounded: an unbounded one may be too large for a float
        return {"type": "number", "exclusiveMinimum": -1000, "maximum": rng.choice([0.5, 1e6])}
    return {"type": kind}


def schema_case(rng: random.Random) -> Case:
    schema = random_schema(rng)
    validator = jsonschema_rs.validator_for(schema)
    return Case(lambda **kw: gen(json=schema, **kw), validator.is_valid)


def type_case(rng: random.Random) -> Case:
    tp, check = rng.choice(
        [
            (bool, lambda v: type(v) is bool),
            (float, lambda v: type(v) is float),
            (datetime.date, lambda v: type(v) is datetime.date),
            (Literal["a", 3], lambda v: v in ("a", 3)),
            (list[int], lambda v: all(type(x) is int for x in v)),
        ]
    )
    return Case(lambda **kw: gen(tp, **kw), check)


def model_case(rng: random.Random) -> Case:
    low = rng.randint(0, 100)
    fields: dict[str, Any] = {
        "title": (str, pydantic.Field(max_length=rng.randint(1, 30))),
        "count": (int, pydantic.Field(ge=low, le=low + 50)),
        "kind": (Literal["math", "poem"], ...),
        "done": (bool, ...),
        "note": (str | None, None),
        "tags": (list[Literal["a", "b"]], pydantic.Field(max_length=3)),
    }
    names = rng.sample(list(fields), rng.randint(1, 4))
    model = pydantic.create_model("Model", **{name: fields[name] for name in names})
    return Case(
        lambda **kw: gen(model, **kw),
        lambda v: type(v) is model and model.model_validate_json(v.model_dump_json()) == v,
    )


BORDERS: list[Literal["heal", "token"] | None] = [None, None, "token"]
FOLLOWS = [" ", "\n", ", then ", "\n\nNext: ", "12", '"']
CASES = [regex_case, regex_case, int_case, choice_case, free_case, schema_case, type_case, model_case]


Truth = dict[str, tuple[Case, int | None]]


def random_hole(rng: random.Random, truth: Truth) -> lp.Hole:
    case = rng.choice(CASES)(rng)
    budget = rng.choice([None, 1, 2, 3, 5, 8, 20, 60])
    name = f"hole {len(truth)}"
    hole = case.hole(
        name=name, max_tokens=budget, temperature=rng.choice([0.0, 0.5, 1.5]), boundary=rng.choice(BORDERS)
    )
    truth[name] = case, hole.max_tokens
    return hole


def write(p: lp.Prompt, rng: random.Random, truth: Truth) -> None:
    """The body of a random program."""
    for _ in range(rng.randint(1, 3)):
        parts: list[Any] = []
        for _ in range(rng.randint(1, 3)):
            parts += [rng.choice(WORDS)] * rng.randint(0, 2)
            parts.append(random_hole(rng, truth))
            parts += [rng.choice(FOLLOWS)] * rng.randint(0, 1)
        if rng.random() < 0.3:
            parts.insert(0, p("nested ", select(["x", "y"]), "\n"))
        if rng.random() < 0.5:
            with contextlib.suppress(lp.BudgetError):
                p(*parts)
        else:
            write_each(p, parts)


def write_each(p: lp.Prompt, parts: list[Any]) -> None:
    """Part by part; a hole that nothing fits into is left out."""
    for part in parts:
        try:
            p(part)
        except lp.BudgetError:
            constraint = compile(language_of(part), RANDOM.vocab)
            assert constraint.distance(constraint.start()) > part.max_tokens


RANDOM = RandomModel(7)


def run_one(seed: int) -> int:
    """How many holes were filled."""
    truth: Truth = {}
    run = lp.program(write).run(random.Random(seed), truth, model=RANDOM, seed=seed)
    filled = [c for c in run.captures.all() if c.name in truth]
    for capture in filled:
        case, budget = truth[capture.name]
        assert case.valid(capture.value), (seed, capture)
        assert budget is None or len(capture.tokens) <= budget, (seed, capture)
        assert run.text[slice(*capture.span)] == capture.text
    return len(filled)


@pytest.mark.parametrize("block", range(10))
def test_random_programs(block: int) -> None:
    assert sum(run_one(seed) for seed in range(block * 10, block * 10 + 10)) > 10


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10, 50))
def test_more_random_programs(block: int) -> None:
    assert sum(run_one(seed) for seed in range(block * 10, block * 10 + 10)) > 10
