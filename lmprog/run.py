"""What a run leaves behind: value, text, captures, usage and trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .asked import Asked
from .decoders.certificate import Certificate, Particle
from .decoders.method import SlotPlace
from .dist import Dist
from .errors import ProgramError
from .events import Event, Retract, Span, Text

if TYPE_CHECKING:
    from .models import LanguageModel
    from .trace import RequestRecord, TokenRecord
    from .why.cutting import Unit
    from .why.drawing import Replacement
    from .why.result import Why

T = TypeVar("T")
E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Capture:
    """One filled hole.

    span      character offsets into the run's text: `run.text[slice(*capture.span)] == capture.text`
    tokens    the generated token ids that cover the text; the first and the last may reach over its border
    finish    "stop", "complete" or "length", as in the runtime's Result
    logprob   log-probability of the sampled tokens among `tokens` under the model without any mask;
              None unless the run was asked for `logprobs=True`
    certificate   what the hole's decoder knows of how right the value is; None where it knows nothing
    asked         how the model was asked for it, for `Run.why`
    """

    name: str
    value: Any
    text: str
    span: Span
    tokens: tuple[int, ...]
    finish: str
    logprob: float | None = None
    choice: Callable[[], Dist] | None = field(default=None, repr=False, compare=False, metadata={"saved": False})
    certificate: Certificate | None = field(default=None, repr=False, compare=False)
    asked: Asked = field(default=Asked(), repr=False, compare=False)

    @property
    def particles(self) -> tuple[Particle, ...]:
        """All values that the hole's decoder weighed, the heaviest first; empty where it weighs none."""
        return () if self.certificate is None else self.certificate.particles

    @property
    def dist(self) -> Dist:
        """How probable each option was; the model is asked when this is first used, unless the run had
        `logprobs=True`. Raises ProgramError when the hole was no choice between a few options (see `select`)."""
        if self.choice is None:
            raise ProgramError(f"the hole {self.name!r} was not a choice between a few options: it has no dist")
        return self.choice()


class Captures(Mapping[str, Capture]):
    """Captures by name, or by position: `captures["kind"]`, `captures[0]`.

    A hole without a name is called by its position ("0", "1", ...). When a name was used several times (in a loop),
    the name gives the last one and `all(name)` every one.
    """

    def __init__(self, items: Iterable[Capture] = ()) -> None:
        self._items = tuple(items)
        self._last = {capture.name: capture for capture in self._items}

    def __getitem__(self, key: str | int) -> Capture:
        if isinstance(key, int):
            return self._items[key]
        if key not in self._last:
            raise KeyError(f"no hole named {key!r}; this run has {', '.join(self._last) or 'none'}")
        return self._last[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def all(self, name: str | None = None) -> tuple[Capture, ...]:
        """Every capture in the order of the run, or those called `name`."""
        return tuple([c for c in self._items if name is None or c.name == name])

    def __repr__(self) -> str:
        return f"Captures({', '.join(f'{c.name}={c.text!r}' for c in self._items)})"


@dataclass(frozen=True)
class Usage:
    """What a run cost. `prompt_tokens_computed` is what the prefix cache did not have; seconds are wall time."""

    requests: int = 0
    prompt_tokens: int = 0
    prompt_tokens_computed: int = 0
    sampled_tokens: int = 0
    forced_tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*[getattr(self, f.name) + getattr(other, f.name) for f in fields(Usage)])

    @property
    def cached(self) -> float:
        """The share of prompt tokens that came from the prefix cache."""
        return 1 - self.prompt_tokens_computed / self.prompt_tokens if self.prompt_tokens else 0.0


@dataclass(frozen=True)
class Verdict:
    """What became of an attempt of `p.attempts`.

    block    which loop of attempts it is of, in the order in which they began
    number   counts from 0 in its loop
    passed   no check or suggestion failed, and it ended without an exception
    why      the reasons given for what failed
    text     what it had written, "" where it passed
    """

    block: int
    number: int
    passed: bool
    why: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, repr=False)
