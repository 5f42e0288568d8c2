"""Python types: whatever is generated is read as a value of the type, and what pydantic writes is accepted."""

from __future__ import annotations

import enum
import functools
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, Required, TypedDict, TypeVar
from uuid import UUID

import pytest
from pydantic import UUID4 as Random
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    HttpUrl,
    NaiveDatetime,
    StringConstraints,
    Tag,
    ValidationError,
    computed_field,
    conint,
    constr,
    field_validator,
)

from lmprog.grammars import Grammar, InvalidConstraint, UnsupportedConstraint, Vocabulary, compile, from_type
from lmprog.grammars.constraint import Automatic
from lmprog.grammars.type_schema import adapter

VOCAB = Vocabulary([*(bytes((i,)) for i in range(256)), b'":', b"true", "é".encode(), None], {259})
T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = 'bl"ue'


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 10


class Kind(enum.StrEnum):
    A = "a"
    B = "b"


class Address(BaseModel):
    street: str = Field(max_length=8)
    number: int = Field(ge=1, le=999)


class Person(BaseModel):
    """Aliases, limits, defaults, nesting, and a field that is computed."""

    model_config = ConfigDict(populate_by_name=True)
    full_name: str = Field(alias="name", min_length=1, max_length=5)
    born: date
    address: Address | None = None
    scores: list[Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=list, max_length=3)
    favourite: Colour = Colour.RED

    @computed_field  # type: ignore[prop-decorator]
    @property
    def initial(self) -> str:
        return self.full_name[:1]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=0, le=9)


class Dog(BaseModel):
    kind: Literal["dog", "puppy"] = "dog"
    name: constr(pattern="^[a-z]{2,4}$")  # type: ignore[valid-type]


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    others: tuple[Cat | Dog, ...] = ()


class Tree(BaseModel):
    value: int
    children: list[Tree] = Field(default_factory=list, max_length=2)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Page(BaseModel, Generic[T]):
    items: list[T] = Field(max_length=2)
    next: T | None


@dataclass
class Point:
    x: float
    y: float = 0.0


@dataclass
class Line:
    points: list[Point] = field(default_factory=list)
    label: str | None = None
    width: Annotated[int, Field(gt=0, multiple_of=5, lt=100)] = 5


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Loose(TypedDict, total=False):
    id: Required[int]
    movie: Movie
    tags: set[Kind]


class Endless(TypedDict):
    more: list[Endless]


class Pair(NamedTuple):
    left: int
    right: str = "r"


Short = Annotated[str, StringConstraints(min_length=1, max_length=4)]

SCALARS: dict[str, tuple[Any, list[Any]]] = {
    "int": (int, [0, -5, 10**20]),
    "bounded int": (Annotated[int, Field(gt=-3, le=250)], [-2, 0, 250]),
    "conint": (conint(ge=10, multiple_of=7), [14, 70]),
    "float": (float, [0.0, -1.5, 1e100, 3e-7]),
    "bounded float": (Annotated[float, Field(ge=0.25, lt=1e3)], [0.25, 999.5]),
    "bool": (bool, [True, False]),
    "str": (Short, ["a", "é日\n"]),
    "pattern": (constr(pattern=r"^[A-Z]\d{2,3}$"), ["A12", "Z999"]),
    "Decimal": (Decimal, [Decimal("1.50"), Decimal(-3)]),
    "price": (Annotated[Decimal, Field(max_digits=5, decimal_places=2, ge=0)], [Decimal("123.45"), Decimal("0.5")]),
    "digits": (Annotated[Decimal, Field(max_digits=3)], [Decimal("123"), Decimal("1.2"), Decimal("0.12")]),
    "date": (date, [date(2024, 2, 29), date(1, 1, 1), date(9999, 12, 31)]),
    "time": (time, [time(0), time(23, 59, 59, 123456)]),
    "datetime": (datetime, [datetime(2024, 5, 6, 7, 8, 9), datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)]),
    "aware": (AwareDatetime, [datetime(2024, 5, 6, tzinfo=timezone(timedelta(hours=-5, minutes=-30)))]),
    "naive": (NaiveDatetime, [datetime(2024, 5, 6, 1, 2, 3, 4)]),
    "timedelta": (timedelta, [timedelta(0), timedelta(days=-3, seconds=5), timedelta(days=400, microseconds=7)]),
    "UUID": (UUID, [UUID(int=0), UUID("12345678-1234-4234-8234-1234567890ab")]),
    "UUID4": (Random, [UUID("12345678-1234-4234-8234-1234567890ab")]),
    "Enum": (Colour, list(Colour)),
    "IntEnum": (Level, list(Level)),
    "StrEnum": (Kind, list(Kind)),
    "Literal": (Literal["yes", 3, None, True, Kind.B], ["yes", 3, None, True, Kind.B]),
    "None": (None, [None]),
    "Optional": (int | None, [None, 4]),
    "union": (int | Literal["none", "many"] | date, [3, "many", date(2000, 1, 1)]),
    "url": (HttpUrl, [HttpUrl("https://a.example/x?y=1#z")]),
}

