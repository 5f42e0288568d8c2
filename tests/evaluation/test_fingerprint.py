"""That two programs have the same fingerprint only where nothing that decides their results differs."""

from __future__ import annotations

import importlib
import importlib.metadata as metadata
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lmprog as lp
from lmprog.evaluation import library
from lmprog.evaluation.fingerprint import Fingerprint
from lmprog.evaluation.library import Unsure
from lmprog.options import Options

HELPER = """
from dataclasses import dataclass
import pydantic
PREFIX = "Topic: "
LIMITS = {"low": 0, "high": 9}

def before(topic):
    return inner(topic)

def inner(topic):
    return PREFIX + topic

class Base:
    suffix = "."
    def end(self):
        return self.suffix

class Style(Base):
    pass

@dataclass
class Settings:
    low: int = 1

class Item(pydantic.BaseModel):
    name: str
    count: int = pydantic.Field(ge=0, default=0)

    @pydantic.field_validator("name")
    @classmethod
    def check(cls, value):
        return value

def unused():
    return 1
"""
MAIN = """
import math
import planted_helper
from planted_helper import Item, Settings, Style, before
from lmprog import gen, program, select
import lmprog as lp
KINDS = ["math", "poem"]
STYLE = Style()
CONFIG = Settings()

def made(word):
    def body(p, topic: str, tone="calm", *, last=3):
        \"\"\"Text.\"\"\"
        from planted_helper import LIMITS
        kind = p(before(topic), word, tone, select(KINDS, name="kind"), STYLE.end())
        p(lp.gen(int, ge=LIMITS["low"], le=9), sub(p), planted_helper.inner("x"), str(math.floor(last)))
        return p(gen(Item, name="item")), CONFIG.low
    return body

@program
def sub(p):
    return p("sub: ", gen(regex="[ab]"))

card = program(made("word"))
"""

