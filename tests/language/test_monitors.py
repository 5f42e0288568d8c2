from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pytest

import lmprog as lp
from lmprog import gen
from lmprog.grammars import regex
from lmprog.monitors import DatabaseValues, Monitor, PythonNames, SqlNames, judge
from lmprog.testing import MonitorTests, RandomModel, Scripted, TableModel

TABLES = [
    "CREATE TABLE users (id INT, name TEXT, age INT)",
    'CREATE TABLE orders (id INT, user_id INT, total REAL, "order" INT, "unit price" INT)',
    "CREATE TABLE items (order_id INT, price REAL)",
]


class Robot:
    """What the names are of."""

    speed = 3

    def __init__(self) -> None:
        self.arm = self.leg = "steel"

    def turn(self) -> Robot:
        return self


@pytest.fixture
def lite() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    for table in TABLES:
        connection.execute(table)
    yield connection
    connection.close()


@pytest.fixture
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for table in TABLES:
            connection.execute(table)
        yield connection


@lp.program
def fill(p: lp.Prompt, before: str, hole: lp.Hole, *after: str) -> Any:
    return p(before, hole, *after)


def values(model: lp.LanguageModel, hole: lp.Hole, *after: str, before: str = "x = ", n: int = 40) -> Counter[Any]:
    return Counter(fill(before, hole, *after, model=model, decoder=lp.Sample(seed=seed)) for seed in range(n))


class Even:
    """Digits whose sum is even; it says so only at the end. No triggers."""

    def start(self, prompt: str) -> int:
        return 0

    def advance(self, state: int, text: str) -> int:
        return (state + sum(int(c) for c in text if c.isdigit())) % 2

    def allow(self, state: int) -> None:
        return None

    def final(self, state: int) -> bool:
        return state == 0


class Owner:
    """Behind a point comes a name that stands before: `ab.ab`. Asked after every character."""

    def start(self, prompt: str) -> str:
        return ""

    def advance(self, state: str, text: str) -> str:
        return state + text

    def allow(self, state: str) -> list[str] | None:
        return [state[: state.index(".")]] if state.endswith(".") and state.count(".") == 1 else None

    def final(self, state: str) -> float:
        return -math.inf if state == "no" else -1.5


class Triggered(Owner):
    triggers = "."


class TestEven(MonitorTests):
    good, bad = ("", "11", "2", "134"), ("1", "12")
    hole: ClassVar[dict[str, Any]] = {"regex": "[0-9]{1,8}", "max_tokens": 10}

    def make(self) -> Monitor:
        return Even()


class TestOwner(MonitorTests):
    good, bad = ("a.a", "ab.ab c", "none", "a.a.b", "日.日", ".x"), ("a.b", "ab.abc", "ab.a", "a.", "no")

    def make(self) -> Monitor:
        return Owner()


class TestTriggered(TestOwner):
    samples = 30

    def make(self) -> Monitor:
        return Triggered()


class TestPythonNames(MonitorTests):
    prompt = "Some code:\n```python\nfrom math import pi\nr = robot\n"
    good = ("r.arm", "robot.turn().leg", "pi.real + 1.5", "'a.b'.upper()  # a.b", "x = 'r.", "1. + 2")
    bad = ("r.wing", "robot.ar", "robot.arms", "r.turn().wheel", "unknown.x", "r.", "'a'.b", "r._speed")
    hole: ClassVar[dict[str, Any]] = {"regex": r"(r|robot|pi)\.[a-z_]+(\(\)\.[a-z_]+)?", "max_tokens": 80}
    samples = 20

    def make(self) -> Monitor:
        return PythonNames({"robot": Robot()})


class TestSqlNames(MonitorTests):
    good = ("SELECT name FROM users", "select users.id, total from users join orders on user_id = users.id;")
    bad = ("SELECT total FROM users", "SELECT id FROM users JOIN orders", "SELECT name", "SELECT like FROM users")
    hole: ClassVar[dict[str, Any]] = {"max_tokens": 200}

    @pytest.fixture(autouse=True)
    def connect(self, lite: sqlite3.Connection) -> None:
        self.lite = lite

    def make(self) -> Monitor:
        return SqlNames(self.lite).fresh()


