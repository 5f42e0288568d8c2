"""`p`, the first parameter of every program, and what stands behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast, overload

from .covers import Exact
from .decoders import Decoder, check_decoder
from .ends import warn_of_unclear_end
from .errors import HoleError, ProgramError, RoleError
from .grammars import Grammar
from .holes import Boundary, Hole, check_boundary, text_of
from .languages import options_by_text
from .question import NORMS, Question
from .slots import SlotText
from .verbalizer import Verbalizer, verbalizer_of

if TYPE_CHECKING:
    from .attempts import Attempt, Otherwise
    from .branches import Branch
    from .dist import Dist
    from .feedback import Mode
    from .tools import ToolCall

A = TypeVar("A")
T = TypeVar("T")
NOTE = "(Not accepted: {why})"


class Session(Protocol):
    """Where the parts go: a live run, or the outline that `Program.prompt` prints."""

    roles: Roles

    def text(self, text: str) -> None: ...
    def fill(self, hole: Hole, follow: str) -> Any: ...
    def open(self, role: str, name: str | None) -> None: ...
    def close(self) -> None: ...
    def decoding(self, decoder: Decoder) -> AbstractContextManager[None]: ...
    def score(self, question: Question, boundary: Boundary | None) -> Dist: ...
    def effect(self, function: Callable[[], Any]) -> Any: ...
    def mark(self) -> Any: ...
    def reset(self, to: Any) -> None: ...
    def attempts(self, times: int, **options: Any) -> Any: ...
    def fork(self, function: Callable[..., Any], args: Iterable[Any], **options: Any) -> list[Any]: ...
    def adopt(self, branch: Any) -> Any: ...
    def append(self, branches: Sequence[Any], separator: str) -> tuple[Any, ...]: ...


class Prompt:
    """Calling it appends parts; holes among them are filled, and their values returned.

    A chat is made of roles: `p.system(...)`, `p.user(...)`, `p.assistant(...)`, each also as a block, `with p.user():
    p(...)`, and `with p.tool(name): p(...)`.
    A run is a chat from its first role on, and then all its text is inside of roles; holes are for the assistant.
    """

    __slots__ = ("_closed", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._closed = ""  # why it cannot be used

    def __call__(self, *parts: object) -> Any:
        """Append `parts` in order: texts, holes, and values with a `str()`; bytes are refused.

        Returns None without holes, the value of the only one, or the tuple of their values.
        """
        self._check()
        ready = [part if isinstance(part, Hole | SlotText) else text_of(part) for part in parts]
        values = []
        for i, part in enumerate(ready):
            if isinstance(part, Hole):
                follow = _text_until_hole(ready[i + 1 :])
                warn_of_unclear_end(part, follow)
                values.append(self._session.fill(part, follow))
            elif part or isinstance(part, SlotText):
                self._session.text(part)
        return values[0] if len(values) == 1 else tuple(values) or None

    @overload
    def system(self) -> AbstractContextManager[None]: ...
    @overload
    def system(self, *parts: object) -> None: ...
    def system(self, *parts: object) -> AbstractContextManager[None] | None:
        """A system message: of `parts`, or, without any, of what the `with` block appends."""
        return cast("AbstractContextManager[None] | None", self._message("system", parts))

    @overload
    def user(self) -> AbstractContextManager[None]: ...
    @overload
    def user(self, *parts: object) -> None: ...
    def user(self, *parts: object) -> AbstractContextManager[None] | None:
        """A message of the user: of `parts`, or, without any, of what the `with` block appends."""
        return cast("AbstractContextManager[None] | None", self._message("user", parts))

    @overload
    def assistant(self) -> AbstractContextManager[None]: ...
    @overload
    def assistant(self, *parts: object) -> Any: ...
    def assistant(self, *parts: object) -> Any:
        """The model's turn: text and holes in `parts`, or in the `with` block, make up its message.

        With parts it returns what `p(*parts)` would.
        """
        return self._message("assistant", parts)

    def _message(self, role: str, parts: tuple[object, ...]) -> Any:
        if not parts:
            return self._role(role)
        with self._role(role):
            return self(*parts)

    def tool(self, name: str | None = None) -> AbstractContextManager[None]:
        """A tool's answer: the text inside the `with` block."""
        return self._role("tool", name)

    @contextlib.contextmanager
    def _role(self, role: str, name: str | None = None) -> Iterator[None]:
        self._check()
        self._session.open(role, name)
        try:
            yield
        finally:
            self._session.close()

    def decoding(self, decoder: Decoder) -> AbstractContextManager[None]:
        """Holes inside the `with` block are decoded by `decoder`, unless they say otherwise themselves."""
        self._check()
        check_decoder(decoder)
        return self._session.decoding(decoder)

    def score(
        self,
        options: Iterable[Any] | Verbalizer,
        *,
        norm: Literal["sum", "mean", "pmi"] = "sum",
        premise: str = "",
        none: bool = False,
        end: str = "",
        boundary: Boundary | None = None,
        exact: bool | Exact = False,
    ) -> Dist:
        """How probable each of `options` is as what comes next here; nothing is appended.

        Options that are not texts stand for their `str()`. What is computed: the probability, under the model alone
        (temperature 1, no mask), of the option's tokens one after the other, given all the text so far. The tokens are
        the tokenizer's own spelling of the option together with the end of the text before it, which may be spelt anew
        (token healing), and the result is divided by the probability of that end in any spelling along the way. A text
        can be spelt in many ways; only this one is counted, so that the figures are a little too small, by the
        same measure that the model itself writes unusual spellings, unless `exact` asks for the sum over all of them
        (see `lmprog.covers`). That an option ends is not part of it: "cat"
        counts every text that goes on with "cat". With `end` (".", say) each option is scored together with it; where
        one option begins another and there is no `end`, the probability of the shorter one is that the text does not
        go on to be the longer one.

        norm      "sum" compares these probabilities; "mean" the geometric means over each option's tokens, which long
                  options gain by; "pmi" the probabilities divided by those of the same options behind `premise`
                  alone, without the context (Holtzman et al. 2021): `premise="Answer: "`, or "" for the start of a text
        none      `dist.none` is what is left: the probability that none of the options comes (with norm="sum")
        boundary  "token" spells nothing anew; "exact" is exact=True
        exact     True: probabilities of strings, given the text's last 32 bytes as a string. `dist.bounds` says how far
                  they are known: where there are too many spellings to ask for all, `dist.exact` is False. An
                  `lp.Exact(window=, rows=, within=)` says how far to go

        A dict, or a `Verbalizer`, has classes and their words: each word is scored so, and the Dist is of the classes,
        with its `words` beneath.

        Raises HoleError for options that are none, alike, or no list; AmbiguousOptions when one begins another and
        `end` does not tell them apart; ProgramError when the model cannot score (`Scripted`).
        """
        self._check()
        words = verbalizer_of(options)
        by_text = options_by_text(options if words is None else words.texts)
        if norm not in NORMS:
            raise HoleError(f"norm is one of {', '.join(NORMS)}, not {norm!r}")
        if none and norm != "sum":
            raise HoleError('none=True needs norm="sum": only those are probabilities of the text')
        if none and words is not None and (words.combine != "sum" or words.weights):
            raise HoleError('none=True needs classes that are plain sums of their words: combine="sum", no weights')
        if premise and norm != "pmi":
            raise HoleError('premise= is what norm="pmi" compares with')
        if not isinstance(exact, bool | Exact):
            raise HoleError(f"exact is True, False or an lp.Exact(...), not {exact!r}")
        how = Exact() if exact is True else exact or None
        question = Question(
            tuple(by_text.values()), tuple(by_text), norm, text_of(premise), none, text_of(end).encode(), how, words
        )
        return self._session.score(question, check_boundary(boundary))

    def effect(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call a function that does something outside of the program (a search, a log, a lottery), exactly once.

        A body may run several times before it runs for good, to see what it is going to do (see `lp.previewing`).
        That ends here: the function is called in the real run alone. Gives what the function returns.
        """
        self._check()
        value: T = self._session.effect(lambda: function(*args, **kwargs))
        return value

    def mark(self) -> Any:
        """This point of the run, for `reset`."""
        self._check()
        return self._session.mark()

    def reset(self, mark: Any) -> None:
        """Go back to a mark: text, captures, messages and the model's context are what they were there.

        What was computed stays in the prefix cache, and `usage` counts on. Holes that sample draw anew; under Argmax
        the same text gets the same answers (see `attempts`).

        Raises ProgramError for a mark of another prompt, or of text that was taken back; RoleError when mark and reset
        are not in the same role block.
        """
        self._check()
        self._session.reset(mark)

    def attempts(
        self,
        times: int,
        *,
        feedback: Mode = "hidden",
        otherwise: Otherwise = "raise",
        max_tokens: int | None = None,
        retry_on: tuple[type[Exception], ...] = (),
        note: str = NOTE,
    ) -> Iterator[Attempt]:
        """Up to `times` attempts at what stands in the block; the first that passes its checks is kept.

            for a in p.attempts(3):
                with a:
                    n = p("An even number: ", gen(int, ge=0, le=99), "\\n")
                    a.check(n % 2 == 0, f"{n} is odd")

        A failed `a.check` leaves the block and goes back to where the loop began (as `reset` does); `a.suggest` asks
        for another attempt too, but only at the end of the block, and is content with the best one when none is left.
        Under Argmax the value that failed is excluded from its hole behind the same text; holes that sample draw anew.

        feedback    "hidden": the next attempt is shown the failed one and the reason, the run's text is not;
                    "visible": both become text of the run; "none": the model is not told
        otherwise   after the last attempt has failed: "raise" AttemptsExhausted, take the "best" (the fewest failed
                    checks, then the least weight of failed suggestions), or take the "last", whose checks count for
                    nothing. Where an earlier attempt is taken, the block runs once more with its answers
        max_tokens  no further attempt once the attempts have generated so many tokens
        retry_on    exceptions of the block that are failures like any other; all others pass through. An
                    AttemptsExhausted of attempts inside of the block is always a failure
        note        how the reason is put: a text with {why} in it

        Raises AttemptsExhausted, with the run as it was before the loop; ProgramError for wrong options.
        """
        self._check()
        attempts: Iterator[Attempt] = self._session.attempts(
            times, feedback=feedback, otherwise=otherwise, max_tokens=max_tokens, retry_on=retry_on, note=note
        )
        return attempts

    def tool_call(
        self,
        tools: Iterable[Callable[..., Any]],
        *,
        name: str | None = None,
        errors: Literal["append", "raise"] = "append",
        result: str = "\nResult: {}\n",
        role: Literal["tool", "user"] = "tool",
        max_tokens: int | None = None,
        decoder: Decoder | None = None,
    ) -> ToolCall:
        """Have the model call one of `tools`, call that function, and append what it returns.

        The call is written as JSON, `{"name":"add","arguments":{"a":1,"b":2}}`, and is always one of the functions with
        arguments of their parameters' types; the function gets Python values. In plain text the result is appended as
        `result` says. In a chat the call is a message of the assistant, and the result one of the tool (or, for models
        whose chat format knows no tools, `role="user"`); so no role may be open. To show the model what there is to
        call: `lp.describe_tools(tools)`.

        errors="append": an exception of the function is the call's `error`, and its text is appended as the result, for
        the model to see; "raise": it is raised. No function is ever called by a preview.

        Raises ToolError when a function cannot be a tool: a parameter without a type, `*args`, an async function.
        """
        from .tool_calls import call_tool

        hole = {"name": name, "max_tokens": max_tokens, "decoder": decoder}
        return call_tool(self, tools, hole, errors=errors, result=result, role=role)

    def infill(
        self,
        template: str,
        *,
        grammar: Grammar | None = None,
        order: Iterable[str] | None = None,
        max_tokens: int | None = None,
        decoder: Decoder | None = None,
        **holes: Hole,
    ) -> dict[str, Any]:
        """Append `template`, its holes, [[name]], filled so that the whole is a text of `grammar`. Gives their values.

            p.infill("f([[a]], [[b]])", grammar=calls, a=gen(regex="[a-z()]*"), b=gen(int, ge=0, le=9))

        A hole is free text unless a hole of its name describes its (regular) language; `grammar` may be context-free.
        Nothing is proposed that leaves no way to complete the whole.

        order       None: from left to right, as one text, whose fixed parts are weighed too by decoders that weigh
                    (SMC). Else the names in the order in which they are filled: each hole behind the text to its left,
                    in which holes that are not filled yet stand as [[name]], together with the text up to the next one
        max_tokens  of the whole template; with `order` of each hole and the text up to the next one
        decoder     of all holes

        Where a text can be read in several ways (order=None), the first hole is as short as it can be, then the second,
        and so on. The run's captures are these values, without probabilities.

        Raises HoleError for a wrong template, order or hole, EmptyLanguage when nothing completes the template,
        UnsupportedConstraint for what cannot be decided (see `lmprog.grammars.infill`), BudgetError.
        """
        self._check()
        from .infilling import infill

        return infill(self, template, holes, grammar=grammar, order=order, max_tokens=max_tokens, decoder=decoder)

    def fork(
        self,
        function: Callable[[Prompt, A], T],
        args: Iterable[A],
        *,
        errors: Literal["raise", "return"] = "raise",
        concurrency: int = 64,
    ) -> list[Branch[T]]:
        """Run `function(p, arg)` for each of `args`, together, each on a prompt that goes on from here.

            drafts = p.fork(lambda p, mood: p(f"A {mood} line: ", gen(max_tokens=20), "\\n"), ["calm", "wild"])
            p.adopt(max(drafts, key=lambda draft: len(draft.value)))

        The text before is computed once for all. Each branch has a seed of its own, derived from the run's. The run
        itself stays where it is, until `adopt` or `append` makes something of the branches: their `value` is what the
        function returned, `text` what they appended.

        errors="raise" cancels the other branches when one fails, and raises its exception; errors="return" lets it be
        the branch's `error`. Up to `concurrency` branches are under way at once.
        """
        self._check()
        self._closed = "p waits for its branches: a branch writes to the prompt that its function is given"
        try:
            return self._session.fork(function, args, errors=errors, concurrency=concurrency)
        finally:
            self._closed = ""

    def adopt(self, branch: Branch[T]) -> T:
        """Go on from where a branch ended: its text, captures and messages are now the run's. Gives its value.

        Raises ProgramError when the run has gone on since the fork, or the branch failed.
        """
        self._check()
        value: T = self._session.adopt(branch)
        return value

    def append(self, branches: Branch[T] | Iterable[Branch[T]], *, separator: str = "") -> tuple[T, ...]:
        """Append the texts of branches, in order, with their captures; in a chat, their messages. Gives their values.

        Raises ProgramError when one of them failed.
        """
        self._check()
        listed = list(branches) if isinstance(branches, Iterable) else [branches]
        return self._session.append(listed, text_of(separator))

    def _check(self) -> None:
        if self._closed:
            raise ProgramError(self._closed)


def finish(p: Prompt) -> None:
    """No more text: its program has returned."""
    p._closed = "this run is over: p cannot be used after its program has returned"


class Roles:
    """Which role is open, and whether text may come now. Shared by all sessions."""

    def __init__(self) -> None:
        self.kind = ""  # "plain" or "chat" from the first text or role on
        self.open = ""
        self.begun = 0  # how many there were, to tell one block from another

    def begin(self, role: str) -> None:
        if self.kind == "plain":
            raise RoleError(
                f"the {role} role comes after plain text: a run is either plain text or a chat. "
                "Put all text into roles, as in p.user(...)"
            )
        if self.open:
            raise RoleError(f"the {role} role begins inside of the {self.open} role: end that one first")
        self.kind, self.open, self.begun = "chat", role, self.begun + 1

    def end(self) -> None:
        self.open = ""

    def text(self) -> None:
        if self.kind == "chat" and not self.open:
            raise RoleError(
                "text outside of a role: in a chat write p.user(...), p.system(...) or `with p.assistant(): p(...)`"
            )
        self.kind = self.kind or "plain"

    def hole(self) -> None:
        self.text()
        if self.open not in ("", "assistant"):
            raise RoleError(f"a hole in the {self.open} role: the model writes inside `with p.assistant():` only")


def _text_until_hole(parts: Sequence[str | Hole]) -> str:
    texts = []
    for part in parts:
        if isinstance(part, Hole):
            break
        texts.append(part)
    return "".join(texts)
