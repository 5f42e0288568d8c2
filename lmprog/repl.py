"""`lmprog repl`: the terminal of a living session."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.python import PythonLexer
from rich.console import Console
from rich.text import Text

from . import __version__
from .commands import command
from .completion import completions
from .decoders import Decoder
from .events import Close, Event, Open, Retract, RoleBegin, RoleEnd
from .events import Text as Written
from .interactive import Interactive, brief, is_complete
from .models import LanguageModel
from .visible import inline, visible

PROMPT, MORE = "lm> ", "... "
INDENT = 4
WIDE, LONG = 200, 2000  # characters that are shown of what was taken back, and of a value


class Typist:
    """Writes the events of a run to the terminal as they come: a hole's pieces while the model writes them."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._at = 0  # how much of the run's text is on the screen
        self._clean = True  # the cursor is at the beginning of a line

    def __call__(self, event: Event) -> None:
        if event.branch:
            return
        begin, end = event.span
        if isinstance(event, Retract):
            if event.removed:
                self.line()
                self._write(f"↩ {shorten(inline(event.removed), WIDE)}\n", "red strike")
            self._at = end
        elif not isinstance(event, Open):
            self._write(event.text[max(0, self._at - begin) :], style(event))
            self._at = max(self._at, end)

    def go_to(self, at: int) -> None:
        """What is before that is on the screen, or need not be."""
        self._at = at

    def line(self) -> None:
        """Begin a new line, unless the cursor is at the beginning of one."""
        if not self._clean:
            self.console.print()
            self._clean = True

    def _write(self, text: str, look: str) -> None:
        if text:
            self.console.print(Text(visible(text), look), end="", soft_wrap=True)
            self._clean = text.endswith("\n")


def style(event: Event) -> str:
    """How the text of an event looks."""
    if isinstance(event, RoleBegin | RoleEnd):
        return "bold dim"
    return "bold green" if isinstance(event, Close) or (isinstance(event, Written) and event.hole) else "dim"


class Terminal:
    """Reads inputs, hands them to the session, and writes what comes of it."""

    def __init__(self, model: LanguageModel, decoder: Decoder | None = None) -> None:
        self.console = Console(highlight=False)
        self.typist = Typist(self.console)
        self.session = Interactive(model, decoder=decoder, listen=self.typist)

    def loop(self) -> None:
        """Until :quit or Ctrl-D; or, when the inputs do not come from a keyboard, until there are no more."""
        with suppress(EOFError):
            if sys.stdin.isatty():
                self._ask()
            else:
                for text in piped(sys.stdin):
                    self.take(text)

    def _ask(self) -> None:
        self.console.print(f"lmprog {__version__}, {inline(self.session.model.name)}; :help helps", style="dim")
        lines = editor(self.session, open_history(self.console))
        while True:
            with suppress(KeyboardInterrupt):  # while typing: the line is dropped
                self.take(lines.prompt())

    def take(self, text: str) -> None:
        """One input. What goes wrong is written; only EOFError, of :quit, comes out."""
        if not text.strip():
            return
        try:
            self._run(text)
        except EOFError:
            raise
        except KeyboardInterrupt as error:
            self._say(brief(error), "yellow")
        except (Exception, SystemExit) as error:
            self._say(brief(error), "red")
        self.typist.go_to(self.session.live.recorder.length)

    def _run(self, text: str) -> None:
        if text.lstrip().startswith(":"):
            answer = command(self.session, text)
            self.typist.line()
            if answer is not None:
                self.console.print(answer)
            return
        value = self.session.execute(text)
        self.typist.line()
        if value is not None:
            self.session.names["_"] = value
            self.console.print(Text(shorten(visible(repr(value)), LONG), "cyan"))

    def _say(self, text: str, look: str) -> None:
        self.typist.line()
        self.console.print(Text(visible(text), look))


def shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


# -- the line editor -----------------------------------------------------------------------------------------------


def editor(session: Interactive, history: History) -> PromptSession[str]:
    """Reads an input, of one line or more."""
    return PromptSession(
        PROMPT,
        multiline=True,
        prompt_continuation=MORE,
        history=history,
        completer=_Completer(session),
        complete_while_typing=False,
        lexer=PygmentsLexer(PythonLexer),
        key_bindings=keys(),
    )


def piped(lines: Iterable[str]) -> Iterator[str]:
    """Lines put together to inputs."""
    text = ""
    for line in lines:
        text += line
        if is_complete(text.removesuffix("\n")):
            yield text.removesuffix("\n")
            text = ""
    yield text


class _Completer(Completer):
    def __init__(self, session: Interactive) -> None:
        self._session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        word, found = completions(self._session, document.text_before_cursor)
        for text in found:
            yield Completion(text, -len(word), display=text.rpartition(".")[2] or text)


def keys() -> KeyBindings:
    """Enter runs what is complete, and else begins a line, indented as the last one; Tab indents where nothing else
    is on the line, and completes elsewhere."""
    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.is_cursor_at_the_end and is_complete(buffer.text.rstrip(" ")):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n" + indentation(buffer.document.current_line))

    @bindings.add("tab")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.current_line_before_cursor.strip():
            buffer.complete_next() if buffer.complete_state else buffer.start_completion(insert_common_part=True)
        else:
            buffer.insert_text(" " * INDENT)

    return bindings


def indentation(line: str) -> str:
    """The blanks that the line after `line` begins with."""
    blanks = line[: len(line) - len(line.lstrip())]
    return blanks + " " * INDENT if line.rstrip().endswith(":") else blanks


def open_history(console: Console) -> History:
    """The file that remembers inputs, or where there can be none, for this session only."""
    path = state_folder() / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        console.print(f"inputs will not be remembered: {error}", style="yellow")
        return InMemoryHistory()
    return FileHistory(str(path))


def state_folder() -> Path:
    """`$XDG_STATE_HOME/lmprog`, else `~/.local/state/lmprog`."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "state") / "lmprog"
