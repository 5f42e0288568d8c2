"""What could be typed next in a living session: commands, captures, files, names, attributes, options of holes."""

from __future__ import annotations

import builtins
import inspect
import keyword
import re
from collections.abc import Iterable
from pathlib import Path

from .commands import COMMANDS
from .interactive import Interactive

DOTTED = re.compile(r"(?:[^\W\d]\w*\.)*\w*$")
CALL = re.compile(r"([^\W\d][\w.]*)\([^()]*$")


def completions(session: Interactive, before: str) -> tuple[str, list[str]]:
    """The word that the cursor stands behind, and what it could become; `before` is the input up to the cursor."""
    if before.startswith(":"):
        name, space, argument = before[1:].partition(" ")
        if not space:
            return name, _starting(COMMANDS, name)
        return argument, _starting(_arguments(session, name, argument), argument)
    found = DOTTED.search(before)
    word = found[0] if found else ""
    if "." in word:
        return word, _attributes(session, word)
    options = _options(session, before[: len(before) - len(word)])
    names = [*options, *session.names, *keyword.kwlist, *dir(builtins)] if word else options
    return word, _starting(names, word)


def _starting(names: Iterable[str], word: str) -> list[str]:
    return sorted({name for name in names if name.startswith(word) and (word.startswith("_") or name[:1] != "_")})


def _arguments(session: Interactive, name: str, argument: str) -> list[str]:
    asks = COMMANDS[name].asks if name in COMMANDS else ""
    if asks == "capture":
        return [capture.name for capture in session.live.recorder.captures]
    if asks == "file":
        folder = Path(argument.rpartition("/")[0])
        return [f"{path}/" if path.is_dir() else str(path) for path in folder.glob("*")]
    return []


def _attributes(session: Interactive, word: str) -> list[str]:
    """Of a value that is known by its name; nothing is called, so a property of a user's class is not asked."""
    path, _, start = word.rpartition(".")
    value = _lookup(session, path)
    if value is None:
        return []
    return [f"{path}.{name}" for name in _starting(dir(value), start)]


def _lookup(session: Interactive, path: str) -> object:
    root, *rest = path.split(".")
    value = session.names.get(root, getattr(builtins, root, None))
    for name in rest:
        value = inspect.getattr_static(value, name, None)
    return value


def _options(session: Interactive, before: str) -> list[str]:
    """The keyword arguments of the call that the cursor is in."""
    call = CALL.search(before)
    function = _lookup(session, call[1]) if call else None
    if not callable(function):
        return []
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [f"{q.name}=" for q in parameters if q.kind in (q.KEYWORD_ONLY, q.POSITIONAL_OR_KEYWORD)]
