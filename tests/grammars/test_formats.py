"""The formats of JSON Schema against the suite's tests and against independent validators."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import idna
import jsonschema_rs
import pytest

from lmprog.grammars import Vocabulary, compile, json_schema
from lmprog.grammars.derive import derive, minlen, nullable, segments
from lmprog.grammars.errors import UnsupportedConstraint
from lmprog.grammars.expr import INF, Expr, matches
from lmprog.grammars.idna_labels import kinds
from lmprog.grammars.json_formats import FORMATS, LAZY, format_expr
from lmprog.grammars.json_text import STYLES
from lmprog.grammars.regex import PLAIN
from lmprog.grammars.store import save

from .idna_table import table
from .test_native import agree

DATA = Path(__file__).parents[1] / "data" / "formats.json"
SUITE: dict[str, dict[str, list[str]]] = json.loads(DATA.read_text("utf-8"))["formats"]
BYTES = Vocabulary([bytes([i]) for i in range(256)] + [b"<eos>"], eos={256})
GREEK = "παράδειγμα"


@cache
def theirs(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"type": "string", "format": name}, validate_formats=True)


def ours(name: str, text: str) -> bool:
    return matches(format_expr(name, PLAIN), text.encode())


def is_left_out(name: str, text: str) -> bool:
    """What the docstring of idna_labels leaves out."""
    return "hostname" in name and ("xn--" in text.lower() or GREEK * 3 in text)


def test_every_format_of_the_draft_is_there() -> None:
    assert FORMATS == SUITE.keys()


@pytest.mark.parametrize("name", sorted(SUITE))
def test_suite(name: str) -> None:
    wrong = [text for text in SUITE[name]["valid"] if not ours(name, text) and not is_left_out(name, text)]
    wrong += [text for text in SUITE[name]["invalid"] if ours(name, text)]

    assert [] == wrong


def mutant(rng: random.Random, name: str) -> str:
    text, others = list(rng.choice(SUITE[name]["valid"])), [c for side in SUITE[name].values() for t in side for c in t]
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(text))
        text[at : at + rng.randint(0, 1)] = rng.choice(["", rng.choice(others), rng.choice(others), "".join(text[:3])])
    return "".join(text)


THEIR_BUGS = {"1963-06-19T0-:30:06Z"}


@pytest.mark.parametrize("name", sorted(SUITE))
def test_mutants_agree_with_another_validator(name: str) -> None:
    """Nothing that is invalid there; all that is valid, but where we are narrower or stricter on purpose."""
    rng = random.Random(7)
    texts = sorted({mutant(rng, name) for _ in range(60)} - THEIR_BUGS)
    narrow = name in LAZY or name == "hostname"

    assert [] == [text for text in texts if ours(name, text) and not theirs(name).is_valid(text)]
    assert [] == [text for text in texts if not narrow and theirs(name).is_valid(text) and not ours(name, text)]


# -- labels


def test_the_table_is_what_unicode_says() -> None:
    written = (Path(json_schema.__code__.co_filename).parent / "idna.txt").read_text("utf-8")
    if table().splitlines()[0] != written.splitlines()[0]:
        pytest.skip("this Python has another version of Unicode")

    assert table() == written


def random_label(rng: random.Random) -> str:
    ranges = [*rng.sample([r for _, ranges in kinds() for r in ranges], 2), (0x61, 0x7A), (0x30, 0x39), (0x2D, 0x2D)]
    special = [(ord(c), ord(c)) for c in "l·͵׳・\u200c\u200d\u094dب٠۰א"]
    picked = [rng.choice(rng.choice([ranges, special])) for _ in range(rng.randint(1, 6))]
    return "".join([chr(rng.randint(low, high)) for low, high in picked])


def is_label(text: str) -> bool:
    try:
        idna.check_label(text)
    except (idna.IDNAError, UnicodeError):
        return False
    return True


def test_labels_agree_with_idna() -> None:
    rng = random.Random(3)
    labels = [random_label(rng) for _ in range(600)]
    good = [label for label in labels if is_label(label)]
    accepted = [label for label in labels if ours("idn-hostname", label)]

    assert [] == sorted(set(accepted) - set(good))
    assert len(accepted) > 0.8 * len(good) > 80  # normal form and joiners are narrower


@pytest.mark.parametrize("script", ["αβγδ", "абвг", "中文字漢", "한국어말", "aé", "𐐨𐐩中é", "कखग"])
def test_long_labels_stay_within_63_octets(script: str) -> None:
    rng = random.Random(script)
    for _ in range(40):
        label = "".join(rng.choices(script, k=rng.randint(8, 24)))
        if ours("idn-hostname", label):
            assert len(idna.alabel(label)) <= 63


# -- regexes

NAMED = [
    (True, r"(?<year>\d{4})-(?<month>\d\d)"),
    (True, r"(?<n>a)|\k<n>"),
    (True, r"\2(a)(b)"),
    (True, r"[\x00-\x1f\u4e00-\u9fa5а-яÀ-ÖØ-öø-ÿ]"),
    (True, r"x{12,345}?y{3,3}z{9,10}"),
    (True, r"[^-a+--/\]\-]"),
    (True, r"\p{L}\P{Script=Greek}\u{10FFFF}\cA\0"),
    (False, r"(?<a>x)(?<a>y)"),
    (False, r"\k<n>"),
    (False, r"\2(a)"),
    (False, r"\10(a)"),
    (False, r"[\x1f-\x00]"),
    (False, r"[^--!]"),
    (False, r"[^-z-a]"),
    (False, r"[\d-x]"),
    (False, r"[\ude00-\udfff]"),
    (False, r"x{2,1}"),
    (False, r"x{120,119}"),
    (False, r"(?=a)*"),
    (False, r"\u{110000}"),
    (False, r"\p{Foo}"),
    (False, r"\01"),
]


@pytest.mark.parametrize(("valid", "pattern"), NAMED)
def test_regex_syntax(valid: bool, pattern: str) -> None:
    assert valid == ours("regex", pattern)


def test_regex_agrees_with_a_javascript_engine() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    rng = random.Random(5)
    seeds, signs = (
        [pattern for _, pattern in NAMED],
        [*"()[]{}|?*+^$.-\\,:=!<>akpux0129", "(?", "[^", "\\u", "{2,", "é"],
    )
    patterns = []
    for _ in range(400):
        text = list(rng.choice(seeds))
        for _ in range(rng.randint(1, 3)):
            at = rng.randint(0, len(text))
            text[at : at + rng.randint(0, 1)] = rng.choice(["", rng.choice(signs)])
        patterns.append("".join(text))
    script = (
        "const tried = JSON.parse(require('fs').readFileSync(0)).map("
        "p => { try { new RegExp(p, 'u'); return true } catch { return false } });"
        "console.log(JSON.stringify(tried))"
    )
    answer = subprocess.run(
        [node, "-e", script], input=json.dumps(patterns), capture_output=True, text=True, check=True
    )
    good = {pattern for pattern, valid in zip(patterns, json.loads(answer.stdout), strict=True) if valid}
    accepted = {pattern for pattern in patterns if ours("regex", pattern)}

    assert set() == accepted - good
    assert len(good - accepted) <= 0.1 * len(good)


# -- lazy rules


def successors(e: Expr) -> list[Expr]:
    return [after for low, _ in segments(e) if minlen(after := derive(e, low)) < INF]


@pytest.mark.parametrize("name", sorted(LAZY))
@pytest.mark.parametrize("style", ["plain", "flexible"])
def test_least_lengths_are_consistent(name: str, style: str) -> None:
    rng, e = random.Random(name), format_expr(name, PLAIN if style == "plain" else STYLES[style].alphabet)
    for _ in range(40):
        onward = successors(e)

        assert (minlen(e) == 0) == nullable(e)
        if minlen(e):
            assert minlen(e) == 1 + min(map(minlen, onward))
        if not onward:
            break
        e = rng.choice(onward)


@pytest.mark.parametrize("name", sorted(LAZY))
def test_both_implementations_agree(name: str) -> None:
    agree(format_expr(name, PLAIN), 1)


def test_rules_that_are_not_written_cannot_be_stored(tmp_path: Path) -> None:
    constraint = compile(json_schema({"format": "regex", "type": "string"}), BYTES)

    with pytest.raises(UnsupportedConstraint, match="cannot be stored"):
        save(constraint, tmp_path / "regex")


# -- narrow formats are sound where they are denied


def accepts(schema: dict[str, Any], value: str) -> bool:
    constraint = compile(json_schema(schema), BYTES)
    state = constraint.start()
    for byte in json.dumps(value).encode():
        after = constraint.advance(state, byte)
        if after is None:
            return False
        state = after
    return constraint.accepting(state)


@pytest.mark.parametrize(
    ("value", "accepted"), [("a_b", True), ("a.b", False), ("xn--ll-0ea", False), ("xn--", False), ("a..b", False)]
)
def test_what_may_be_a_host_name_is_not_said_to_be_none(value: str, accepted: bool) -> None:
    assert accepted == accepts({"type": "string", "not": {"format": "hostname"}}, value)


@pytest.mark.parametrize("value", ["::1", "a.com", "xn--ll-0ea"])
def test_one_of_several_formats(value: str) -> None:
    schema = {"type": "string", "oneOf": [{"format": "hostname"}, {"format": "ipv6"}]}

    assert accepts(schema, value) == (value in ("::1", "a.com"))


@pytest.mark.parametrize(
    "schema", [{"not": {"format": "regex"}, "type": "string"}, {"const": "xn--ll-0ea", "format": "hostname"}]
)
def test_what_cannot_be_told_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedConstraint, match="cannot be told exactly"):
        compile(json_schema(schema), BYTES)


def test_a_format_meets_other_assertions() -> None:
    schema = {"type": "string", "format": "regex", "maxLength": 6, "pattern": "^[(]"}

    assert accepts(schema, "(a|b)*")
    assert not accepts(schema, "(a|b)*c")
    assert not accepts(schema, "(a|b*")
    assert not accepts(schema, "a")


def test_an_unknown_format_is_an_annotation() -> None:
    assert accepts({"type": "string", "format": "phone"}, "x")
