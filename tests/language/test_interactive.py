"""A living session and its commands, without a terminal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lmprog import BudgetError, ProgramError, RunError, Sample
from lmprog.commands import COMMANDS, command, load_model
from lmprog.completion import completions
from lmprog.events import Event, Retract, Text
from lmprog.interactive import Interactive, brief, is_complete
from lmprog.testing import RandomModel

CARD = 'kind = p("Topic: cats\\nKind: ", select(["math", "poem"], name="kind"), "\\n")'


@pytest.fixture
def session(model: RandomModel) -> Interactive:
    return Interactive(model)


def said(session: Interactive, line: str) -> str:
    console = Console(file=io.StringIO(), width=120)
    answer = command(session, line)
    if answer is not None:
        console.print(answer)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_inputs_write_into_one_run(session: Interactive) -> None:
    assert session.execute(CARD) is None
    assert 3 == session.execute("n = 3\nn")
    value = session.execute('p("Line: ", gen(regex="[a-z]{5}", name="line"))')
    run = session.run()

    assert f"Topic: cats\nKind: {session.names['kind']}\nLine: {value}" == run.text
    assert ["kind", "line"] == list(run.captures)
    assert run.tokens


def test_programs_take_the_model_of_the_session(session: Interactive) -> None:
    session.execute("@program\ndef twice(p, n):\n    return [p(gen(int, le=9), ' ') for _ in range(n)]\n")

    assert 2 == len(session.execute("twice(p, 2)"))
    assert 2 == len(session.run().captures)
    assert 3 == len(session.execute("twice(3)"))
    assert 2 == len(session.run().captures)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\nthen = 2 +", "line 2: then = 2 +\nSyntaxError"),
        ("p('kept?')\n1 / 0", "line 2: 1 / 0\nZeroDivisionError: division by zero"),
        ("def f():\n    return 1 / 0\nf()", "line 2: return 1 / 0\nZeroDivisionError"),
        ("p('a', gen(name='x', regex='a{9}', max_tokens=1))", "BudgetError"),
        ("raise KeyboardInterrupt", "interrupted"),
    ],
)
def test_an_input_that_fails_takes_back_what_it_wrote(session: Interactive, source: str, message: str) -> None:
    session.execute(CARD)
    before = session.run().text
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        session.execute(source)

    assert message in brief(caught.value)
    assert before == session.run().text
    session.execute("p('!')")
    assert before + "!" == session.run().text


def test_notes_are_shown(session: Interactive) -> None:
    with pytest.raises(BudgetError) as caught:
        session.execute("p('a', gen(name='x', regex='a{99}', max_tokens=1))")

    assert "in the hole 'x'" in brief(caught.value)


def test_undo_and_retry(session: Interactive) -> None:
    session.execute(CARD)
    before = session.run().text
    first = session.execute('p(gen(regex="[a-z]{20}", name="x"))')
    again = {session.retry(1.5) for _ in range(4)}

    assert len(again | {first}) > 2
    assert session.run().text == before + session.run().captures["x"].text
    assert 2 == len(session.inputs)
    assert "[a-z]{20}" in said(session, ":undo")
    assert before == session.run().text
    said(session, ":undo")
    assert "" == session.run().text
    with pytest.raises(ProgramError, match="no input"):
        said(session, ":undo")


def test_listeners_hear_it_as_it_happens(model: RandomModel) -> None:
    heard: list[Event] = []
    session = Interactive(model, listen=heard.append)
    session.execute(CARD)
    said(session, ":undo")
    text = ""
    for event in heard[:-1]:
        text = text[: event.span[0]] + event.text

    pieces = [event.text for event in heard if isinstance(event, Text) and event.hole]
    assert session.names["kind"] == "".join(pieces)
    assert isinstance(heard[-1], Retract)
    assert heard[-1].removed == text


def test_questions(session: Interactive) -> None:
    session.execute(CARD)
    kind = session.run().captures["kind"]

    assert "one of 'math', 'poem'" in said(session, ":why kind")
    assert said(session, ":why") == said(session, ":why kind")
    assert "own text" in said(session, ":why 2")
    assert "poem" in said(session, ":dist kind")
    assert "What causes kind" in said(session, ":causes kind")
    assert "What causes" in said(session, ":causes")
    assert "kind" in session.run().causes
    assert kind.text in said(session, ":show")
    assert "the longest path has" in said(session, ":tree")
    assert "kind: one of 'math', 'poem'" in said(session, ":plan")
    session.execute('if p(select(["a", "b"], name="way")) == "a":\n    p("!")\n')
    assert '= "a":' in said(session, ":plan")
    assert "Name: " in said(session, ":plan p('Name: ', gen())")
    assert all(one.usage in said(session, ":help") for one in COMMANDS.values())
    assert "RandomModel(0)" in said(session, ":model")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (":hlp", "did you mean :help?"),
        (":zzz", ":help lists them"),
        (":why", "no hole has been filled"),
        (":why nobody", "no capture 'nobody'"),
        (":dist nobody", "no capture 'nobody'"),
        (":plan", "nothing to plan"),
        (":retry hot", "a temperature is a number"),
        (":save", "give a file"),
        (":model no/such/folder", "no/such/folder"),
    ],
)
def test_commands_that_cannot_be(session: Interactive, line: str, message: str) -> None:
    from lmprog import LmprogError

    with pytest.raises(LmprogError, match=message.replace("?", r"\?")):
        command(session, line)


def test_a_run_goes_on_after_it_was_saved(session: Interactive, model: RandomModel, tmp_path: Path) -> None:
    session.execute(CARD)
    session.execute('p("Line: ", gen(regex="[a-z]{5}", name="line"))')
    before = session.run()
    said(session, f":save {tmp_path}/run.json")
    said(session, f":save {tmp_path}/run.html")
    assert "<!DOCTYPE html>" in (tmp_path / "run.html").read_text(encoding="utf-8")

    other = Interactive(model)
    said(other, f":load {tmp_path}/run.json")
    after = other.run()
    assert (before.text, before.captures.all(), before.trace) == (after.text, after.captures.all(), after.trace)
    assert said(session, ":why line") == said(other, ":why line")
    more = other.execute('p(" and ", gen(regex="[a-z]{5}", name="more"))')
    assert f"{before.text} and {more}" == other.run().text
    with pytest.raises(RunError):
        said(other, f":load {tmp_path}/run.html")


def test_a_file_of_python_is_run(session: Interactive, tmp_path: Path) -> None:
    (tmp_path / "card.py").write_text(CARD)
    said(session, f":load {tmp_path}/card.py")

    assert "kind" in session.run().captures


def test_another_model_gets_the_text(session: Interactive) -> None:
    session.execute("p.user('Hi')\nwith p.assistant():\n    p(gen(max_tokens=3))")
    before = session.run()
    said(session, ":model random:7")

    assert "RandomModel(7)" == session.model.name
    assert (before.text, before.messages) == (session.run().text, session.run().messages)
    session.execute("with p.assistant():\n    p(gen(max_tokens=2))")
    said(session, ":new")
    assert "" == session.run().text


def test_models_by_name() -> None:
    assert "RandomModel(3)" == load_model("random:3").name


def test_a_session_has_a_decoder(model: RandomModel) -> None:
    def drawn(seed: int) -> Any:
        return Interactive(model, decoder=Sample(), seed=seed).execute('p("x", gen(regex="[a-z]{20}"))')

    assert drawn(1) == drawn(1) != drawn(2)


@pytest.mark.parametrize(
    ("source", "complete"),
    [
        ("p('a')", True),
        (":why", True),
        ("p('a',", False),
        ("p('a',\n  'b')", True),
        ("for i in range(2):", False),
        ("for i in range(2):\n    p(i)", False),
        ("for i in range(2):\n    p(i)\n", True),
        ("for i in range(2): p(i)", True),
        ("if x:\n    p(1)\nelse:", False),
        ("x = '''a", False),
        ("x = = 1", True),
        ("def f():\n    pass\nf()", True),
        ("p('\\ud800')\x00", True),
    ],
)
def test_when_an_input_is_complete(source: str, complete: bool) -> None:
    assert complete == is_complete(source)


@pytest.mark.parametrize(
    ("before", "word", "among"),
    [
        (":wh", "wh", ["why"]),
        (":why k", "k", ["kind"]),
        (":dist ", "", ["kind"]),
        ("ki", "ki", ["kind"]),
        ("x = sel", "sel", ["select"]),
        ("p.us", "p.us", ["p.user"]),
        ("lp.Samp", "lp.Samp", ["lp.Sample"]),
        ("p('a', gen(re", "re", ["regex=", "repetition_penalty="]),
        ("p(select(['a'], na", "na", ["name="]),
        ("p('a', gen(", "", ["regex=", "max_tokens="]),
        ("no.such.thing", "no.such.thing", []),
        ("2.", "", []),
    ],
)
def test_completion(session: Interactive, before: str, word: str, among: list[str]) -> None:
    session.execute(CARD)
    start, found = completions(session, before)

    assert (word, set()) == (start, set(among) - set(found))
    assert all(name.startswith(word) for name in found)


def test_completion_runs_nothing(session: Interactive) -> None:
    session.execute(
        "class Trap:\n    @property\n    def bait(self): raise SystemExit\n    def __getattr__(self, n): 1/0\n"
    )
    session.execute("trap = Trap()")

    assert ("trap.bait.x", []) == completions(session, "trap.bait.x")
    assert "trap.bait" in completions(session, "trap.b")[1]


def test_completion_of_files(session: Interactive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.json").touch()
    Path("folder").mkdir()
    Path("folder/deep.json").touch()

    assert ("ru", ["run.json"]) == completions(session, ":load ru")
    assert ["folder/"] == completions(session, ":load fo")[1]
    assert ["folder/deep.json"] == completions(session, ":load folder/")[1]
