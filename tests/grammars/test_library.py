"""The grammar library: everything drawn from a grammar parses with an independent parser; texts that each must accept
and refuse."""

from __future__ import annotations

import ast
import csv
import datetime
import io
import json
import random
import re
import warnings
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

import pytest
import sexpdata
import sqlglot
from markdown_it import MarkdownIt
from pydantic import AnyUrl, TypeAdapter

from lmprog.grammars import InvalidConstraint, compile, lark, library
from lmprog.grammars.library import names

from .walks import BYTES, walk


def read_python(text: str, mode: Literal["exec", "eval"] = "exec") -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # odd, but valid: "1 is 2"
        ast.parse(text, mode=mode)


def read_csv(text: str) -> None:
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert 1 == len({len(row) or 1 for row in rows})  # an empty line is one empty field


def read_date(text: str) -> None:
    (datetime.datetime if "T" in text else datetime.date).fromisoformat(text)


def read_table(text: str) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert "table_open" == tokens[0].type
    assert "table_close" == tokens[-1].type
    assert 1 == sum(token.type == "table_open" for token in tokens)
    cells = [0]
    for token in tokens:
        if token.type == "tr_close":
            cells.append(0)
        cells[-1] += token.type in ("th_open", "td_open")
    lines = text.rstrip("\n").split("\n")
    assert len(lines) == len(cells)  # the line of dashes is no row
    assert [cells[0]] * len(lines) == [len(re.findall(r"(?<!\\)\|", line)) - 1 for line in lines]
    assert {cells[0]} == set(cells[:-1])


def read_url(text: str) -> None:
    parts = urlsplit(str(TypeAdapter(AnyUrl).validate_python(text)))
    assert parts.hostname
    assert urlsplit(text).port is None or 0 <= (urlsplit(text).port or 0) < 1 << 16


def read_sql(text: str) -> None:
    [query] = [found for found in sqlglot.parse(text) if found is not None]
    assert isinstance(query, sqlglot.exp.Query)


PARSERS: dict[str, Callable[[str], object]] = {
    "arithmetic": lambda text: read_python(text, "eval"),
    "csv": read_csv,
    "date": read_date,
    "json": json.loads,
    "markdown_table": read_table,
    "python": read_python,
    "sexpr": sexpdata.parse,
    "sql": read_sql,
    "url": read_url,
}


def test_every_grammar_has_a_parser() -> None:
    assert sorted(PARSERS) == names()


def draw(name: str, count: int) -> None:
    c = compile(library(name), BYTES)
    for seed in range(count):
        rng = random.Random(seed)
        text = walk(c, rng, rng.choice([40, 80, 200]))
        assert library(name).matches(text)
        try:
            PARSERS[name](text)
        except Exception as e:
            raise AssertionError(text) from e


@pytest.mark.parametrize("name", PARSERS)
def test_whatever_is_drawn_parses(name: str) -> None:
    draw(name, 60)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
def test_whatever_is_drawn_parses_at_length(name: str) -> None:
    draw(name, 600)


