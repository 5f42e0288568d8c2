"""What the model is told of an attempt that failed.

In plain text, and inside of a chat turn, it sees the failed text, the reason, and once more the line that the attempt
began in:

    Name: Ann                 the text before, and the failed attempt
    (Not accepted: Ann is taken)
    Name:                     the next attempt goes on here

Between turns it sees the failed messages and a user message with the reason, before its next turn. Hidden feedback is
only in the model's context, and is taken out of it when an attempt is accepted: the accepted text comes back in its own
spelling behind the text before. Visible feedback is text of the run like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .chat import Turn
from .checkpoints import Mark, mark
from .errors import ProgramError
from .events import RoleBegin, RoleEnd, Text
from .prompt import NOTE
from .transcript import Place

if TYPE_CHECKING:
    from .session import Live

LINE = 200  # characters of the line that an attempt began in, at most
Mode = Literal["hidden", "visible", "none"]


@dataclass(frozen=True)
class Shown:
    """A failed attempt: its text, the transcript at its end, its messages."""

    text: str
    end: Place
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Aside:
    """Messages to come before the model's next turn."""

    owner: Feedback
    turns: list[Turn]
    hidden: bool


class Feedback:
    """How one `p.attempts` tells of failures. Raises ProgramError for an unknown mode, or a note without {why}."""

    def __init__(self, mode: Mode, note: str) -> None:
        if mode not in ("hidden", "visible", "none"):
            raise ProgramError(f'feedback is "hidden", "visible" or "none", not {mode!r}')
        if "{why}" not in note:
            raise ProgramError(f"a note says where the reason goes, as in {NOTE!r}, not {note!r}")
        self._mode, self._note = mode, note
        self._begin: Place | None = None  # where the attempt begins behind a hidden note
        self._between = False

    def tell(self, live: Live, start: Mark, told: Sequence[tuple[Shown, str]]) -> Mark:
        """Before the next attempt, at `start`. Where that attempt is to go back to."""
        self._begin, self._between = None, False
        if self._mode == "none" or not told:
            return start
        if not live.roles.open and any(shown.turns for shown, _ in told):
            said = told if self._mode == "hidden" else told[-1:]  # what was visible is in the last one's messages
            turns = [turn for shown, why in said for turn in self._messages(shown, why)]
            live.asides += (Aside(self, turns, self._mode == "hidden"),)
            self._between = True
            return start
        return self._write(live, start, *told[-1])

    def shown(self, live: Live, start: Mark) -> Shown:
        """What the attempt looks like so far."""
        turns = tuple(live.chat.turns[len(start.chat.turns) :])
        return Shown(live.recorder.text_since(start.line), live.transcript.place(), turns)

    def accept(self, live: Live, start: Mark) -> None:
        """Take hidden feedback out of the model's context, from behind `start`."""
        self.drop(live)
        if self._mode != "hidden":
            return
        end = live.transcript.place()
        if self._begin is not None:
            live.transcript.go_to(start.place)
            live.transcript.take_over(self._begin, end)
        elif self._between:
            turns = live.chat.turns[len(start.chat.turns) :]
            live.transcript.go_to(start.place)
            live.chat.go_to(start.chat)
            live.asides = start.asides
            for turn in turns:
                if turn.message["role"] == "assistant":
                    insert(live)
                live.chat.play(turn)

    def drop(self, live: Live) -> None:
        """What was not said yet will not be said."""
        live.asides = tuple([aside for aside in live.asides if aside.owner is not self])

    def _write(self, live: Live, start: Mark, shown: Shown, why: str) -> Mark:
        line = live.recorder.text.rpartition("\n")[2][-LINE:]
        note = self._said(why) + "\n" + line
        if not (line + shown.text).endswith("\n"):
            note = "\n" * bool(line + shown.text) + note
        live.transcript.go_to(shown.end._replace(written=0))
        live.transcript.append(note)
        if self._mode == "hidden":
            live.transcript.settle()
            self._begin = live.transcript.place()
            return start
        live.recorder.add(Text, shown.text + note)
        live.chat.add(shown.text + note)
        return mark(live)

    def _messages(self, shown: Shown, why: str) -> list[Turn]:
        roles = [turn.message["role"] for turn in shown.turns]
        if "assistant" not in roles:
            return []
        turns = [*shown.turns[roles.index("assistant") :]]
        said = self._said(why)
        if roles[-1] == "user":  # two in a row are refused by many templates
            said = f"{turns.pop().message['content']}\n{said}"
        return [*turns, Turn({"role": "user", "content": said})]

    def _said(self, why: str) -> str:
        return self._note.replace("{why}", why or "it did not pass")


def insert(live: Live) -> None:
    """Say what is to come before the model's turn that begins now."""
    asides, live.asides = live.asides, ()
    for aside in asides:
        for turn in aside.turns:
            live.chat.play(turn, hidden=aside.hidden)
            if not aside.hidden:
                role, content = turn.message["role"], turn.message["content"]
                live.recorder.add(RoleBegin, f"[{role}]\n", role=role, name=turn.message.get("name", ""))
                live.recorder.add(Text, content)
                live.recorder.add(RoleEnd, "\n\n", role=role)
