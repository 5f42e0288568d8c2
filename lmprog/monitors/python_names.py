"""Attribute names of Python objects, by jedi."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_jedi = threading.RLock()  # jedi keeps caches that threads may not share
FENCE = re.compile(r"^```[^\n`]*\n", re.MULTILINE)
LITERAL = re.compile(
    r"""\"\"\"(?:[^\\]|\\.)*?(?:\"\"\"|\Z)|\'\'\'(?:[^\\]|\\.)*?(?:\'\'\'|\Z)"""
    r"""|"(?:[^"\\\n]|\\.)*(?:"|\n|\Z)|'(?:[^'\\\n]|\\.)*(?:'|\n|\Z)|#[^\n]*(?:\n|\Z)""",
    re.DOTALL,
)
NUMBER = re.compile(r"(?<![\w.])\d[\d_]*\.$")
ENDED = re.compile(r"""(?:[^\\](?:\\\\)*["'\n]|\A["'\n])\Z""")


@dataclass(frozen=True)
class PythonNames:
    """Behind `obj.` comes an attribute that `obj` has.

    namespace  live objects by name, such as globals(): what they are is looked up in them
    project    a folder: names are looked up in its code, by imports
    private    names that begin with an underscore are allowed too
    strict     an object that cannot be inferred has no attributes; else it may have any

    The code is the text before the hole, from an open Markdown fence on if there is one, and the value so far. Points
    in numbers, strings and comments are left alone.
    """

    namespace: Mapping[str, Any] | None = field(default=None, repr=False)
    project: str | Path | None = None
    private: bool = False
    strict: bool = True

    triggers = "."

    def start(self, prompt: str) -> tuple[str, str]:
        return code_of(prompt), ""

    def advance(self, state: tuple[str, str], text: str) -> tuple[str, str]:
        return state[0], state[1] + text

    def allow(self, state: tuple[str, str]) -> Sequence[str] | None:
        code = state[0] + state[1]
        if not code.endswith(".") or NUMBER.search(code) or in_literal(code):
            return None
        names = self._names(code)
        shown = [name for name in names if self.private or not name.startswith("_")]
        return None if not names and not self.strict else shown

    def final(self, state: tuple[str, str]) -> bool:
        return True

    def _names(self, code: str) -> list[str]:
        import jedi

        with _jedi:
            project = None if self.project is None else jedi.Project(self.project)
            if self.namespace is None:
                script = jedi.Script(code, project=project)
            else:
                script = jedi.Interpreter(code, [dict(self.namespace)], project=project)
            return [completion.name for completion in script.complete()]


def code_of(prompt: str) -> str:
    """The part of a prompt that is code: what stands in its last, open fence, or all of it."""
    fences = list(FENCE.finditer(prompt))
    return prompt[fences[-1].end() :] if len(fences) % 2 else prompt


def in_literal(code: str) -> bool:
    """Whether the end of `code` lies inside of a string or a comment."""
    last = next(iter(deque(LITERAL.finditer(code), maxlen=1)), None)
    return last is not None and last.end() == len(code) and not ENDED.search(last[0][1:])