COMPOSITES: dict[str, tuple[Any, list[Any]]] = {
    "list": (list[int], [[], [1, -2]]),
    "bounded list": (Annotated[list[Kind], Field(min_length=1, max_length=3)], [[Kind.A, Kind.B]]),
    "set": (set[Level], [set(), {Level.LOW, Level.HIGH}]),
    "frozenset": (Annotated[frozenset[Literal[1, 2, 3]], Field(min_length=2)], [frozenset({1, 3})]),
    "tuple": (tuple[int, bool, None], [(1, True, None)]),
    "variadic tuple": (tuple[float, ...], [(), (1.5, 2.0)]),
    "empty tuple": (tuple[()], [()]),
    "dict": (dict[str, int], [{}, {"a": 1, 'é"': 2}]),
    "int keys": (dict[int, bool], [{1: True, -20: False}]),
    "key pattern": (dict[constr(pattern="^k[0-9]$"), date], [{"k1": date(2020, 1, 2)}]),  # type: ignore[misc]
    "enum keys": (dict[Kind, int], [{Kind.A: 3}]),
    "literal keys": (Annotated[dict[Literal["x", "y"], int], Field(min_length=1)], [{"x": 3, "y": 1}]),
    "mapping": (Mapping[str, Sequence[int]], [{"a": [1]}]),
    "any": (dict[str, Any], [{"a": [1, None, {"b": "c"}]}]),
    "nested": (list[dict[str, tuple[int, ...]] | None], [[None, {"a": (1, 2)}]]),
    "model": (
        Person,
        [
            Person(name="Ann", born=date(1990, 1, 1)),
            Person(name="é", born=date(1, 1, 1), address=Address(street="S", number=9), scores=[0.5, 1]),
        ],
    ),
    "discriminated": (Owner, [Owner(pet=Cat(kind="cat", lives=3), others=(Dog(name="rex"), Cat(kind="cat", lives=0)))]),
    "recursive": (Tree, [Tree(value=1, children=[Tree(value=2), Tree(value=3, children=[Tree(value=4)])])]),
    "open": (Open, [Open(a=1), Open(a=2, b=[1])]),  # type: ignore[call-arg]
    "generic": (Page[Level], [Page[Level](items=[Level.LOW], next=None)]),
    "dataclass": (Line, [Line(), Line([Point(1, 2), Point(3)], "l", 95)]),
    "typed dict": (Movie, [{"title": "t"}, {"title": "t", "year": 1999}]),
    "partial typed dict": (Loose, [{"id": 1}, {"id": 1, "movie": {"title": "x"}, "tags": {Kind.A}}]),
    "typed dicts inside": (dict[str, Movie | Annotated[Loose, "m"] | None], [{"a": {"title": "t"}, "b": None}]),
    "named tuple": (Pair, [Pair(1, "x")]),
    "optional model": (Address | None, [None, Address(street="x", number=1)]),
    "scalars inside": (
        tuple[UUID, time, timedelta, Colour, HttpUrl],
        [(UUID(int=3), time(1, 2), timedelta(hours=3), Colour.BLUE, HttpUrl("http://a.b/"))],
    ),
    "addresses": (tuple[IPv4Address, IPv6Address, Path], [(IPv4Address("1.2.3.4"), IPv6Address("::1"), Path("a/b"))]),
}
TYPES = SCALARS | COMPOSITES


@functools.cache
def grammar(name: str) -> Grammar:
    return from_type(TYPES[name][0])


def generated(grammar: Grammar, seed: int) -> str:
    """A random text of the grammar: at random for a while, then to a nearest end."""
    c, rng = compile(grammar, VOCAB), random.Random(seed)
    assert isinstance(c, Automatic)
    s, out = c.start(), b""
    for _ in range(rng.choice([0, 5, 20, 60])):
        if c.finished(s):
            break
        ids = c.allowed(s, 300)
        assert ids is not None
        token = int(rng.choice(ids))
        if token == 259:
            return out.decode()
        s, out = c.advance(s, token) or 0, out + (VOCAB.token_bytes[token] or b"")
    return (out + c._automaton.shortest(s)).decode()


@pytest.mark.parametrize("name", TYPES)
def test_every_text_is_read_as_a_value_of_the_type(name: str) -> None:
    tp, known = TYPES[name]
    for seed in range(60):
        text = generated(grammar(name), seed)
        value = grammar(name).parse(text)

        assert grammar(name).matches(text)
        assert type(value) in {type(v) for v in known}
        assert adapter(tp).validate_python(value) == value


