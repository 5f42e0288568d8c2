"""IPython magics: `%load_ext lmprog.ipython`, then `%%lm` cells and `%lm why NAME`."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class
from rich.console import Console

from .commands import command, load_model
from .errors import LmprogError
from .interactive import Interactive, brief
from .models import LanguageModel
from .run import Run
from .visible import visible


class Failed(LmprogError):
    """An input failed; what is to be said of it is said, without the frames of what it called."""

    def _render_traceback_(self) -> list[str]:
        return [visible(str(self))]


@magics_class
class LmMagics(Magics):
    """A session in the notebook's own names."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._names: dict[str, Any] = shell.user_ns
        self._session: Interactive | None = None
        self._models: dict[str | None, LanguageModel] = {}

    @line_cell_magic
    def lm(self, line: str, cell: str | None = None) -> Run[Any] | None:
        """Write into a run: the lines of the cell are Python, with `p` in scope, and their variables stay.

            %%lm [--model NAME] [--go-on]
            kind = p("Topic: cats\\nKind: ", select(["math", "poem"], name="kind"))

        Every cell begins a new run; with --go-on it goes on with the text of the last one. The cell's value is the run.
        About the last run, as in `lmprog repl`:

            %lm why kind        %lm dist kind        %lm retry        %lm tree        %lm save run.html
            %lm model NAME      run cells on another model: a folder, a cached hub id, random:SEED
        """
        try:
            return self._command(line) if cell is None else self._cell(line, cell)
        except (LmprogError, OSError) as error:
            raise Failed(brief(error)) from None

    def _cell(self, line: str, cell: str) -> Run[Any]:
        given = _options(line)
        session = self._ready(given.model)
        if not given.go_on:
            session.begin(session.model)
        try:
            value = session.execute(cell)
        except Exception as error:
            raise Failed(brief(error)) from None
        return session.run(value)

    def _command(self, line: str) -> Run[Any] | None:
        name, _, argument = line.strip().partition(" ")
        if name == "model":
            self._ready(argument.strip() or None)
            return None
        if name in ("", "quit"):
            raise UsageError("%lm is followed by what to do, such as: why NAME, dist NAME, model NAME, help")
        session = self._ready(None)
        answer = command(session, line)
        if answer is not None:
            Console().print(answer)
        return session.run() if name == "retry" else None

    def _ready(self, name: str | None) -> Interactive:
        """The session, on the model of that name, or on the one it has."""
        if self._session is None or name is not None:
            model = self._models.get(name) or load_model(name)
            self._models[name] = model
            if self._session is None:
                self._session = Interactive(model, self._names)
            else:
                self._session.begin(model)
        return self._session


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise UsageError(f"%%lm: {message}")


def _options(line: str) -> argparse.Namespace:
    parser = _Parser(prog="%%lm", add_help=False)
    parser.add_argument("--model")
    parser.add_argument("--go-on", action="store_true")
    return parser.parse_args(shlex.split(line))


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Called by %load_ext."""
    shell.register_magics(LmMagics)
