"""`p.attempts`: try a stretch of a program until it passes its checks.

    for a in p.attempts(3):
        with a:
            name = p("Name: ", gen(max_tokens=8), "\\n")
            a.check(name not in taken, f"{name} is taken")

A failed check leaves the `with` block at once, and the run goes back to where the loop began. Its token ids come back
as they were, so a retry computes no prompt anew. What failed is not to be tried again: `Tried` remembers which value
failed behind which text, and holes under Argmax leave those out of their languages; holes that sample draw anew.

How a retry is told of the failure is the matter of `feedback`. Program variables cannot be restored, so where an
earlier attempt is accepted in the end, the body runs once more on that attempt's answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from .checkpoints import Step, go_back, mark
from .errors import AttemptsExhausted, ProgramError, RunCancelled
from .feedback import Feedback, Mode, Shown
from .preview import refuse
from .run import Capture, Usage, Verdict

if TYPE_CHECKING:
    from .session import Live

Otherwise = Literal["raise", "best", "last"]


class Rejected(BaseException):
    """Leaves the block of an attempt. Not an Exception, so that a program's own handlers let it pass.

    `stuck`: there is no value left that a hole could get behind the text so far.
    """

    def __init__(self, attempts: Attempts, why: str, culprit: Capture | None = None, *, stuck: bool = False) -> None:
        super().__init__(why)
        self.attempts, self.culprit, self.stuck = attempts, culprit, stuck


@dataclass(frozen=True)
class Tried:
    """Values that failed, by the text of the attempt that they came behind.

    base   the attempt's text before this prompt began (in a branch)
    line   where the attempt, or the branch, begins in the line of the recorder
    """

    attempts: Attempts
    failed: dict[str, list[str]]
    base: str
    line: int

    def behind(self, text: str) -> list[str]:
        return self.failed.get(self.base + text, [])


@dataclass
class Trial:
    """What became of an attempt. `checks` and `suggests` count failures, the latter by their weights."""

    number: int
    reasons: list[str] = field(default_factory=list)
    checks: int = 0
    suggests: float = 0.0
    raised: bool = False  # it ended by an exception
    shown: Shown | None = None  # None: it passed, or it goes on
    steps: tuple[Step, ...] = ()

    @property
    def passed(self) -> bool:
        return not (self.checks or self.suggests or self.raised)

    @property
    def why(self) -> str:
        return "; ".join(filter(None, self.reasons))


class Attempt:
    """One attempt: `with a: ...`, with `a.check` and `a.suggest` inside. `a.number` counts from 0."""

    def __init__(self, attempts: Attempts, trial: Trial, *, replay: bool) -> None:
        self._attempts, self._trial, self._replay = attempts, trial, replay
        self._state: Literal["new", "open", "over"] = "new"
        self.number = trial.number

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the attempts before this one failed."""
        return tuple([trial.why for trial in self._attempts.trials[: self.number]])

    def check(self, condition: object, why: str = "", *, hole: str | None = None) -> None:
        """End this attempt here unless the condition holds; `why` is what the model is told.

        Under Argmax the next attempt cannot give the same value to `hole` (None: the last one filled) behind the same
        text.
        """
        self._inside()
        if condition or self._replay:
            return
        trial, attempts = self._trial, self._attempts
        trial.reasons.append(str(why))
        trial.checks += 1
        culprit = None if hole is None else attempts.capture(hole)
        if attempts.otherwise != "last" or attempts.left():
            raise Rejected(attempts, str(why), culprit)

    def suggest(self, condition: object, why: str = "", *, weight: float = 1.0) -> None:
        """Ask for another attempt unless the condition holds; without attempts left, the best one so far is taken.

        `weight` says how bad it is, compared with other suggestions.
        """
        self._inside()
        if not weight > 0:
            raise ProgramError(f"the weight of a suggestion is above 0, not {weight!r}")
        if not (condition or self._replay):
            self._trial.reasons.append(str(why))
            self._trial.suggests += weight

    def _inside(self) -> None:
        refuse("an attempt's check")  # in the preview of a branch
        if self._state != "open":
            raise ProgramError("a.check and a.suggest belong inside of the attempt's block, `with a:`")

    def __enter__(self) -> Attempt:
        if self._state != "new":
            raise ProgramError("an attempt is entered once: for a in p.attempts(...): with a: ...")
        self._attempts.enter()
        self._state = "open"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        self._state = "over"
        return self._attempts.leave(error)

    @property
    def over(self) -> bool:
        return self._state == "over"


