"""A live run: the text, the tokens and the captures, while a program's body goes on."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from .asking import scoring
from .attempts import Attempts, Rejected, Tried
from .branches import Branch, adopt, append, fork
from .checkpoints import Filled, Happened, Mark, Scored, Step, go_back, mark
from .covers import Exact
from .decoders import Decoder
from .decoders.dropping import names_slot
from .dist import Dist
from .errors import BudgetError, ContextOverflow, EmptyLanguage, LmprogError, ProgramError
from .events import Close, Event, Open, RoleBegin, RoleEnd, Text
from .exact import asking
from .feedback import Aside, insert
from .fill import filling
from .holes import Boundary, Hole
from .lookahead import Head, Lookahead
from .models import Canceller, LanguageModel
from .options import Options
from .page import Page
from .pieces import Pieces
from .plan import Decoding, Role
from .preview import Wrote
from .prompt import Roles
from .question import Question
from .replay import Body
from .run import Capture, Captures, Recorder, Run, Usage
from .runtime.remote.model import RemoteModel
from .runtime.routine import Routine
from .shortening import make_room, room_for, room_of
from .slot_frames import giving
from .slots import SlotText
from .task import Answer, Task
from .trace import Tracer
from .tries import fill_checked
from .walk import walking
from .why.result import Why

T = TypeVar("T")
KEPT = 256  # steps of a body that may not need them


class Live:
    """A session on a model. Used by one thread; `canceller` may be used by any."""

    def __init__(
        self,
        model: LanguageModel,
        options: Options,
        canceller: Canceller,
        body: Body | None = None,
        listen: Callable[[Event], object] | None = None,
    ) -> None:
        self.model, self.options, self.canceller = model, options, canceller
        self.page = Page(model, options)
        self.transcript, self.chat = self.page.transcript, self.page.chat
        self.recorder = Recorder(listen)
        self._pieces: Pieces | None = None  # of the hole that is being filled
        self.roles = Roles()
        self.tried: list[Tried] = []  # of the attempts under way
        self.steps: list[Step] = []  # what the body was answered
        self.forgot = False  # some of them
        self.replay: deque[Step] = deque()
        self.asides: tuple[Aside, ...] = ()
        self.lookahead = Lookahead(body if options.preview else None)
        self._waited = 0.0
        self.causes: dict[str, Why] = {}
        self.forks = 0
        self.root = self  # the session that this is a branch of
        self.loose: list[Live] = []  # branches that are not part of the text
        self._began = time.perf_counter()
        self.tracer = Tracer(model.vocab.token_bytes, self._began)

    def text(self, text: str) -> None:
        slot = text.slot if isinstance(text, SlotText) else ""
        if text:  # else it is a slot's
            self.roles.text()
            self.lookahead.did(Wrote(str(text)))
        self.recorder.add(Text, str(text), slot=slot)
        self.page.text(str(text))

    def fill(self, hole: Hole, follow: str) -> Any:
        self.roles.hole()
        name = hole.name or str(self.page.holes)
        before = mark(self)
        self.recorder.add(Open, name=name, kind=hole.kind, json=hole.json)
        try:
            filled = self._replayed(hole, name) or self._filled(hole.fresh(), name, follow)
        except Exception as error:  # a validator of the value's type may raise anything
            error.add_note(f"in the hole {name!r}: {hole.kind}")
            go_back(self, before, str(error))
            self.lookahead.failed()
            raise
        self.keep(Filled(hole.kind, filled, before.place, self.transcript.place()))
        return filled.value

    def _filled(self, hole: Hole, name: str, follow: str) -> Capture:
        if hole.check is not None:
            return fill_checked(self, hole, name, follow)
        task = self.task(hole, follow)
        answer = self.answer(name, task)
        return self.capture(task, name, answer, hole.parse(answer.value.decode()))

    def task(self, hole: Hole, follow: str, refused: Sequence[str] = ()) -> Task:
        """What is to be done for a hole that stands here, after values that it refused itself."""
        task = self.page.task(hole, follow, len(refused))
        if names_slot(task.method):
            task = replace(task, places=self.recorder.places())
        if not (task.sampling.greedy and (refused or self.tried)):
            return task
        behind = [text for tried in self.tried for text in tried.behind(self.recorder.text_since(tried.line))]
        return replace(task, excluded=tuple(dict.fromkeys([*refused, *behind])))

    def answer(self, name: str, task: Task) -> Answer:
        """Have the model fill a hole."""
        if self.recorder.listen is not None:
            self._pieces = Pieces(self.recorder, self.model.vocab, name, task)
            task = replace(task, watch=self._pieces.watch)
        make_room(self, room_for(self, task.hole))
        try:
            answer = self._ahead(task) or self._alone(task)
        except ContextOverflow:
            make_room(self, room_for(self, task.hole), refused=True)
            raise
        except (EmptyLanguage, BudgetError) as error:
            self._stuck(name, task, error)
            raise
        for attempt in answer.attempts:
            self.tracer.add(attempt, name, task.hole.kind, self.recorder.length, plain=self.roles.kind == "plain")
        return answer

    def _alone(self, task: Task) -> Answer:
        """The answer to this hole, and nothing else."""
        answer = self._wait(filling(task, self.transcript, self.model))
        self.recorder.usage += answer.usage
        return answer

    def _ahead(self, task: Task) -> Answer | None:
        """The answer that a plan has to this hole; a new plan fills those after it too, as far as they are known."""
        answered = self.lookahead.answer(task)
        if answered is None and (plan := self.lookahead.plan(task, self._waited)) is not None:
            steps = self._wait(walking(plan, self.page.copy(), self.model))
            self.recorder.usage += self.lookahead.extend(steps)
            answered = self.lookahead.answer(task)
        if answered is None:
            return None
        self.transcript.go_to(answered.place)
        return answered.answer

    def _wait(self, routine: Routine[T]) -> T:
        began = time.perf_counter()
        try:
            return self.canceller.run(self.model, routine)
        finally:
            self._waited += time.perf_counter() - began

    def _stuck(self, name: str, task: Task, error: Exception) -> None:
        """Leave the innermost attempt whose earlier values leave none to this hole."""
        for tried in reversed(self.tried):
            if task.excluded and tried.behind(self.recorder.text_since(tried.line)):
                raise Rejected(tried.attempts, f"no other value is left for {name}", stuck=True) from error

    def capture(self, task: Task, name: str, answer: Answer, value: Any) -> Capture:
        text = answer.value.decode()
        if self._pieces is not None:
            self._pieces.close(text)
        closed = self.recorder.add(Close, text, name=name, value=value, finish=answer.finish)
        self.page.filled(answer)
        self.lookahead.filled(task.hole, text)
        capture = Capture(
            name,
            value,
            text,
            closed.span,
            answer.tokens,
            answer.finish,
            answer.logprob,
            answer.choice,
            answer.certificate,
            task.asked,
        )
        self.recorder.captures.append(capture)
        return capture

    def _replayed(self, hole: Hole, name: str) -> Capture | None:
        """The answer of the attempt that is run again."""
        step = self.next_step()
        if not isinstance(step, Filled) or (step.kind, step.capture.name) != (hole.kind, name):
            self.replay.clear()
            return None
        old = step.capture
        self.page.take_over(step.before, step.after, old.text)
        self.page.holes += 1
        self.recorder.piece(old.text, name)
        closed = self.recorder.add(Close, old.text, name=name, value=old.value, finish=old.finish)
        self.recorder.captures.append(replace(old, span=closed.span))
        return self.recorder.captures[-1]

    def keep(self, step: Step) -> None:
        """For when the body runs again. What is never needed is not kept for long: a step holds all ids before it."""
        if self.tried or giving().asks or len(self.steps) < KEPT:
            self.steps.append(step)
        else:
            self.forgot = True

    def next_step(self) -> Step | None:
        """What the attempt that is run again got here; None: that is over."""
        return self.replay.popleft() if self.replay else None

    def open(self, role: str, name: str | None) -> None:
        self.roles.begin(role)
        try:
            if role == "assistant":
                insert(self)
            self.page.begin(role, name)
        except LmprogError:
            self.roles.end()
            raise
        self.lookahead.did(Role(role, name))
        self.recorder.add(RoleBegin, f"[{role}]\n", role=role, name=name or "")

    def close(self) -> None:
        self.lookahead.did(Role())
        self.recorder.add(RoleEnd, "\n\n", role=self.roles.open)
        self.page.end()
        self.roles.end()

    def score(self, question: Question, boundary: Boundary | None) -> Dist:
        self.roles.hole()
        step = self.next_step()
        if isinstance(step, Scored):
            dist = cast(Dist, step.value)
        else:
            self.replay.clear()
            make_room(self, room_of(self, question.texts))
            dist = self._scored(question, boundary)
        self.keep(Scored(dist))
        return dist

    def _scored(self, question: Question, boundary: Boundary | None) -> Dist:
        if isinstance(self.model, RemoteModel):
            return self._scored_there(question, self.model)
        if not self.model.scores:
            raise ProgramError(f"{self.model.name} does not tell how probable given texts are")
        boundary = boundary or self.page.options.boundary
        exact = question.exact or (Exact() if boundary == "exact" else None)
        began = time.perf_counter()
        dist, usage = self.canceller.run(self.model, asking(question, self.transcript, self.model, boundary, exact))
        self.recorder.usage += usage + Usage(1, seconds=time.perf_counter() - began)
        self.lookahead.effect(dist)
        return dist

    def _scored_there(self, question: Question, model: RemoteModel) -> Dist:
        dist, usage = self.canceller.run(model, scoring(question, self.transcript.border()[0], model))
        self.recorder.usage += usage + Usage(1)
        self.lookahead.effect(dist)
        return dist

    def mark(self) -> Mark:
        return mark(self)

    def reset(self, to: Mark) -> None:
        go_back(self, to)
        self.page.resets += 1

    def attempts(self, times: int, **options: Any) -> Attempts:
        if not self.options.backtracking:
            times, options = 1, {**options, "otherwise": "last"}
        return Attempts(self, times, **options)

    def fork(self, function: Callable[..., T], args: Iterable[Any], **options: Any) -> list[Branch[T]]:
        return fork(self, function, list(args), **options)

    def adopt(self, branch: Branch[T]) -> T:
        return adopt(self, branch)

    def append(self, branches: Sequence[Branch[T]], separator: str) -> tuple[T, ...]:
        return append(self, branches, separator)

    def branch(self, fork: int, index: int, body: Body, canceller: Canceller) -> Live:
        """A session that goes on from here by itself."""
        live = Live(self.model, self.options, canceller, body)
        live.root = self.root
        live.page = self.page.branch(fork, index)
        live.transcript, live.chat = live.page.transcript, live.page.chat
        here = self.recorder
        live.recorder = Recorder(here.listen, (*here.branch, fork, index), here.text)
        live.recorder.above = [*here.above, *here.line]
        live.roles.kind, live.roles.open, live.roles.begun = self.roles.kind, self.roles.open, self.roles.begun
        live.tried = [Tried(t.attempts, t.failed, t.base + here.text_since(t.line), 0) for t in self.tried]
        live.asides = self.asides
        live.tracer.zero = self.tracer.zero
        return live

    def joined(self, branch: Live) -> None:
        """A branch is over."""
        branch.settle_branches()
        self.recorder.usage += branch.recorder.usage
        self.recorder.events += branch.recorder.events
        self.recorder.verdicts += [replace(v, block=v.block + self.recorder.blocks) for v in branch.recorder.verdicts]
        self.recorder.blocks += branch.recorder.blocks
        self.loose.append(branch)

    def settle_branches(self) -> None:
        """Branches that nothing was made of stay in the trace, as text that was taken back."""
        for branch in self.loose:
            first = len(self.tracer.requests)
            self.tracer.take(branch.tracer, 0)
            self.tracer.retract(first, self.recorder.length)
        self.loose = []

    @contextlib.contextmanager
    def decoding(self, decoder: Decoder) -> Iterator[None]:
        self.page.decode(decoder)
        self.lookahead.did(Decoding(decoder))
        try:
            yield
        finally:
            self.page.decode(None)
            self.lookahead.did(Decoding(None))

    def effect(self, function: Callable[[], T]) -> T:
        step = self.next_step()
        if isinstance(step, Happened) and not isinstance(step, Scored):
            self.keep(step)
            return cast(T, step.value)
        self.replay.clear()
        try:
            value = function()
        except BaseException:
            self.lookahead.failed()
            raise
        self.lookahead.effect(value)
        self.keep(Happened(value))
        return value

    def begin(self, head: Head) -> None:
        """Go on from what was found out and done before."""
        self._began = self.tracer.zero = head.began
        self.recorder.usage += self.lookahead.begin(head)

    def finished(self, value: Any) -> Run[Any]:
        self.settle_branches()
        recorder = self.recorder
        usage = replace(recorder.usage, seconds=time.perf_counter() - self._began)
        return Run(
            value,
            recorder.text,
            Captures(recorder.captures),
            usage,
            tuple(recorder.events),
            self.chat.messages,
            tuple(self.tracer.tokens),
            tuple(self.tracer.requests),
            model=self.model,
            causes={field: why for field, why in self.causes.items() if recorder.text.startswith(why.text)},
            slots=recorder.slots(),
            verdicts=tuple(recorder.verdicts),
        )
