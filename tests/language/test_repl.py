"""`lmprog repl` in a real terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

ROOT = Path(__file__).parents[2]
STEERING = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>])|\r")
BEGINS, ENDS = "\x1b\\[\\?2004h", "\x1b\\[\\?2004l"  # of a prompt
KEYS = {"tab": "\t", "up": "\x1b[A", "ctrl-c": "\x03", "ctrl-d": "\x04"}


class Terminal:
    """Types, and reads what comes."""

    def __init__(self, state: Path, model: str) -> None:
        environment = os.environ | {
            "PROMPT_TOOLKIT_NO_CPR": "1",  # nobody here answers where the cursor is
            "XDG_STATE_HOME": str(state),
            "TERM": "xterm-256color",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }
        command = ["-m", "lmprog", "repl", *(["--model", model] if model else [])]
        self.child = pexpect.spawn(
            sys.executable, command, env=environment, encoding="utf-8", dimensions=(50, 140), timeout=30
        )
        self.child.expect(BEGINS)

    def type(self, text: str) -> str:
        """Type a line; what is written before the next prompt, without what steers the terminal."""
        self.child.send(text + "\r")
        self.child.expect(ENDS)
        return self.until(BEGINS)

    def until(self, pattern: str) -> str:
        self.child.expect(pattern)
        return STEERING.sub("", self.child.before or "")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, "random:0")
    yield terminal
    terminal.child.close(force=True)


def test_a_session(terminal: Terminal, tmp_path: Path) -> None:
    card = terminal.type('p("Topic: cats\\nKind: ", select(["math", "poem"], name="kind"), "\\n")')
    kind = re.search("Kind: (math|poem)\n'(math|poem)'", card)

    assert kind is not None
    assert kind[1] == kind[2]
    assert "one of 'math', 'poem'" in terminal.type(":why kind")
    assert "6" in terminal.type("2 * 3").splitlines()
    assert "7" in terminal.type("_ + 1").splitlines()
    block = terminal.type('for i in range(2):\rp("-", gen(int, ge=0, le=9, name="n"))\r')
    assert re.search(r"(?m)^-\d-\d$", block)
    assert "ZeroDivisionError: division by zero" in terminal.type('p("lost"); 1 / 0')
    assert "line 1: p('a' +)" in terminal.type("p('a' +)")
    assert "taken back" in terminal.type(":undo")
    assert "saved in" in terminal.type(f":save {tmp_path}/run.json")
    shown = terminal.type(":show")
    assert f"Topic: cats\nKind: {kind[1]}\n" in shown
    assert "lost" not in shown
    assert "did you mean :help" in terminal.type(":hlp")
    terminal.child.send(":quit\r")
    terminal.child.expect(pexpect.EOF)
    assert (tmp_path / "run.json").exists()


def test_the_keyboard(terminal: Terminal, tmp_path: Path) -> None:
    terminal.child.send("p('typed', gen(choi" + KEYS["tab"])
    terminal.child.expect("ces")
    assert "typedab" in terminal.type("['ab'], name='first'))")
    terminal.child.send("p('dropped'")
    terminal.child.expect("dropped")
    terminal.child.send(KEYS["ctrl-c"])
    terminal.child.expect(BEGINS)
    assert "typedab" in terminal.type(KEYS["up"])
    terminal.child.expect("lm>")
    terminal.child.send(KEYS["ctrl-d"])
    terminal.child.expect(pexpect.EOF)

    history = (tmp_path / "lmprog" / "history").read_text(encoding="utf-8")
    assert "+p('typed', gen(choices=['ab'], name='first'))" in history
    assert "dropped" not in history
    again = Terminal(tmp_path, "random:0")
    assert "typedab" in again.type(KEYS["up"])
    again.child.close(force=True)


def test_ctrl_c_ends_what_is_generated_and_not_the_session(terminal: Terminal) -> None:
    terminal.child.send('p("begun ", gen(regex="[a-z ]{40000}", max_tokens=50000, name="long"))\r')
    terminal.child.expect(ENDS)
    terminal.child.expect("begun ")
    terminal.child.expect("\x1b\\[1;32m")  # it is shown in its colour while it comes
    terminal.child.sendintr()

    assert "interrupted" in terminal.until(BEGINS)
    assert "on" in terminal.type('p("go ", gen(choices=["on"]))')
    assert "begun" not in terminal.type(":show")


def test_a_model_does_not_steer_the_terminal(terminal: Terminal) -> None:
    terminal.child.send("p(gen(choices=['\\x1b]0;owned\\x07']))\r")
    terminal.child.expect(ENDS)
    terminal.child.expect(BEGINS)

    assert "\x1b]0;owned" not in (terminal.child.before or "")
    assert "␛]0;owned␇" in STEERING.sub("", terminal.child.before or "")


def test_inputs_from_a_pipe(tmp_path: Path) -> None:
    lines = """p("n: ", gen(int, ge=7, le=7, name="n"))
for i in range(2):
    p(f" {i}")

p(" end",
  "ing")
1 / 0
:why n
"""
    command = [sys.executable, "-m", "lmprog", "repl", "--model", "random:0", "--temperature", "1", "--seed", "3"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True, env=environment)

    assert done.stdout.startswith("n: 7\n7\n 0 1\n ending\n")
    assert "line 1: 1 / 0\nZeroDivisionError" in done.stdout
    assert "Its language: int, ge=7, le=7" in done.stdout
    assert "" == done.stderr
    assert [] == list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_default_model(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "")
    text = terminal.type('p("A cat has ", gen(int, ge=0, le=9, name="legs"), " legs.\\n")')

    assert re.search(r"A cat has \d legs.", text)
    assert "tokens were allowed" in terminal.type(":why 10") + terminal.type(":why token:1")
    terminal.child.close(force=True)
