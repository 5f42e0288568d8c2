"""That the fingerprint sees what values of odd kinds hold, and what is reached in odd ways."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmprog.evaluation.fingerprint import Fingerprint
from lmprog.evaluation.library import Unsure
from lmprog.options import Options

KIND = "class K(enum.Enum):\n    A = 1\n    B = 2\n    X = 1\n    sep = enum.nonmember('x')\nK.A.note = 'x'\n"
FLAG = "class F(enum.IntFlag):\n    A = 1\n"
PRIVATE = (
    "class M(pydantic.BaseModel):\n    _s: str = pydantic.PrivateAttr('x')\n    def f(self):\n        return self._s\n"
)
SLOTTED = "class C:\n    __slots__ = ('__x',)\n    def __init__(self, x):\n        self.__x = x\n"
FIELD = "import dataclasses\n@dataclasses.dataclass\nclass D:\n    kind: 'planted_values.K'\nimport planted_values\n"
NAMED = "K = te.TypeAliasType('K', Literal['x'])\n"
ARRAY = "class A(np.ndarray): pass\nV = np.array([1]).view(A)\nV.note = 'x'\n"
GETTER = "WORD = 'x'\nget = operator.attrgetter('WO' + 'RD')\n"
HEAD = """
import collections, datetime, enum, math, operator, re, string, textwrap, types
from typing import Literal
import numpy as np, pydantic
import typing_extensions as te
import lmprog as lp
"""


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], bytes]]:
    """The fingerprint of a program that uses `expression`, beside this code."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def plant(code: str, expression: str) -> bytes:
        body = f"import planted_values\n@lp.program\ndef card(p, topic):\n    return p(topic), {expression}\n"
        (tmp_path / "planted_values.py").write_text(f"{HEAD}{code}\n{body}")
        sys.modules.pop("planted_values", None)
        importlib.invalidate_caches()
        module = importlib.import_module("planted_values")
        return Fingerprint(lambda model: model.name).program(module.card, Options())

    yield plant
    sys.modules.pop("planted_values", None)


@pytest.mark.parametrize(
    ("code", "old", "new", "expression"),
    [
        (KIND, "X = 1", "X = 2", "K.X.name"),
        (KIND, "nonmember('x')", "nonmember('y')", "K.sep"),
        (KIND, "note = 'x'", "note = 'y'", "K.A.note"),
        (f"{FLAG}V = F(8)", "F(8)", "F(16)", "str(V)"),
        (PRIVATE, "'x'", "'y'", "M().f()"),
        (f"{SLOTTED}V = C('x')", "C('x')", "C('y')", "str(V)"),
        ("class D(datetime.date): pass\nV = D(2020, 1, 1)", "2020", "2021", "str(V)"),
        ("class D(collections.deque): pass\nV = D([1])", "[1]", "[2]", "str(V)"),
        ("class E(Exception): pass\nV = E('x')", "'x'", "'y'", "str(V)"),
        ("V = frozenset({1})", "frozenset({1})", "{1}", "str(V)"),
        ("V = {'a': 1}", "{'a': 1}", "types.MappingProxyType({'a': 1})", "str(V)"),
        ("V = re.compile('x')", "'x'", "'x', re.I", "V.pattern"),
        (ARRAY, "'x'", "'y'", "V.note"),
        ("V = np.zeros(1, dtype=[('x', '<i8')])", "'x'", "'y'", "V.dtype.names"),
        (NAMED, "'x'", "'y'", "p(lp.gen(K))"),
        (f"{KIND}{FIELD}", "B = 2", "B = 3", "p(lp.gen(D))"),
        ("WORD = 'x'", "'x'", "'y'", "'{m.WORD}'.format(m=planted_values)"),
        (GETTER, "'x'", "'y'", "get(planted_values)"),
    ],
)
def test_what_changes_it(planted: Callable[[str, str], bytes], code: str, old: str, new: str, expression: str) -> None:
    before = planted(code, expression)

    assert before == planted(code, expression)
    assert before != planted(code.replace(old, new), expression)


def test_libraries_that_are_patched(planted: Callable[[str, str], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins
    import string
    import textwrap

    code = "def mine(*_):\n    return 'x'\ntextwrap.indent = string.Template.mine = mine\nV = string.Template('a')"
    monkeypatch.setattr(textwrap, "indent", textwrap.indent)
    monkeypatch.setattr(string.Template, "mine", None, raising=False)
    for expression in ("textwrap.indent('a', 'b')", "V.mine()"):
        assert planted(code, expression) != planted(code.replace("'x'", "'y'"), expression)
    before = planted("", "string.digits")
    monkeypatch.setattr(string, "digits", "01")
    assert before != planted("", "string.digits")
    before = planted("", "ascii(1)")
    monkeypatch.setattr(builtins, "ascii", planted)
    with pytest.raises(Unsure):
        planted("", "ascii(1)")


@pytest.mark.parametrize(
    ("code", "expression"),
    [
        ("import gzip", "gzip.GzipFile('x')"),
        ("from xml.etree import ElementTree", "ElementTree.parse('x')"),
        ("from pathlib import Path", "Path.cwd()"),
        ("class C: pass", "C.__subclasses__()"),
        ("def f(): pass", "f.__globals__"),
    ],
)
def test_what_is_not_sure(planted: Callable[[str, str], bytes], code: str, expression: str) -> None:
    with pytest.raises(Unsure, match="what is outside of it"):
        planted(code, expression)