SQL = [
    "SELECT * FROM users",
    "select id, name from users where age > 18",
    "SELECT u.name, COUNT(*) AS orders FROM users u JOIN orders o ON u.id = o.user_id GROUP BY u.name "
    "HAVING COUNT(*) > 5 ORDER BY orders DESC LIMIT 10",
    "SELECT DISTINCT city FROM customers WHERE country = 'DE' AND (age >= 21 OR vip = TRUE)",
    "SELECT name FROM products WHERE price BETWEEN 10 AND 20.5 ORDER BY price ASC, name",
    "SELECT name FROM products WHERE name LIKE '%phone%' AND category IN ('a', 'b', 'c')",
    "SELECT name FROM products WHERE id NOT IN (SELECT product_id FROM orders)",
    "SELECT CASE WHEN age < 18 THEN 'minor' WHEN age < 65 THEN 'adult' ELSE 'senior' END AS age_group FROM people",
    "SELECT AVG(salary) FROM employees WHERE dept_id = (SELECT id FROM depts WHERE name = 'IT')",
    "WITH best AS (SELECT user_id, SUM(total) AS s FROM orders GROUP BY user_id) "
    "SELECT u.name, t.s FROM users AS u JOIN best AS t ON t.user_id = u.id WHERE t.s > 100",
    "WITH a AS (SELECT 1 AS x), b (y) AS (SELECT x + 1 FROM a) SELECT * FROM b",
    "SELECT id FROM a UNION ALL SELECT id FROM b ORDER BY id LIMIT 5 OFFSET 10",
    "(SELECT a FROM t) UNION (SELECT b FROM u)",
    "SELECT a.x FROM a LEFT JOIN b ON a.id = b.id AND b.k IS NOT NULL WHERE b.id IS NULL;",
    "SELECT * FROM a INNER JOIN b USING (id) CROSS JOIN c, d",
    "SELECT COUNT(DISTINCT user_id) FROM events WHERE created_at >= '2024-01-01' AND d > DATE '2024-01-01'",
    "SELECT * FROM (SELECT id, name FROM users WHERE active = 1) AS sub WHERE sub.id < 100",
    "SELECT EXISTS (SELECT 1 FROM users WHERE id = 3)",
    "SELECT 1 + 2 * 3 AS n, 1.5e3",
    "SELECT UPPER(name), LENGTH(name), COALESCE(nick, name, 'none'), SUBSTRING(name, 1, 3) FROM users",
    "SELECT name FROM users WHERE NOT active AND score <> 0 AND deleted",
    "SELECT u.* FROM users u ORDER BY RANDOM() LIMIT 1",
    "SELECT name, RANK() OVER (PARTITION BY dept ORDER BY salary DESC NULLS LAST) AS r FROM employees",
    "SELECT d, SUM(x) OVER (ORDER BY d ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM t",
    "SELECT CAST(price AS DECIMAL(10, 2)), ROUND(AVG(price), 2), EXTRACT(YEAR FROM d) FROM items",
    "SELECT SUM(CASE WHEN status = 'open' THEN 1 ELSE 0 END) AS open_count FROM tickets",
    "SELECT \"user name\" FROM \"my table\" WHERE a = 'it''s' AND id = -5",
    "SELECT a || ' ' || b AS full_name FROM schema1.t",
    "SELECT name FROM t WHERE (a, b) IN (SELECT a, b FROM u) AND c > ALL (SELECT d FROM v)",
    "SELECT\n    id,\n    name\nFROM users\nWHERE\n    id = 1",
]
NO_SQL = [
    "", "SELECT", "SELECT FROM t", "SELECT a FROM", "SELECT a FROM t WHERE", "SELECT a FROM t WHERE a =",
    "INSERT INTO t VALUES (1)", "DROP TABLE t", "SELECT a FROM t GROUP a", "SELECT a, FROM t",
    "SELECT a FROM t JOIN u ON",
    "SELECT a FROM t ORDER BY", "SELECT (a FROM t", "SELECT a FROM t WHERE a IN ()", "SELECT a FROM t; SELECT b FROM u",
    "SELECT a FROM t WHERE a BETWEEN 1", "SELECT CASE END FROM t", "SELECT 'a FROM t", "SELECT a FROM t LIMIT",
    "SELECTa FROM t", "SELECT a FROMt", "SELECT select FROM t", "SELECT 1a FROM t", "SELECT LOWER() FROM t",
]  # fmt: skip
PYTHON = [
    "x = 1\n",
    'def add(a: int, b: int = 2, *args, key=None, **kwargs) -> int:\n    """Adds."""\n    total = a + b\n'
    "    for x in args:\n        total += x\n    return total\n",
    "class A(B):\n    x = 1\n\n    def __init__(self, name):\n        self.name = name\n\n    @property\n"
    '    def greeting(self):\n        return "Hello, " + self.name\n',
    "if x > 3:\n    y = 1\nelif x == 2:\n    y = 2\nelse:\n    y = 3\n",
    "while True:\n    try:\n        n = int(input())\n    except ValueError as e:\n        print(e)\n        continue\n"
    "    except:\n        raise\n    else:\n        break\n    finally:\n        pass\n",
    'with open("a.txt") as f, open("b.txt", "w") as g:\n    for line in f:\n        g.write(line.strip() + "\\n")\n',
    "import os\nimport sys as system\nfrom collections import defaultdict, Counter as C\n",
    "squares = [x ** 2 for x in range(10) if x % 2 == 0]\nd = {k: v for k, v in items.items()}\ns = {x for x in y}\n",
    "x = sorted(xs, key=lambda p: p[1], reverse=True)\nf = lambda: 0\n",
    "a, b = b, a\na = b = 1\n*a, b = xs\na[0], b.c = 1, 2\nx: int = 5\n",
    'print(f"{name} is {age:.2f}, {x + 1} {d[0]}")\nprint("a", end=\'\')\n',
    "for i, (a, b) in enumerate(pairs):\n    print(i)\nelse:\n    pass\n",
    "x = xs[1:-1]\ny = xs[::-1]\nz = m[0][1]\nw = a[i, j]\ndel x[0]\n",
    "# a comment\n\nx = 1  # another\n\n\ndef f():\n    # inside\n    pass\n",
    'def f():\n    global count\n    count += 1\n    assert x == 1, "no"\n    raise ValueError("bad") from e\n',
    "async def f(x):\n    async with a as b:\n        return await g()\n",
    "def gen():\n    yield 1\n    x = yield\n    yield from g()\n",
    "if x not in (1, 2, 3) and y is not None or not z:\n    pass\n",
    "def f(x):\n    def g(y):\n        if y:\n            return x + y\n    return g\n",
    "def f(a, /, b, *, c=1):\n    return 1\n\n\nclass A:\n    pass\n",
    "x = [\n    1,\n    2,\n]\ny = {\n    'a': 1,\n    'b': [1, 2],\n}\nf(a,\n  b)\n",
    "if (n := len(a)) > 10: pass\n",
    "x = 0xff + 1_000 + 3.14 + 1e-3\ny = (1,)\nz = ()\nw = -y ** 2 + (~a & b | c ^ d << 1) @ m\n",
    's = """two\nlines"""\nt = \'it\\\'s\' if x < y < z else "é"\n',
    'if __name__ == "__main__":\n    main()\n',
]
NO_PYTHON = [
    "def f(:\n    pass\n", "x = \n", "if x\n    pass\n", "def f():\npass\n", "  x = 1\n", "x = (1\n",
    "for in x:\n    pass\n",
    "class :\n    pass\n", "return = 1\n", 'x = "abc\n', "import\n", "def f():\n    x = 1\n      y = 2\n",
    "else:\n    pass\n",
    "f(a b)\n", "1 = x\n", "x == = y\n", "if x = 1:\n    pass\n", "try:\n    pass\n", "lambda = 3\n", "f() = 1\n",
    "def f(a=1, b):\n    pass\n", "x = 012\n", "f(a=1, 2)\n", "None = 1\n", "def f():\n", 's = """a""""\n', "x = 1 1\n",
    "try:\n    pass\nexcept:\n    pass\nexcept A:\n    pass\n", "if x:\n    pass\n  else:\n    pass\n",
]  # fmt: skip
GOOD = {
    "arithmetic": ["1", "1 + 2*3", "-(x - 1.5e3) ** 2 % 7", "f(x, g(y, 2)) // 3", "2**-x"],
    "csv": ["a,b\n1,2\n", "a,b\r\n1,2", '"a ""b""","c,\nd"\n,\n', "one"],
    "date": ["2024-02-29", "2023-12-31T23:59:59.123456+01:00", "0001-01-01T00:00Z", "1999-04-30T12:30:00-05:30"],
    "json": ['{"a": [1, -2.5e10, true, null, "\\u00e9\\n"]}', "[]", '"é"', " { } ", '{\n  "a": {}\n}\n'],
    "markdown_table": [
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "| Name  | Age |\n| :---- | --: |\n| Ada B | 36  |\n|       | 7   |\n",
        "| a\\|b |\n| --- |",
    ],
    "python": PYTHON,
    "sexpr": ["(define (f x) (* x 2))", "(a \"b\\n\" 'c (1.5 -2))", "()", "(a\n  b ; comment\n  c)", "'(x)"],
    "sql": SQL,
    "url": ["https://example.com", "http://localhost:8000/a/b?x=1&y=%20#top", "ftp://192.168.0.1/f.txt", "https://a-b.co/?q"],
}  # fmt: skip
WRONG = {
    "arithmetic": ["", "1 +", "(1", "1 2", "01", "if", "1..2", "f(,)", "1 & 2", "2x"],
    "csv": ["", "a,b\n1\n", '"a', 'a"b,c', '"a"b', "a\nb,c"],
    "date": ["2023-02-29", "1900-02-29", "2024-13-01", "2024-04-31", "0000-01-01", "2024-1-1", "2024-01-01T24:00"],
    "json": ["", "{a: 1}", "[1,]", "01", "'a'", '"\n"', "[1 2]", '"\\x"', "+1", "nul", '{"a"}', "1."],
    "markdown_table": ["| a | b |\n| 1 | 2 |", "| a | b |\n|---|\n", "a", "| a |\n|---|\n| 1 | 2 |", "| a |\n|::|"],
    "python": NO_PYTHON,
    "sexpr": ["(", ")", "(a))", '("a)', "(a . )x", ""],
    "sql": NO_SQL,
    "url": ["", "example.com", "http://", "http:///a", "http://a b.com", "http://256.1.1.1", "http://a.com:99999", "http://-a.com",
            "http://a.com/%zz", "mailto:a@b.c"],
}  # fmt: skip