WORLD = """
import itertools, os, random, threading, time, jinja2, rich
import numpy as np
from datetime import datetime
from pathlib import Path
COUNT = itertools.count()
lock = threading.Lock()
ENV = jinja2.Environment(loader=jinja2.FileSystemLoader('.'))
n = 0

def count():
    global n
    n += 1
    return str(n)
"""


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """`planted({old: new, ...})`: the program above with these changes to its code."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def plant(changes: dict[str, str] | None = None, main: str = MAIN) -> Any:
        texts = {"planted_helper": HELPER, "planted_main": main}
        for old, new in (changes or {}).items():
            assert any(old in text for text in texts.values()), old
            texts = {name: text.replace(old, new) for name, text in texts.items()}
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module("planted_main").card

    yield plant
    for name in ("planted_helper", "planted_main"):
        sys.modules.pop(name, None)


def fingerprint(program: Any, **options: Any) -> bytes:
    return Fingerprint(lambda model: model.name).program(program, Options(**options))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('PREFIX = "Topic: "', 'PREFIX = "Topic:"'),
        ("return PREFIX + topic", "return topic + PREFIX"),
        ("return inner(topic)", "return inner(topic).upper()"),
        ('"low": 0', '"low": 1'),
        ('suffix = "."', 'suffix = "!"'),
        ("return self.suffix", "return self.suffix * 2"),
        ("class Style(Base)", "class Style(Base, object)"),
        ("low: int = 1", "low: int = 2"),
        ("CONFIG = Settings()", "CONFIG = Settings(4)"),
        ("name: str\n", "name: int\n"),
        ("ge=0, default=0", "ge=1, default=0"),
        ("ge=0, default=0", "ge=0, default=1"),
        ("        return value\n", "        return value.strip()\n"),
        ('field_validator("name")', 'field_validator("name", mode="before")'),
        ('["math", "poem"]', '["poem", "math"]'),
        ('tone="calm"', 'tone="wild"'),
        ("last=3", "last=4"),
        ('made("word")', 'made("other")'),
        ('regex="[ab]"', 'regex="[abc]"'),
        ("le=9", "le=8"),
        ("math.floor", "math.ceil"),
        ('inner("x")', 'inner("y")'),
        ("topic: str", "topic: int"),
        ('"""Text."""', '"""Other text."""'),
        ('name="kind"), STYLE', "name=\"kind\"), '', STYLE"),
    ],
)
def test_what_changes_it(planted: Callable[..., Any], old: str, new: str) -> None:
    before = fingerprint(planted())
    changed = fingerprint(planted({old.replace('\\"', '"'): new}))

    assert before == fingerprint(planted())
    assert before != changed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    return 1\n", "    return 2\n"),
        ("LIMITS = {", "\n\nLIMITS = {"),
        ("import math\n", "import math  # for floor\n"),
        ("CONFIG = Settings()", "CONFIG = Settings(1)"),
    ],
)
def test_what_changes_nothing(planted: Callable[..., Any], old: str, new: str) -> None:
    assert fingerprint(planted()) == fingerprint(planted({old: new}))


def test_decoders_and_options(planted: Callable[..., Any]) -> None:
    card = planted()
    decoders: list[Any] = [None, lp.Argmax(), lp.Sample(), lp.Sample(0.5), lp.Beam(2), lp.Beam(3), lp.SMC(4)]
    decoders += [lp.BestOf(3, score=lambda text: 1.0), lp.BestOf(3, score=lambda text: 2.0)]
    found = [fingerprint(card, decoder=decoder) for decoder in decoders]

    assert len({*found}) == len(decoders)
    assert found == [fingerprint(card, decoder=decoder) for decoder in decoders]
    assert fingerprint(card) != fingerprint(card, boundary="token")


def test_a_changed_global_that_is_looked_up_by_name(planted: Callable[..., Any]) -> None:
    main = MAIN.replace("str(math.floor(last))", 'str(getattr(planted_helper, "unused")())')
    before = fingerprint(planted(main=main))

    assert before != fingerprint(planted({"    return 1\n": "    return 2\n"}, main=main))


def test_names_that_a_module_makes(planted: Callable[..., Any]) -> None:
    getter = "def __getattr__(name):\n    return lambda: 'A'\n\ndef unused"
    main = MAIN.replace("str(math.floor(last))", "planted_helper.dynamic()")
    before = fingerprint(planted({"def unused": getter}, main=main))

    assert before != fingerprint(planted({"def unused": getter.replace("'A'", "'B'")}, main=main))


def test_metaclasses_count(planted: Callable[..., Any]) -> None:
    meta = "class Meta(type):\n    def __call__(cls):\n        return 1\n\nclass Base(metaclass=Meta):"
    before = fingerprint(planted({"class Base:": meta.replace("return 1", "return super().__call__()")}))

    assert before != fingerprint(planted({"class Base:": meta.replace("return 1", "return object.__new__(cls)")}))


def test_a_module_in_memory_counts_not_its_file(planted: Callable[..., Any], tmp_path: Path) -> None:
    card = planted()
    before = fingerprint(card)
    (tmp_path / "planted_helper.py").write_text("")

    assert before == fingerprint(card)


def test_running_changes_nothing(model: Any) -> None:
    hole = lp.gen(regex="[a-z]{3}", where="'a' in x")

    @lp.program
    def fill(p: Any) -> Any:
        return p("x: ", hole)

    before = fingerprint(fill)
    fill.map([()] * 3, model=model)

    assert before == fingerprint(fill)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("open('x').read()", "uses open"),
        ("str(hash('x'))", "uses hash"),
        ("__import__('os').name", "uses __import__"),
        ("eval('1')", "uses eval"),
        ("str(time.time())", "uses time"),
        ("random.choice('ab')", "uses random"),
        ("os.environ['HOME']", "environ"),
        ("str(datetime.now())", "uses now"),
        ("Path('x').read_text()", "uses read_text"),
        ("next(COUNT)", "count"),
        ("str(lock)", "_thread"),
        ("count()", "assigns to"),
        ("np.load('x')", "uses load"),
        ("str(np.random.rand())", "uses random"),
        ("__builtins__['open']('x').read()", "uses __builtins__"),
        ("ENV.get_template('x').render()", "jinja2, of which"),
        ("rich.inspect.__name__", "rich, of which"),
    ],
)
def test_what_is_not_sure(planted: Callable[..., Any], code: str, reason: str) -> None:
    card = planted(main=WORLD + MAIN.replace("str(math.floor(last))", code))
    with pytest.raises(Unsure, match=reason):
        fingerprint(card)


def test_templates(tmp_path: Path) -> None:
    (tmp_path / "part").write_text("a part")
    source = "Hello {{ name }} {% include 'part' %} {{ gen('x', int) }}"

    def template(text: str = source, **how: Any) -> bytes:
        return fingerprint(lp.Template(text, loader=tmp_path, **how))

    first = template()
    assert first == template()
    assert first != template(source.replace("Hello", "Hallo"))
    assert template("{% if 1 %}\nx{% endif %}") != template("{% if 1 %}\nx{% endif %}", trim_blocks=True)
    (tmp_path / "part").write_text("another part")
    assert first != template()


def test_versions_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = library.versions()
    monkeypatch.setattr(lp, "__version__", "99")

    assert before != library.versions()
    monkeypatch.undo()
    real = metadata.version
    for changed in ("torch", "Jinja2", "pydantic_core"):
        monkeypatch.setattr(metadata, "version", lambda name, changed=changed: "9" if name == changed else real(name))
        assert before != library.versions()
        monkeypatch.undo()
    monkeypatch.setattr(time, "tzname", ("X", "Y"))
    assert before != library.versions()


def test_methods_and_instances(model: Any) -> None:
    class Maker:
        def __init__(self, word: str) -> None:
            self.word = word

        @lp.program
        def card(self, p: Any) -> Any:
            return p(self.word)

    a, b, c = [Maker(word).card for word in ("x", "x", "y")]

    assert (before := fingerprint(a)) == fingerprint(b) != fingerprint(c)
    a.map([()], model=model)
    assert before == fingerprint(a)