class Run(Generic[T]):
    """A finished run of a program.

    `value` is what the function returned, `text` all the text with the holes filled in. `messages` are the roles and
    contents of a chat run, empty otherwise; in a chat run `text` shows each message under its role, without the
    special tokens of the model's template. `trace` is what happened, as `lmprog.events`. `tokens` and `requests` are
    there if the run was asked for `trace=True`: every generated token with its probabilities and what else could have
    come, and where each request began and ended. `causes` are what `why` was asked, by field. `model` is what it ran
    on; a run that was loaded has none. `slots`: where the texts of slots (`lp.slot`) stand in the text, by their names;
    `shortened`: of those that gave way to the model's context, how many characters or examples are left, and of how
    many. `verdicts`: the attempts of `p.attempts`, in order, those of branches too.
    """

    value: T
    text: str
    captures: Captures
    usage: Usage
    trace: tuple[Event, ...] = ()
    messages: tuple[dict[str, str], ...] = field(default=())
    tokens: tuple[TokenRecord, ...] = ()
    requests: tuple[RequestRecord, ...] = ()
    causes: dict[str, Why] = field(default_factory=dict, compare=False)
    model: LanguageModel | None = field(default=None, compare=False)
    slots: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    shortened: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """A copy of a run is like one that was loaded: it has no model."""
        return self.__dict__ | {"model": None}

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 200 else f"{self.text[:100]}…{self.text[-99:]}"
        return f"Run(value={self.value!r}, text={text!r}, captures={self.captures!r}, usage={self.usage!r})"

    @property
    def logZ(self) -> float | None:
        """The sum over the holes whose decoders estimate it; None where none does. See `Certificate`."""
        return _sum(self._certified("logZ"))

    @property
    def logZ_bounds(self) -> tuple[float, float] | None:
        """As `logZ`, of the bounds."""
        pairs = self._certified("logZ_bounds")
        return (sum(low for low, _ in pairs), sum(high for _, high in pairs)) if pairs else None

    @property
    def acceptance(self) -> float | None:
        """The product over the holes whose decoders estimate it; None where none does."""
        shares = self._certified("acceptance")
        return math.prod(shares) if shares else None

    @property
    def bias(self) -> float | None:
        """As `logZ`, of the bias: divergences of steps that follow one another add up."""
        return _sum(self._certified("bias"))

    def _certified(self, name: str) -> list[Any]:
        found = [getattr(c.certificate, name) for c in self.captures.all() if c.certificate is not None]
        return [value for value in found if value is not None]

    def show(self) -> None:
        """Print the text with its holes marked, the captures and the usage, to the terminal."""
        from .show import show

        show(self)

    def explain(self, at: int | str) -> None:
        """Print why the token at a place is there: what the mask allowed, what the model wanted, how likely it was.

        at: a character of the run's text, as a number; a token, as in "token:12"; or a capture's name, for all of its
        tokens ("kind[0]": the first one of that name). Raises RunError where there is nothing, or no records
        (`trace=True` makes them).
        """
        from .explain import explain

        explain(self, at)

    def why(
        self,
        field: str,
        *,
        model: LanguageModel | None = None,
        unit: Unit = "auto",
        replacement: Replacement = "model",
        samples: int = 5,
        masked: bool = True,
        check: int = 0,
        seed: int = 0,
        budget: int = 500_000,
        progress: bool = False,
    ) -> Why:
        """Which parts of the text before a field cause its value: each is replaced, and the value's probability
        compared. What is found is kept in `causes`, for `html` and `save`.

        field        a capture's name; "kind[0]": the first one of that name; "card/age": a value in its JSON, by its
                     JSON pointer, for which what stands before it in the JSON is a cause as well
        model        that is asked; the run's own, unless it was loaded
        unit         parts are lines, sentences, words, tokens or slots (with what is between them). "auto": words, or
                     tokens where words are few or long; in a long text the heaviest lines only are looked into
        replacement  "model": every token by one that the model would have written there instead, given the text before
                     it; "uniform": by any other; "delete": the part is left out
        samples      replacements for each part; deletion has one
        masked       under the language of the hole; False: under the model alone
        check        so many random sets of parts are replaced together, to see how far effects add up (`Why.fidelity`)
        budget       tokens to be computed, at most about; "auto" stays below it, another unit that needs more is an
                     error

        Raises RunError for a field that is not there, or that nothing comes before; ProgramError for wrong options and
        a model that cannot score; NoModel when there is none; what the model raises.
        """
        from .why.finding import Options, find

        options = Options(unit, replacement, samples, masked, check, seed, budget, progress)
        self.causes[field] = found = find(self, field, model or self.model, options)
        return found

    def save(self, path: str | Path) -> None:
        """Write the run as JSON, for `Run.load`, `lmprog show` and `lmprog explain`; see `lmprog.saved`."""
        from .saved import save

        save(self, path)

    @staticmethod
    def load(path: str | Path) -> Run[Any]:
        """Read a run that `save` wrote. Values are what JSON can say of them. Raises RunError, OSError."""
        from .saved import load

        return load(path)

    def html(self, path: str | Path | None = None) -> str:
        """The run as a page that needs nothing else, not even a network; written to `path`, if one is given.

        With the records of `trace=True` it shows for each token how likely it was, how many others were allowed, and
        the likeliest ones; and when each request ran.
        """
        from .html import page

        text = page(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def _repr_html_(self) -> str:
        from .html import fragment

        return fragment(self)


@dataclass(frozen=True)
class Tried:
    """What became of one step: its value, or its error in words.

    confidence   what the test gave, True as 1.0; None for the last step, which is not tested, and after an error
    cost         of `usage`, at the step's price. What a step had used when it failed is not known, and counts for 0
    """

    name: str
    value: Any = None
    confidence: float | None = None
    accepted: bool = False
    error: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost: float = 0.0
    run: Run[Any] | None = field(default=None, repr=False, compare=False, metadata={"saved": False})


@dataclass(frozen=True, repr=False)
class CascadeRun(Run[T]):
    """The run of the step that answered, by number in `step`; `tried` are all up to it. `usage` is that of all."""

    step: int = 0
    tried: tuple[Tried, ...] = ()

    @property
    def cost(self) -> float:
        """Of all steps that were tried."""
        return math.fsum([tried.cost for tried in self.tried])

    def __repr__(self) -> str:
        return f"CascadeRun(answered_by={self.answered_by!r}, cost={self.cost:.6g}, {super().__repr__()[4:]}"

    @property
    def answered_by(self) -> str:
        """The name of the step."""
        return self.tried[self.step].name


def _sum(values: list[float]) -> float | None:
    return sum(values) if values else None


class Recorder:
    """Collects the text, captures and events of a run while it goes on.

    `line` are the events that make up the text; `events` are all, with those of what was taken back. In a branch,
    `before` is the text before it, and `above` are the events that make it up.
    """

    def __init__(
        self, listen: Callable[[Event], object] | None = None, branch: tuple[int, ...] = (), before: str = ""
    ) -> None:
        self.branch, self.before = branch, before
        self.length = len(before)
        self.above: list[Event] = []
        self.line: list[Event] = []
        self.events: list[Event] = []
        self.captures: list[Capture] = []
        self.verdicts: list[Verdict] = []
        self.blocks = 0  # of attempts that were begun
        self.usage = Usage()
        self.listen = listen

    @property
    def text(self) -> str:
        return self.before + self.text_since(0)

    def text_since(self, count: int) -> str:
        """The text of the line but for its first `count` events."""
        return "".join([event.text for event in self.line[count:]])

    def places(self) -> tuple[SlotPlace, ...]:
        """The texts of slots so far, and which of the places with the same text is theirs."""
        text = self.text
        placed = [event for event in [*self.above, *self.line] if isinstance(event, Text) and event.slot]
        return tuple([SlotPlace(e.slot, e.text, text.count(e.text, 0, e.span[0])) for e in placed])

    def slots(self) -> dict[str, tuple[Span, ...]]:
        """Where the texts of slots stand, in order."""
        found: dict[str, tuple[Span, ...]] = {}
        for event in self.line:
            if isinstance(event, Text) and event.slot:
                found[event.slot] = (*found.get(event.slot, ()), event.span)
        return found

    def add(self, kind: type[E], text: str = "", /, **fields: Any) -> E:
        """Append text, and the event that says so."""
        event = kind(span=(self.length, self.length + len(text)), text=text, branch=self.branch, **fields)
        self.take(event)
        return event

    def take(self, event: Event) -> None:
        """Append an event and its text."""
        self.length += len(event.text)
        self.line.append(event)
        self.tell(event)

    def piece(self, text: str, hole: str) -> None:
        """Tell the listener of a value that comes from elsewhere, as one piece of text."""
        if self.listen is not None and text:
            span = (self.length, self.length + len(text))
            self.listen(Text(span=span, text=text, branch=self.branch, hole=hole))

    def retract(self, line: int, captures: int, reason: str) -> None:
        """Take back all but the first events of the line, and the first captures."""
        removed = self.text_since(line)
        self.length -= len(removed)
        del self.line[line:], self.captures[captures:]
        self.refuse(removed, reason)

    def refuse(self, text: str, reason: str) -> None:
        """Tell of text that is not there."""
        self.tell(Retract(span=(self.length, self.length), branch=self.branch, removed=text, reason=reason))

    def tell(self, event: Event) -> None:
        self.events.append(event)
        if self.listen is not None:
            self.listen(event)
