"""Python types: whatever is generated is read as a value of the type, and what pydantic writes is accepted."""

from __future__ import annotations

import enum
import functools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, Optional, Required, TypedDict, TypeVar, Union
from uuid import UUID

import pytest
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    NaiveDatetime,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    computed_field,
    conint,
    constr,
    field_validator,
)
from pydantic import UUID4 as Random

from lmprog.grammars import Grammar, InvalidConstraint, UnsupportedConstraint, Vocabulary, compile, from_type
from lmprog.grammars.constraint import Automatic
from lmprog.grammars.type_schema import adapter

VOCAB = Vocabulary([*(bytes((i,)) for i in range(256)), b'":', b"true", "é".encode(), None], {259})
T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "bl\"ue"


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


class Pair(NamedTuple):
    left: int
    right: str = "r"


Short = Annotated[str, StringConstraints(min_length=1, max_length=4)]
Node = Annotated[Union[int, "list[Node]"], "recursive"]

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
    "datetime": (datetime, [datetime(2024, 5, 6, 7, 8, 9), datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc)]),
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
    "Optional": (Optional[int], [None, 4]),
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
    "named tuple": (Pair, [Pair(1, "x")]),
    "optional model": (Address | None, [None, Address(street="x", number=1)]),
    "scalars inside": (
        tuple[Decimal, UUID, time, timedelta, Colour, HttpUrl],
        [(Decimal("1.5"), UUID(int=3), time(1, 2), timedelta(hours=3), Colour.BLUE, HttpUrl("http://a.b/"))],
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
    check = adapter(tp)
    for seed in range(60):
        text = generated(grammar(name), seed)
        value = grammar(name).parse(text)

        assert grammar(name).matches(text)
        if not isinstance(value, type(None)):
            assert {type(value)} <= {type(v) for v in known}
        assert check.validate_python(value) == value or value != value


@pytest.mark.parametrize("name", COMPOSITES)
def test_what_pydantic_writes_is_accepted_and_read_back(name: str) -> None:
    tp, known = COMPOSITES[name]
    check = adapter(tp)
    for value in known:
        for by_alias in (True, False):
            text = check.dump_json(value, by_alias=by_alias, exclude_computed_fields=True).decode()
            if by_alias or name != "model":
                assert grammar(name).matches(text), text
                assert grammar(name).parse(text) == value


@pytest.mark.parametrize("name", SCALARS)
def test_scalars_are_bare(name: str) -> None:
    tp, known = SCALARS[name]
    for value in known:
        text = adapter(tp).dump_json(value).decode()
        if text.startswith('"'):
            import json

            text = json.loads(text)
        assert grammar(name).matches(text), text
        assert grammar(name).parse(text) == value
