"""A living session, for the REPL and for notebooks: Python inputs, one after the other, that write into one run.

No terminal here: inputs come in as text, what happens goes to `listen`, answers are values and what rich can print.
"""

from __future__ import annotations

import ast
import linecache
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from typing import Any

from .decoders import Decoder, Sample
from .errors import ProgramError
from .events import Event
from .models import Canceller, LanguageModel, around
from .options import Options
from .prompt import Prompt
from .revive import revive
from .run import Run
from .session import Live

WORDS = ("gen", "select", "quote", "program", "Sample", "Argmax", "Template")
_numbers = count(1)  # of inputs, in the whole process: their names are known to Python's tracebacks


@dataclass(frozen=True)
class Input:
    """One input that has been run: its name in tracebacks, its source, and where the run stood before it."""

    name: str
    source: str
    before: Any


class Interactive:
    """Runs inputs with the prompt `p` of a run that goes on and on.

    names    where the inputs run and their variables stay
    listen   told of what happens in the run, as it happens; not of what `begin` puts there

    An input that fails, or is interrupted, takes back what it wrote; variables that it has set stay.
    """

    def __init__(
        self,
        model: LanguageModel,
        names: dict[str, Any] | None = None,
        *,
        decoder: Decoder | None = None,
        seed: int | None = None,
        listen: Callable[[Event], object] | None = None,
    ) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"} if names is None else names
        lp = import_module(__package__)
        for name, value in {"lp": lp, **{word: getattr(lp, word) for word in WORDS}}.items():
            self.names.setdefault(name, value)
        self.options, self.listen = Options(decoder, seed, trace=True), listen
        self.begin(model)

    def begin(self, model: LanguageModel, after: Run[Any] | None = None) -> None:
        """Begin a new run, on a model; with all that is in the run `after`, if one is given."""
        live = Live(model, self.options, Canceller(), listen=self._tell)
        self._silent = True
        if after is not None:
            revive(after, live)
        self._silent = False
        self.model, self.live, self.inputs = model, live, list[Input]()
        self.p = self.names["p"] = Prompt(live)

    def run(self, value: Any = None) -> Run[Any]:
        """The run as it is now."""
        done: Run[Any] = self.live.finished(value)
        return done

    def execute(self, source: str, decoder: Decoder | None = None) -> Any:
        """Run an input. The value is that of its last line, if that is an expression."""
        name = f"<input {next(_numbers)}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        body, last = compiled(source, name)
        given = Input(name, source, self.p.mark())
        with self._kept(given), around(self.model), self.p.decoding(decoder) if decoder else nullcontext():
            self.names["p"] = self.p
            exec(body, self.names)
            value = eval(last, self.names) if last else None
        self.inputs.append(given)
        return value

    def undo(self) -> str:
        """Take back what the last input wrote; its source."""
        if not self.inputs:
            raise ProgramError("there is no input to take back")
        given = self.inputs.pop()
        self.p.reset(given.before)
        return given.source

    def retry(self, temperature: float = 1.0) -> Any:
        """Take back what the last input wrote and run it again, drawing at a temperature."""
        decoder = Sample(temperature=temperature)
        return self.execute(self.undo(), decoder)

    def _tell(self, event: Event) -> None:
        if self.listen is not None and not self._silent:
            self.listen(event)

    @contextmanager
    def _kept(self, given: Input) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.p.reset(given.before)
            raise


def compiled(source: str, name: str) -> tuple[Any, Any]:
    """The code of an input but for a last expression, and that. Raises SyntaxError."""
    tree = ast.parse(source, name)
    value = tree.body[-1].value if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    if value is not None:
        del tree.body[-1]
    body = compile(tree, name, "exec", dont_inherit=True)
    return body, value and compile(ast.Expression(value), name, "eval", dont_inherit=True)


def is_complete(source: str) -> bool:
    """Whether an input can be run as it is, or more lines are to come. A block ends with an empty line."""
    import codeop

    if source.startswith(":"):
        return True
    try:
        if codeop.compile_command(source, "<input>", "exec") is None:
            return False
    except (SyntaxError, ValueError, OverflowError):
        return True  # running it says what is wrong
    lines = source.split("\n")
    last = ast.parse(source).body[-1:]
    block = bool(last) and hasattr(last[0], "body")
    return len(lines) == 1 or not block or not lines[-1].startswith((" ", "\t"))


def brief(error: BaseException) -> str:
    """What went wrong in an input, and the line of it; without the frames of what it called."""
    place = ""
    if isinstance(error, SyntaxError) and (error.filename or "").startswith("<input "):
        place = _line(error.filename or "", error.lineno or 1)
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith("<input "):
            place = _line(frame.filename, frame.lineno or 1)
    text = "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
    return "\n".join([place + text, *getattr(error, "__notes__", [])])


def _line(name: str, number: int) -> str:
    return f"{name.strip('<>')}, line {number}: {linecache.getline(name, number).strip()}\n"
