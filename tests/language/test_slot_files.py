"""Values of slots in files, and the commands that read them."""

from __future__ import annotations

import datetime
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import lmprog as lp
from lmprog import SlotError, gen, program
from lmprog.cli import app
from lmprog.serve.errors import ServeError
from lmprog.serve.programs import endpoints_of

VALUES = {
    "instruction": "Name it.\n\nIn a word:\n",
    "shots": [{"topic": "cats", "word": "an\nanimal", "n": 1, "share": 0.5, "sure": True}, {"topic": "", "word": ""}],
    "inner.instruction": 'quotes " and \'\'\' and """ and \\',
}
SUFFIXES = pytest.mark.parametrize("suffix", ["toml", "json"])


@program
def inner(p: lp.Prompt) -> None:
    p(lp.slot("instruction", ""))


@program
def card(p: lp.Prompt, topic: str) -> Any:
    p(lp.slot("instruction", "Describe it."), lp.examples(name="shots", format="{topic}: {word}\n"))
    for i in range(len(topic)):
        p(lp.slot(f"part_{i}", ""))
    inner(p)
    return p(topic, ": ", gen(regex="[a-z]+", name="word"))


@SUFFIXES
def test_values_come_back(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"card.{suffix}"
    changed = card.with_(VALUES)
    changed.save(file)

    assert changed == card.load(file)
    assert changed.prompt("cats") == card.load(str(file)).prompt("cats")
    assert [file] == list(tmp_path.iterdir())
    changed.with_(shots=[]).save(file)
    assert [] == card.load(file).values["shots"]


def test_files_are_readable(tmp_path: Path) -> None:
    card.with_(VALUES).save(tmp_path / "card.toml")
    text = (tmp_path / "card.toml").read_text(encoding="utf-8")

    assert text.startswith('format = "lmprog slots"\nversion = 1\nprogram = "card"\n\n[slots]\ninstruction = """\n')
    assert '[[slots.shots]]\ntopic = "cats"\nword = """\nan\nanimal"""\nn = 1\n' in text


def test_a_file_written_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "card.toml"
    file.write_text('format = "lmprog slots"\nversion = 1\nslots.inner.instruction = "x"\nslots.instruction = "y"\n')

    assert {"inner.instruction": "x", "instruction": "y"} == card.load(file).values


@SUFFIXES
@settings(max_examples=60, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"])) | st.text("\r\n\t \"'\\\x00\x1b\x7f\u2028"),
    row=st.dictionaries(st.text(max_size=4), st.text("\r\na'\"") | st.integers() | st.booleans(), max_size=3),
)
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, suffix: str, text: str, row: Any) -> None:
    file = tmp_path_factory.mktemp("slots") / f"any.{suffix}"
    changed = card.with_(instruction=text, shots=[row, row])
    changed.save(file)

    assert changed.values == card.load(file).values


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", r"a.txt: slots are kept in a .toml or a .json file"),
        ("a.toml", "x = ", r"a.toml cannot be read: "),
        ("a.json", "[" * 100_000, r"a.json cannot be read: "),
        ("a.json", "[]", r'a.json is no file of slots: it does not say format = "lmprog slots"'),
        ("a.toml", 'format = "lmprog slots"\nversion = 2', r"version 2 of the format; this lmprog reads 1"),
        ("a.toml", 'format = "lmprog slots"\nversion = 1\nslots = 1', r"slots is a table"),
        ("a.toml", 'format = "lmprog slots"\nversion = 1\ninstruction = "x"', r"'instruction' is not known here"),
        (
            "a.toml",
            'format = "lmprog slots"\nversion = 1\nslots.a = 1',
            r"a.toml: the slot 'a' takes a text, or",
        ),
        ("a.json", '{"format": "lmprog slots", "version": 1, "slots": {"a": "\\ud800"}}', r"the slot 'a': character 0"),
        (
            "a.toml",
            'format = "lmprog slots"\nversion = 1\nslots.instrction = "x"',
            r"a.toml: card has no slot 'instrction': take it out of the file, or ask for it in the program",
        ),
        (
            "a.toml",
            'format = "lmprog slots"\nversion = 1\nslots.outer.instruction = "x"',
            r"card has no slot 'outer.instruction': take it out",
        ),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SlotError, match=message):
        card.load(tmp_path / name)


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    card.with_(instruction="é").save(tmp_path / "card.toml")
    (tmp_path / "card.toml").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "card.toml").read_bytes())

    assert card.with_(instruction="é") == card.load(tmp_path / "card.toml")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        card.load(tmp_path / "card.toml")
    with pytest.raises(FileNotFoundError):
        card.save(tmp_path / "none" / "card.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(SlotError, match="cannot be read"):
        card.load(tmp_path / "bytes.toml")


def test_the_slot_of_examples_has_a_name_of_its_own(tmp_path: Path) -> None:
    from lmprog import examples as shots

    @program
    def one(p: lp.Prompt, long: bool) -> None:
        if long:
            p(lp.examples())

    @program
    def other(p: lp.Prompt, long: bool) -> None:
        if long:
            p(shots())

    template = lp.Template("{% if long %}{{ examples([]) }}{% endif %}")
    for changed in (one, other, template):
        changed.with_(examples=[]).save(tmp_path / "a.toml")
        assert "" == changed.load(tmp_path / "a.toml").prompt(long=False)


def test_names_that_the_code_makes_up_are_loaded(tmp_path: Path) -> None:
    card.with_(part_3="x").save(tmp_path / "card.toml")

    assert {"part_3": "x"} == card.load(tmp_path / "card.toml").values


@pytest.mark.parametrize(
    ("suffix", "value", "message"),
    [
        ("toml", None, r"the slot 'shots', item 0, field 'a': TOML has no None"),
        ("toml", object(), r"the slot 'shots', item 0, field 'a': <object"),
        ("json", datetime.date(2025, 1, 1), r"field 'a': datetime.date\(2025, 1, 1\) cannot be kept"),
        ("json", ["\ud800"], r"field 'a', item 0: character 0 of the text is half a surrogate pair"),
        ("toml", {"\ud800": 1}, r"field 'a': character 0 of the text is half a surrogate pair"),
        ("json", [{1: 2}], r"field 'a', item 0: a file has texts as keys only, not 1"),
    ],
)
def test_what_a_file_cannot_keep_leaves_the_old_one(tmp_path: Path, suffix: str, value: Any, message: str) -> None:
    file = tmp_path / f"card.{suffix}"
    card.with_(instruction="old").save(file)
    with pytest.raises(SlotError, match=message):
        card.with_(shots=[{"a": value}]).save(file)

    assert {"instruction": "old"} == card.load(file).values
    assert [file] == list(tmp_path.iterdir())


def test_links_are_followed_and_permissions_kept(tmp_path: Path) -> None:
    (tmp_path / "to.toml").touch(0o600)
    (tmp_path / "card.toml").symlink_to(tmp_path / "to.toml")
    card.with_(instruction="x").save(tmp_path / "card.toml")

    assert (tmp_path / "card.toml").is_symlink()
    assert 0o600 == (tmp_path / "to.toml").stat().st_mode & 0o777
    assert {"instruction": "x"} == card.load(tmp_path / "to.toml").values


def test_toml_and_json_keep_what_they_know(tmp_path: Path) -> None:
    for name, value in [("card.toml", datetime.date(2025, 1, 1)), ("card.json", None)]:
        card.with_(shots=[{"a": value, "b": [1, {"c": 2}]}]).save(tmp_path / name)
        assert [{"a": value, "b": [1, {"c": 2}]}] == card.load(tmp_path / name).values["shots"]


# -- commands --------------------------------------------------------------------------------------------------------

SOURCE = r"""
import lmprog as lp

@lp.program
def card(p, topic, n=1):
    p(lp.slot("instruction", "Describe it."), "\n")
    return p(topic, " ", n, ": ", lp.gen(regex="[a-z]+", name="word"))
"""


def command(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(args))
    return done.exit_code, done.output


def test_commands_take_files_of_slots(tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(SOURCE)
    named, slots = f"{tmp_path / 'prog.py'}:card", str(tmp_path / "card.toml")
    card.with_(instruction="Name it.").save(slots)

    prompted = (0, "Describe it.\ncats 2: ⟨word: /[a-z]+/⟩\n")
    assert prompted == command("prompt", named, "--arg", "topic=cats", "--arg", "n=2")
    assert (0, "Name it.\ncats 1: ⟨word: /[a-z]+/⟩\n") == command(
        "prompt", named, "--arg", "topic=cats", "--slots", slots
    )
    assert '"Name it.\\ncats 1: "' in command("compile", named, "--arg", "topic=cats", "--slots", slots)[1]
    assert "Name it." in endpoints_of([named], [Path(slots)])["card"].program.prompt("cats")


def test_commands_tell_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(SOURCE)
    named, slots = f"{tmp_path / 'prog.py'}:card", tmp_path / "card.toml"
    card.with_(shots=[]).save(slots)

    code, said = command("prompt", named, "--arg", "topic=cats", "--slots", str(slots))
    assert (2, True) == (code, "card has no slot 'shots'" in said)
    code, said = command("prompt", named)
    assert (2, True) == (code, "missing a required argument: 'topic'" in said)
    assert 2 == command("prompt", named, "--arg", "topic=cats", "--slots", str(tmp_path / "none.toml"))[0]
    inner.with_(instruction="x").save(slots)
    with pytest.raises(ServeError, match=r"card.toml is for the program inner, which is not served"):
        endpoints_of([named], [slots])
    slots.write_text('format = "lmprog slots"\nversion = 1\n', encoding="utf-8")
    with pytest.raises(ServeError, match=r"card.toml does not say which program it is for"):
        endpoints_of([named], [slots])


def test_both_formats_say_what_they_are(tmp_path: Path) -> None:
    for name, parse in [("card.toml", tomllib.loads), ("card.json", json.loads)]:
        card.with_(VALUES).save(tmp_path / name)
        head = {"format": "lmprog slots", "version": 1, "program": "card", "slots": VALUES}
        assert head == parse((tmp_path / name).read_text(encoding="utf-8"))