class Attempts:
    """The loop. `attempts`, `trials`: how many there may be, and those that were."""

    def __init__(
        self,
        live: Live,
        times: int,
        feedback: Mode,
        otherwise: Otherwise,
        max_tokens: int | None,
        retry_on: tuple[type[Exception], ...],
        note: str,
    ) -> None:
        _check(times, otherwise, max_tokens, retry_on)
        self.live, self.times, self.otherwise = live, times, otherwise
        self.max_tokens, self.retry_on = max_tokens, retry_on
        self.trials: list[Trial] = []
        self._feedback = Feedback(feedback, note)
        self._failed: dict[str, list[str]] = {}
        self._current: Attempt | None = None
        self._replay: Trial | None = None
        self._stuck = self._over = False

    # -- the loop ------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Attempt]:
        return self

    def __next__(self) -> Attempt:
        if self._current is None:
            self._start = self._origin = mark(self.live)
            self._replay = Trial(0) if self.live.replay else None
            self._spent = _tokens(self.live.recorder.usage)
            self._block = self.live.recorder.blocks
            self.live.recorder.blocks += 1
        elif not self._current.over:
            raise ProgramError("an attempt is a block of its own: for a in p.attempts(...): with a: ...")
        elif self._over:
            raise StopIteration
        else:
            go_back(self.live, self._start, self.trials[-1].why)
            self.live.page.resets += 1
        trial = self._replay or Trial(len(self.trials))
        if self._replay is None:
            self.trials.append(trial)
        self._current = Attempt(self, trial, replay=self._replay is not None)
        return self._current

    def left(self) -> bool:
        """Whether there may be another attempt."""
        spent = _tokens(self.live.recorder.usage) - self._spent
        enough = self.max_tokens is not None and spent >= self.max_tokens
        return len(self.trials) < self.times and not (enough or self._stuck)

    def capture(self, name: str | None) -> Capture | None:
        """The last hole filled in this attempt, or the last one called `name`."""
        captures = self.live.recorder.captures[self._start.captures :]
        if name is None:
            return captures[-1] if captures else None
        found = [capture for capture in captures if capture.name == name]
        if not found:
            raise ProgramError(f"no hole named {name!r} was filled in this attempt")
        return found[-1]

    # -- the block -----------------------------------------------------------------------------------------------

    def enter(self) -> None:
        live = self.live
        if len(live.recorder.line) != self._start.line:
            raise ProgramError("p was used between `for a in p.attempts(...)` and `with a:`; put that into the block")
        if self._replay is not None:
            live.replay.extend(self._replay.steps)
        else:
            told = [(t.shown, t.why) for t in self.trials if t.shown is not None]
            self._start = self._feedback.tell(live, self._start, told)
        self._line = len(live.recorder.line)
        live.tried.append(Tried(self, {} if self._replay else self._failed, "", self._line))

    def leave(self, error: BaseException | None) -> bool:
        """True: the error is dealt with."""
        self.live.tried.pop()
        if self._replay is not None:
            self.live.replay.clear()
            self._over = True
            return False
        trial = self.trials[-1]
        trial.steps = tuple(self.live.steps[self._start.steps :])
        if error is None:
            self._completed(trial)
            return False
        if not self._is_failure(error):
            self._over = True
            self._feedback.accept(self.live, self._start)
            return False
        self._failed_by(trial, error)
        return self.left() or self._settled(error)

    def _completed(self, trial: Trial) -> None:
        """Accepted, for the time being: the program may leave the loop here. If it does not, `__next__` goes back."""
        if not trial.passed:
            self._exclude(self.capture(None))
            trial.shown = self._feedback.shown(self.live, self._start)
        self._note(trial)
        self._feedback.accept(self.live, self._start)
        self._over = trial.passed or not self.left()
        if self._over and not trial.passed and self.otherwise != "last":
            self._take(min(self._candidates(), key=_badness))

    def _is_failure(self, error: BaseException) -> bool:
        if isinstance(error, Rejected):
            return error.attempts is self
        return isinstance(error, (AttemptsExhausted, *self.retry_on)) and not isinstance(error, RunCancelled)

    def _failed_by(self, trial: Trial, error: BaseException) -> None:
        culprit = self.capture(None)
        if isinstance(error, Rejected) and not error.stuck:
            culprit = error.culprit or culprit
        else:
            trial.raised = True
            trial.reasons.append(str(error) or type(error).__name__)
            self._stuck = isinstance(error, Rejected) and culprit is None
        self._exclude(culprit)
        trial.shown = self._feedback.shown(self.live, self._start)
        self._note(trial)
        self._feedback.drop(self.live)
        go_back(self.live, self._start, trial.why)

    def _note(self, trial: Trial) -> None:
        """The verdict, for the run."""
        recorder = self.live.recorder
        text = "" if trial.passed else recorder.text_since(self._line)
        why = tuple([reason for reason in trial.reasons if reason])
        recorder.verdicts.append(Verdict(self._block, trial.number, trial.passed, why, text))

    def _exclude(self, culprit: Capture | None) -> None:
        if culprit is not None:
            text = self.live.recorder.text_since(self._line)
            behind = text[: culprit.span[0] - self.live.recorder.length + len(text)]
            self._failed.setdefault(behind, []).append(culprit.text)

    def _settled(self, error: BaseException) -> bool:
        """No attempts are left, and the last one failed."""
        if candidates := self._candidates():
            self._take(candidates[-1] if self.otherwise == "last" else min(candidates, key=_badness))
            return True
        self._over = True
        go_back(self.live, self._origin, str(error))
        raise AttemptsExhausted([t.why for t in self.trials]) from error

    def _candidates(self) -> list[Trial]:
        """Those that may be accepted in the end."""
        strict = self.otherwise == "raise"
        return [t for t in self.trials if not (t.raised or (strict and t.checks))]

    def _take(self, trial: Trial) -> None:
        """Accept it: its text is there, or will be there after another round."""
        here = trial is self.trials[-1] and not trial.checks
        self._over, self._replay = here, None if here else trial


def _badness(trial: Trial) -> tuple[int, float, int]:
    return trial.checks, trial.suggests, -trial.number


def _tokens(usage: Usage) -> int:
    return usage.sampled_tokens + usage.forced_tokens


def _check(times: object, otherwise: object, max_tokens: object, retry_on: object) -> None:
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        raise ProgramError(f"p.attempts takes how many there may be, 1 or more, not {times!r}")
    if otherwise not in ("raise", "best", "last"):
        raise ProgramError(f'otherwise is "raise", "best" or "last", not {otherwise!r}')
    if max_tokens is not None and (isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1):
        raise ProgramError(f"max_tokens is a whole number of 1 or more, or None, not {max_tokens!r}")
    if not isinstance(retry_on, tuple) or not all(isinstance(e, type) and issubclass(e, Exception) for e in retry_on):
        raise ProgramError(f"retry_on is a tuple of exception classes, not {retry_on!r}")