@pytest.mark.parametrize("name", COMPOSITES)
def test_what_pydantic_writes_is_accepted_and_read_back(name: str) -> None:
    tp, known = COMPOSITES[name]
    for value in known:
        text = adapter(tp).dump_json(value, by_alias=True, exclude_computed_fields=True).decode()

        assert grammar(name).matches(text), text
        assert grammar(name).parse(text) == value


@pytest.mark.parametrize("name", SCALARS)
def test_scalars_are_bare(name: str) -> None:
    tp, known = SCALARS[name]
    for value in known:
        written = json.loads(adapter(tp).dump_json(value), parse_float=str, parse_int=str)
        text = written if isinstance(written, str) else json.dumps(written)

        assert grammar(name).matches(text), text
        assert grammar(name).parse(text) == value


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("bounded int", ["-3", "251", "01", "1.0", ""]),
        ("price", ["1234", "0.123", "-1", "1000.00"]),
        ("digits", ["1234", "12.34", "0.1234"]),
        ("date", ["2023-02-29", "0000-01-01", "2024-1-1"]),
        ("naive", ["2024-05-06T00:00:00Z"]),
        ("aware", ["2024-05-06T00:00:00"]),
        ("UUID4", ["00000000-0000-1000-8000-000000000000"]),
        ("frozenset", ["[1]", "[1,1]", "[4,1]"]),
        ("literal keys", ["{}", '{"z":1}']),
        ("discriminated", ['{"pet":{"name":"rex"}}', '{"pet":{"kind":"cat","name":"rex"}}']),
        ("model", ['{"full_name":"A","born":"2000-01-01"}', '{"name":"A","born":"2000-01-01","initial":"A"}']),
        ("named tuple", ['[1,"a",2]', '["a",1]', "[]"]),
        ("partial typed dict", ["{}", '{"id":1,"more":2}']),
    ],
)
def test_what_does_not_fit_is_forbidden(name: str, wrong: list[str]) -> None:
    for text in wrong:
        assert not grammar(name).matches(text), text


def later(value: int) -> int:
    if value % 2:
        raise ValueError("odd")
    return value


class Checked(BaseModel):
    n: Annotated[int, Field(ge=0, le=3), AfterValidator(later)]
    s: Annotated[str, BeforeValidator(str.strip), Field(max_length=2)] = ""

    @field_validator("s")
    @classmethod
    def short(cls, value: str) -> str:
        return value.upper()


def test_validators_in_code_are_checks_after_generation() -> None:
    grammar = from_type(Checked)

    assert grammar.matches('{"n":1}')
    assert not grammar.matches('{"n":4}')
    assert grammar.parse('{"n":2,"s":"a"}') == Checked(n=2, s="A")
    with pytest.raises(ValidationError, match="odd"):
        grammar.parse('{"n":1}')


class Timed(BaseModel):
    other: int
    when: Annotated[date, Field(ge=date(2000, 1, 1))]


class Outer(BaseModel):
    inner: list[Timed]


@pytest.mark.parametrize(
    ("tp", "error", "message"),
    [
        (Outer, UnsupportedConstraint, r"bounds on dates .*\(at field 'when'\)"),
        (dict[float, int], UnsupportedConstraint, "keys of type float"),
        (complex, UnsupportedConstraint, "complex"),
        (Callable[[], int], UnsupportedConstraint, "no JSON Schema"),
        (Annotated[Cat | Dog, Discriminator(lambda value: "cat")], InvalidConstraint, "cannot be read as a type"),
        (
            Annotated[Annotated[Cat, Tag("c")] | Annotated[Dog, Tag("d")], Discriminator(lambda value: "c")],
            UnsupportedConstraint,
            "discriminator that is not a field",
        ),
        (constr(pattern="(?=a)b"), InvalidConstraint, "look-around"),
        (Endless, UnsupportedConstraint, "Endless is recursive"),
        (object(), InvalidConstraint, "cannot be read as a type"),
        (Vocabulary, InvalidConstraint, "cannot be read as a type"),
    ],
)
def test_what_cannot_be_enforced_is_refused(tp: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        from_type(tp)


def test_decimals_inside_json_are_numbers() -> None:
    grammar = from_type(list[Decimal])

    assert grammar.parse("[1.5,-3,1e-07]") == [Decimal("1.5"), Decimal(-3), Decimal("1E-7")]
    assert not grammar.matches("[1e301]")  # it would be read as infinite
    for seed in range(100):
        assert all(x.is_finite() for x in grammar.parse(generated(grammar, seed)))


def test_bytes_are_text() -> None:
    assert from_type(bytes).parse("é") == "é".encode()