SQL = [
    ("", "SELECT count(*) AS n FROM users WHERE name = 'a b' GROUP BY age ORDER BY age DESC LIMIT 3;", True),
    ("", 'SELECT "unit price", "order" FROM orders', True),
    ("", "SELECT order FROM orders", False),
    ("", "UPDATE users SET age = 3 WHERE name LIKE 'a%'", True),
    ("", "UPDATE users SET price = 3", False),
    ("", "DELETE FROM items WHERE price > 3", True),
    ("", "DELETE FROM items WHERE age > 3", False),
    ("", "INSERT INTO users (id, name) VALUES (1, 'x')", True),
    ("", "INSERT INTO users (total) VALUES (1)", False),
    ("", "SELECT 1 + 1", True),
    ("Which column? ", "price", True),
    ("Which column? ", "pric", False),
    ("SELECT ", "name", True),
    ("SELECT ", "like", False),
    ("SELECT name, ", "age FROM users", True),
    ("SELECT name, ", "price FROM items", False),
    ("SELECT name", " FROM users", True),
    ("SELECT name FROM ", "users", True),
    ("SELECT name FROM ", "orders", False),
    ("SELECT u.name FROM users AS u WHERE u.", "age > 3", True),
    ("SELECT u.name FROM users u WHERE ", "u.total = 3", False),
    ("SELECT u.name FROM users u WHERE ", "users.age = 3", False),
    ("SELECT u.name FROM users u JOIN orders o ON ", "o.user_id = u.id", True),
    ("SELECT u.name FROM users u JOIN orders o ON ", "id = user_id", False),
    ("SELECT users.", "name FROM users", True),
    ("SELECT users.", "total FROM users", False),
    ("SELECT name FROM users", "\nWHERE age IS NOT NULL", True),
    ("SELECT name FROM users WHERE age", " > id", True),
    ("SELECT name FROM users WHERE age >", " total", False),
    ("SELECT * FROM items;\nSELECT ", "name", True),
    ("Select the best.\n\nSELECT ", "name", True),
]  # fmt: skip


@pytest.mark.parametrize(("prompt", "text", "allowed"), SQL)
def test_sql_names(lite: sqlite3.Connection, prompt: str, text: str, allowed: bool) -> None:
    assert allowed == judge(SqlNames(lite), prompt, text)


QUERY = (
    r'SELECT [a-z_."]+(, [a-z_."]+)? FROM [a-z]+( JOIN [a-z]+ ON [a-z_.]+ = [a-z_.]+)?'
    r"( WHERE [a-z_.]+ > [0-9]{1,3})?( ORDER BY [a-z_.]+)?"
)


@pytest.mark.parametrize("after", [(), (";\n",)])
def test_sql_runs_on_the_database(
    model: RandomModel, lite: sqlite3.Connection, duck: duckdb.DuckDBPyConnection, after: tuple[str, ...]
) -> None:
    lite.executescript("DROP TABLE users; CREATE TABLE users (id INT, name INT, age INT)")  # so that types fit
    duck.execute("CREATE OR REPLACE TABLE users (id INT, name INT, age INT)")
    found = values(model, gen(regex=QUERY, monitor=SqlNames(lite)), *after, n=60)
    assert found == values(model, gen(regex=QUERY, monitor=SqlNames(duck)), *after, n=60)
    assert len(found) > 30
    for query in found:
        lite.execute(query)
        duck.execute(query.replace("null", "1").replace("true", "1").replace("false", "1"))


def test_sql_goes_on_where_the_prompt_ends(model: RandomModel, lite: sqlite3.Connection) -> None:
    """Columns behind a prompt's query, as the database takes them."""
    hole, query = gen(regex="[a-z_.]+", monitor=SqlNames(lite)), "SELECT o.total FROM orders o WHERE "
    for condition in values(model, hole, " > 0\n", before=query, n=20):
        lite.execute(f"{query}{condition} > 0")


