"""What can be said to a living session beside Python: `:why kind`, `:undo`, ..."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .errors import ProgramError, RunError
from .explain import explanation
from .interactive import Interactive
from .models import LanguageModel
from .programs import program
from .run import Capture, Run
from .show import captures, certified, marked, usage
from .trace import TokenRecord
from .view import percent
from .visible import inline, token_text, visible
from .why.result import Why

Answer = RenderableType | Why | None
OPTIONS, BAR = 20, 30  # options that are listed; characters of the bar of a certain one


@dataclass(frozen=True)
class Command:
    """`run` takes the session and what stands behind the command's name. `asks`: what that is, for completion."""

    usage: str
    about: str
    run: Callable[[Interactive, str], Answer]
    asks: str = ""


def command(session: Interactive, line: str) -> Answer:
    """Carry out a line such as ":why kind". Raises LmprogError or OSError when that cannot be."""
    name, _, argument = line.lstrip().removeprefix(":").partition(" ")
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean :{close[0]}?" if close else ":help lists them"
        raise ProgramError(f"there is no command :{name}; {hint}")
    return COMMANDS[name].run(session, argument.strip())


def load_model(name: str | None) -> LanguageModel:
    """A model by its name for `lp.load`; "random:SEED" is `lmprog.testing.RandomModel(SEED)`."""
    kind, _, seed = (name or "").partition(":")
    if kind == "random" and seed.isdigit():
        from .testing import RandomModel

        return RandomModel(int(seed))
    from .runtime.load import load

    return load(name or None)


# -- the commands ------------------------------------------------------------------------------------------------


def _show(session: Interactive, _: str) -> Answer:
    run = session.run()
    return Group(marked(run), captures(run), *certified(run), usage(run))


def _why(session: Interactive, name: str) -> Answer:
    run = session.run()
    return explanation(run, name or _named(run, "").name)


def _causes(session: Interactive, name: str) -> Answer:
    run = session.run()
    why = run.why(name or _named(run, "").name)
    session.live.causes |= run.causes
    return why


def _dist(session: Interactive, name: str) -> Answer:
    run = session.run()
    capture = _named(run, name)
    if capture.choice is not None:
        return _shares(capture)
    first = next((token for token in run.tokens if _begins(token, capture)), None)
    if first is None:
        raise RunError(f"there are no probabilities for {capture.name!r}: none of its tokens was sampled")
    table = Table("token", "p", box=None, header_style="bold")
    for candidate in first.top_masked:
        style = "bold green" if candidate.id == first.id else ""
        table.add_row(Text(token_text(candidate.data), style), percent(candidate.logprob))
    return Group(Text(f"What the first token of {inline(capture.name)} could have been:"), table)


def _shares(capture: Capture) -> RenderableType:
    """The options of a choice."""
    table, dist = Table.grid(padding=(0, 2)), capture.dist
    for option in dist.ranked[:OPTIONS]:
        share = dist.probs[option]
        style = "bold green" if option == capture.value else ""
        bar = Text("█" * round(BAR * share), "blue")
        table.add_row(Text(inline(str(option)), style), percent(math.log(share) if share else -math.inf), bar)
    more = Text(f"and {len(dist) - OPTIONS} more", "dim") if len(dist) > OPTIONS else ""
    return Group(Text(f"The options of {inline(capture.name)}:"), table, more)


def _begins(token: TokenRecord, capture: Capture) -> bool:
    begin, end = token.span
    return not token.retracted and not token.forced and begin < capture.span[1] and end > capture.span[0]


def _named(run: Run[Any], name: str) -> Capture:
    """A capture by its name; without one the last."""
    found = run.captures.all(name or None)
    if not found:
        there = ", ".join(run.captures) or "none yet"
        raise RunError(f"there is no capture {name!r}; there are: {there}" if name else "no hole has been filled yet")
    return found[-1]


def _retry(session: Interactive, temperature: str) -> Answer:
    try:
        heat = float(temperature or 1)
    except ValueError:
        raise ProgramError(f"a temperature is a number, not {temperature!r}") from None
    value = session.retry(heat)
    return None if value is None else Text(inline(repr(value)), "cyan")


def _undo(session: Interactive, _: str) -> Answer:
    source = session.undo()
    return Text(f"taken back: {inline(source)}", "dim")


def _plan(session: Interactive, source: str) -> Answer:
    source = source or (session.inputs[-1].source if session.inputs else "")
    if not source:
        raise ProgramError("there is nothing to plan: give a line, :plan p('Name: ', gen())")
    names = dict(session.names)

    def body(p: Any) -> None:
        exec(compile(source, "<plan>", "exec", dont_inherit=True), names | {"p": p})

    return Text(visible(str(program(body).plan())))


def _tree(session: Interactive, _: str) -> Answer:
    engine = getattr(session.model, "engine", None)
    if engine is None:
        raise ProgramError(f"{session.model.name} has no prefix cache")
    return Text(engine.show())


def _save(session: Interactive, path: str) -> Answer:
    run = session.run()
    if not path:
        raise ProgramError("give a file: :save run.json, or :save run.html for a page")
    if path.endswith(".html"):
        run.html(path)
    else:
        run.save(path)
    return Text(f"saved in {path}", "dim")


def _load(session: Interactive, path: str) -> Answer:
    if path.endswith(".py"):
        session.execute(Path(path).read_text(encoding="utf-8"))
        return None
    session.begin(session.model, Run.load(path))
    return _show(session, "")


def _model(session: Interactive, name: str) -> Answer:
    if not name:
        return Text(session.model.name)
    session.begin(load_model(name), session.run())
    return Text(f"now on {session.model.name}, with the text so far", "dim")


def _new(session: Interactive, _: str) -> Answer:
    session.begin(session.model)
    return Text("a new run; variables are kept", "dim")


def _quit(session: Interactive, _: str) -> Answer:
    raise EOFError


def _help(session: Interactive, _: str) -> Answer:
    table = Table.grid(padding=(0, 2))
    for one in COMMANDS.values():
        table.add_row(Text(one.usage, "bold"), one.about)
    return Group(Text(HELP), table)


HELP = """\
Lines are Python; p is the prompt of one run that goes on from line to line:

    p("Topic: cats\\nKind: ", select(["math", "poem"], name="kind"))

A block ends with an empty line. Ctrl-C ends what is being generated, Ctrl-D the session.
"""
COMMANDS = {
    "why": Command(
        ":why [NAME | CHARACTER]", "why these tokens: what was allowed, what the model wanted", _why, "capture"
    ),
    "causes": Command(":causes [NAME]", "which parts of the text before it cause a value", _causes, "capture"),
    "dist": Command(":dist [NAME]", "how likely the options of a hole were", _dist, "capture"),
    "retry": Command(":retry [TEMPERATURE]", "take the last input back and run it again, drawing at random", _retry),
    "undo": Command(":undo", "take back what the last input wrote", _undo),
    "show": Command(":show", "the text so far, with its captures and what it cost", _show),
    "plan": Command(":plan [LINE]", "how a line, or else the last input, would be compiled", _plan),
    "tree": Command(":tree", "the prefix cache of the model", _tree),
    "save": Command(":save FILE", "keep the run: as JSON, or with .html as a page", _save, "file"),
    "load": Command(":load FILE", "go on with a saved run; run a .py file", _load, "file"),
    "model": Command(":model [NAME]", "go on with another model", _model),
    "new": Command(":new", "begin a new run", _new),
    "help": Command(":help", "this", _help),
    "quit": Command(":quit", "leave", _quit),
}