@pytest.mark.parametrize("name", PARSERS)
def test_texts_that_must_be_accepted(name: str) -> None:
    for text in GOOD[name]:
        PARSERS[name](text)
    assert [] == [text for text in GOOD[name] if not library(name).matches(text)]


@pytest.mark.parametrize("name", PARSERS)
def test_texts_that_must_be_refused(name: str) -> None:
    assert [] == [text for text in WRONG[name] if library(name).matches(text)]


def test_every_day_of_some_years() -> None:
    dates = library("date")
    for year in (1, 4, 100, 400, 1900, 2000, 2023, 2024, 9999):
        for month in range(14):
            for day in range(33):
                text = f"{year:04}-{month:02}-{day:02}"
                try:
                    datetime.date.fromisoformat(text)
                except ValueError:
                    assert not dates.matches(text)
                else:
                    assert dates.matches(text)


def test_names() -> None:
    assert "sql" == library("sql").name
    assert library("sql") is library("sql")
    with pytest.raises(
        InvalidConstraint, match="there is no grammar 'sgml' in the library: it has arithmetic, csv, date"
    ):
        library("sgml")


def test_rules_of_the_library_can_be_imported() -> None:
    grammar = lark('start: date " " value\n%import lmprog.date.date\n%import lmprog.json.value')

    assert grammar.matches('2024-02-29 {"a":[1]}')
    assert not grammar.matches("2023-02-29 1")