def test_a_live_schema(model: RandomModel, lite: sqlite3.Connection) -> None:
    hole = gen(regex="[a-z]+", monitor=SqlNames(lite, ("items", "users")))
    assert "wheels" not in values(model, hole, before="SELECT * FROM ", n=5)
    lite.executescript("ALTER TABLE items RENAME TO wheels; ALTER TABLE users RENAME TO persons")

    with pytest.raises(lp.HoleError, match="no table 'items': it has orders, persons, wheels"):
        fill("", hole, model=model)
    assert {"wheels"} == {*values(model, gen(regex="w[a-z]+", monitor=SqlNames(lite)), before="SELECT * FROM ", n=5)}


@pytest.mark.parametrize("kind", ["lite", "duck"])
def test_values_of_a_database(model: RandomModel, kind: str, request: pytest.FixtureRequest) -> None:
    database = request.getfixturevalue(kind)
    names = [(1, "Paris", 3), (2, "New York", 30), (3, None, 1), (4, 'O"slo\n', 30)]
    database.executemany("INSERT INTO users VALUES (?, ?, ?)", names)
    hole = gen(monitor=DatabaseValues(database, "SELECT name FROM users WHERE id < ?", (9,)))
    assert {"Paris", "New York", 'O"slo\n'} == {*values(model, hole, n=150)}

    database.execute("DELETE FROM users WHERE name <> 'Paris'")
    assert {"Paris": 5} == values(model, hole, "\n", n=5)
    ages = gen(int, ge=5, monitor=DatabaseValues(database, "SELECT 30 UNION SELECT 4"))
    assert {30: 5} == values(model, ages, n=5)


def test_databases_of_other_threads(model: RandomModel, lite: sqlite3.Connection, tmp_path: Path) -> None:
    path = tmp_path / "a b.db"
    with sqlite3.connect(path) as own:
        own.executescript("CREATE TABLE t (word TEXT); INSERT INTO t VALUES ('yes')")
    own.close()
    hole = gen(monitor=DatabaseValues(path, "SELECT word FROM t"))
    assert ["yes", "yes"] == fill.map([("a ", hole), ("b ", hole)], model=model)

    with pytest.raises(lp.HoleError, match="open it with check_same_thread=False, or give the monitor the path"):
        fill.map([("a ", gen(monitor=DatabaseValues(lite, "SELECT name FROM users")))], model=model)


def test_attributes_exist(model: RandomModel) -> None:
    robot = Robot()
    hole = gen(regex=r"robot(\.turn\(\))?\.[a-z]+", monitor=PythonNames({"robot": robot}), max_tokens=60)
    found = values(model, hole, "\n")

    assert len(found) > 3
    for code in found:
        eval(code, {"robot": robot})


def test_attributes_of_a_project(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("class Cart:\n    def add(self): ...\n    total = 3\n")
    names = PythonNames(project=tmp_path)

    assert judge(names, "from shop import Cart\n", "Cart().add() + Cart.total")
    assert not judge(names, "from shop import Cart\n", "Cart().remove()")
    assert judge(PythonNames(project=tmp_path, strict=False), "def f(x):\n    ", "return x.anything")


def test_private_names() -> None:
    assert judge(PythonNames({"robot": Robot()}, private=True), "", "robot.__class__")


@pytest.mark.parametrize("monitor", [Owner(), Triggered()])
def test_masks_are_exact(monitor: Monitor) -> None:
    """Under a model that is uniform over tokens, a value's frequency is the product of 1 / (allowed tokens)."""
    tokens = ["a", "b", ".", "a.", ".a", "ab", "b.a"]
    model = TableModel([*tokens, *[bytes((b,)) for b in range(256)]], lambda ids: [1.0] * 7 + [0.0] * 256 + [1.0])
    hole = gen(regex=r"[ab]{1,2}\.[ab]{1,2}", monitor=monitor, max_tokens=5)
    found = values(model, hole, before="", n=400)

    assert {"a.a", "b.b", "aa.aa", "ab.ab", "ba.ba", "bb.bb"} == {*found}


def test_a_character_that_leads_nowhere_never_comes(model: RandomModel) -> None:
    class Nothing(Triggered):
        def allow(self, state: str) -> list[str] | None:
            return [] if state.endswith(".") else None

    assert {"a"} == {*values(model, gen(regex=r"a(\.[a-z]*)?", monitor=Nothing()), "\n")}
    with pytest.raises(lp.EmptyLanguage, match="the monitor Nothing allows nothing with which the value could go on"):
        fill("", gen(regex=r"a\.[a-z]*", monitor=Nothing()), model=model)


def test_nothing_allowed_at_all(model: RandomModel, lite: sqlite3.Connection) -> None:
    empty = DatabaseValues(lite, "SELECT name FROM users")
    with pytest.raises(lp.EmptyLanguage, match="DatabaseValues allows nothing that is a value of the hole") as caught:
        fill("", gen(name="who", monitor=empty), model=model)
    assert "in the hole 'who': str with DatabaseValues" in caught.value.__notes__


def test_budgets(model: RandomModel, lite: sqlite3.Connection) -> None:
    lite.execute("INSERT INTO users VALUES (1, 'zxzxzxzx', 1), (2, 'qz', 2)")
    names = DatabaseValues(lite, "SELECT name FROM users")
    assert {"qz": 10} == values(model, gen(monitor=names, max_tokens=4), n=10)
    with pytest.raises(lp.BudgetError):
        fill("", gen(monitor=names, max_tokens=1), model=model)
    assert all(sum(map(int, v)) % 2 == 0 for v in values(model, gen(regex="[0-9]*", monitor=Even(), max_tokens=3)))


@pytest.mark.filterwarnings("ignore::lmprog.UnclearEnd")
def test_text_after_the_hole_ends_it(model: RandomModel) -> None:
    hole = gen(regex=r"[ab]+\.[ab]+", monitor=Triggered(), max_tokens=30)
    for after in (".\n", "a", "b."):
        run = fill.run("", hole, after, model=model)
        assert run.text == run.value + after
        assert judge(Triggered(), "", run.value)


def test_matches_asks_the_monitor() -> None:
    hole = gen(regex="[a-z.]+", monitor=Triggered())

    assert (hole.matches("ab.ab"), hole.matches("ab.b"), hole.matches("AB.AB")) == (True, False, False)


def test_scripts_are_held_to_it() -> None:
    hole = gen(monitor=Triggered())
    assert "ab.ab" == fill("", hole, model=Scripted(["ab.ab"]))
    with pytest.raises(lp.ScriptError, match=r"after 'ab.' it cannot go on"):
        fill("", hole, model=Scripted(["ab.b"]))


class Whole(Triggered):
    def allow(self, state: str) -> Any:
        return regex("[0-9]+") if state == "" else None


def test_a_grammar_is_the_whole_rest(model: RandomModel) -> None:
    assert all(v.isdigit() for v in values(model, gen(monitor=Whole(), max_tokens=5)))


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        (3, "3 has no start"),
        (type("Odd", (Triggered,), {"triggers": "é"})(), "triggers are ASCII characters"),
        (type("Odd", (Triggered,), {"allow": lambda self, state: "abc"})(), "not one text"),
        (type("Odd", (Triggered,), {"start": lambda self, prompt: []})(), "states of a monitor are immutable"),
    ],
)
def test_broken_monitors(monitor: Any, message: str) -> None:
    with pytest.raises(lp.HoleError, match=message):
        fill("", gen(monitor=monitor), model=Scripted(["x"]))


def test_an_exception_of_a_monitor_is_the_programs(model: RandomModel) -> None:
    class Failing(Triggered):
        def allow(self, state: str) -> list[str] | None:
            return [str(1 / 0)] if "." in state else None

    with pytest.raises(ZeroDivisionError):
        fill("", gen(regex=r"a\.b", monitor=Failing()), model=model)
    assert "a" == fill("", gen(regex="a", monitor=Failing()), model=model)


@pytest.mark.parametrize("size", [600, 1500])
def test_the_last_token_leaves_a_value_that_may_end(size: int) -> None:
    """With few tokens each is tried; with many, a value that may end ends one token early."""
    tokens = [f"{i} " for i in range(size)]
    model = TableModel([*tokens, *[bytes((b,)) for b in range(256)]], lambda ids: [1.0] * size + [0.0] * 257)
    found = values(model, gen(monitor=Even(), max_tokens=3), n=30)

    assert all(judge(Even(), "", value) for value in found)
    assert {len(value.split()) for value in found} <= {2, 3}
