"""Values of holes before there are any: what a program body gets to see in a preview.

A value whose hole has few texts answers every question, by splitting the path: each answer is followed by itself.
Of other values only text can be made (by f-strings, `str()`, and what stays within built-in types); any other question
ends the preview's segment. Text is made as a marker, which `p(...)` takes apart again.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Hashable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from .errors import ProgramError

if TYPE_CHECKING:
    from .preview import Preview

T = TypeVar("T")
PLAIN = (str, int, float, bool, type(None), Enum)
BROKEN = re.compile("[\ue000\ue001]")  # what begins and ends a marker
KEPT = """\
the value of {label} was kept in a preview, where the program runs without a model to see what it is going to do.
What keeps or changes things outside of the program belongs into p.effect(function), or under `if not lp.previewing():`.
"""
SAMPLES: dict[Any, Any] = {int: 1, float: 1.0, str: ""}
PURE = {
    "strip",
    "lstrip",
    "rstrip",
    "lower",
    "upper",
    "title",
    "capitalize",
    "casefold",
    "swapcase",
}  # methods of str that give a str


class Raised:
    """What a question came to for some of the values: an exception."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raised) and repr(self.error) == repr(other.error)

    def __hash__(self) -> int:
        return hash(repr(self.error))


class Source:
    """Where an abstract value comes from: hole number `at` of the segment, and what was done to its text.

    kind   the type of the values, where it is known and built in
    """

    __slots__ = ("at", "kind", "label", "make", "preview")

    def __init__(self, preview: Preview, at: int, label: str, make: Callable[[str], Any], kind: type | None) -> None:
        self.preview, self.at, self.label, self.make, self.kind = preview, at, label, make, kind

    @property
    def texts(self) -> tuple[str, ...] | None:
        return self.preview.domains[self.at]

    @property
    def finite(self) -> bool:
        return self.texts is not None

    @property
    def over(self) -> bool:
        """The preview that it belongs to is over: somebody kept it."""
        return not self.preview.active

    def pick(self, ask: Callable[[Any], T]) -> T:
        """The answer to a question; the path splits where it is not the same for all values."""
        self.check()
        if self.texts is None:
            self.end()
        groups: dict[Hashable, tuple[Any, list[str]]] = {}
        for text in self.texts:
            answer = _outcome(ask, self.make, text)
            groups.setdefault(_key(answer), (answer, []))[1].append(text)
        answers = list(groups.values())
        answer = answers[self.preview.choose(self.at, [tuple(texts) for _, texts in answers])][0]
        if isinstance(answer, Raised):
            raise answer.error
        result: T = answer
        return result

    def value(self) -> Any:
        """The value itself: a path for each that there may be."""
        return self.pick(lambda value: value)

    def then(self, change: Callable[[Any], Any], label: str, kind: type | None = None) -> Any:
        """What `change` makes of it, abstract as long as that is not known."""
        self.check()
        make = self.make
        derived = Source(self.preview, self.at, label, lambda text: change(make(text)), kind)
        if self.texts is None:
            return Abstract(derived) if kind is not None else self.end()
        outcomes = [_outcome(change, make, text) for text in self.texts]
        first = outcomes[0]
        if any([isinstance(outcome, Raised) for outcome in outcomes]):
            return derived.value()
        if isinstance(first, PLAIN) and all([_key(outcome) == _key(first) for outcome in outcomes]):
            return first
        return Abstract(derived)

    def marker(self, show: Callable[[Any], str], label: str) -> str:
        """Its text, in a form that `p(...)` finds again."""
        self.check()
        make = self.make
        if self.texts is not None:
            shown = {text: show(make(text)) for text in self.texts}
            return self.preview.marked(self.at, label, tuple(shown.items()), shown.__getitem__)
        if self.kind is None:
            self.end()
        return self.preview.marked(self.at, label, None, lambda text: show(make(text)))

    def known(self, other: Any) -> Any:
        """Another value that takes part in a question, as it is."""
        if marked(other):
            self.end()
        return other._source.value() if type(other) is Abstract else other

    def check(self) -> None:
        if self.over:
            raise ProgramError(KEPT.format(label=self.label))

    def end(self) -> NoReturn:
        self.preview.end("question", self.label)


def _outcome(ask: Callable[[Any], Any], make: Callable[[str], Any], text: str) -> Any:
    try:
        return ask(make(text))
    except Exception as error:
        return Raised(error)


def _key(answer: Any) -> Hashable:
    try:
        hash(answer)
        return type(answer), answer
    except TypeError:
        return type(answer), repr(answer)


def _unary(op: Callable[[Any], Any], form: str) -> Callable[[Abstract], Any]:
    def method(self: Abstract) -> Any:
        return self._source.then(op, form.format(self._source.label))

    return method


def _answer(op: Callable[[Any], Any]) -> Callable[[Abstract], Any]:
    """For what must be of a certain type, or be known at once."""

    def method(self: Abstract) -> Any:
        return self._source.pick(op)

    return method


def _question(op: Callable[[Any, Any], Any]) -> Callable[[Abstract, object], Any]:
    def method(self: Abstract, other: object) -> Any:
        if self._source.over and op in (operator.eq, operator.ne):
            return (other is self) == (op is operator.eq)
        known = self._source.known(other)
        return self._source.pick(lambda value: op(value, known))

    return method


def _binary(op: Callable[[Any, Any], Any], sign: str) -> Callable[[Abstract, object], Any]:
    def method(self: Abstract, other: object) -> Any:
        source = self._source
        if op is operator.add and marked(other):
            return str(self) + str(other)
        known = source.known(other)
        label = f"{source.label} {sign} {known!r}"
        return source.then(lambda value: op(value, known), label, _kind(source, known, op))

    return method


def _reflected(op: Callable[[Any, Any], Any], sign: str) -> Callable[[Abstract, object], Any]:
    def method(self: Abstract, other: object) -> Any:
        source = self._source
        if op is operator.add and marked(other):
            return str(other) + str(self)
        known = source.known(other)
        label = f"{known!r} {sign} {source.label}"
        return source.then(lambda value: op(known, value), label, _kind(source, known, op))

    return method


def _kind(source: Source, other: Any, op: Callable[[Any, Any], Any]) -> type | None:
    """The type of a sum of numbers, or of texts; None: of anything else."""
    if op not in (operator.add, operator.sub, operator.mul) or source.kind not in SAMPLES:
        return None
    both = {source.kind, type(other)}
    if both == {str}:
        return str if op is operator.add else None
    return None if not both <= {int, float} else float if float in both else int


def marked(value: object) -> bool:
    """It is a text made of abstract values."""
    return type(value) is str and BROKEN.search(value) is not None


class Abstract:
    """Stands in for the value of a hole."""

    __slots__ = ("_source",)

    def __init__(self, source: Source) -> None:
        self._source = source

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """`isinstance` answers as it will in the run."""
        source = self._source
        if source.over or source.texts is None:
            return source.kind or Abstract
        kinds = {type(_outcome(lambda value: value, source.make, text)) for text in source.texts}
        return kinds.pop() if len(kinds) == 1 else source.pick(type)

    def __str__(self) -> str:
        return self._source.marker(str, self._source.label)

    def __repr__(self) -> str:
        return self._source.marker(repr, f"repr({self._source.label})")

    def __format__(self, spec: str) -> str:
        label = self._source.label
        return self._source.marker(lambda value: format(value, spec), f"{label}:{spec}" if spec else label)

    def __getattr__(self, name: str) -> Any:
        source = self._source
        if name.startswith("__"):
            raise AttributeError(name)
        if source.texts is None and source.kind is str and name in PURE:
            return lambda *args: self._called(name, [source.known(arg) for arg in args])
        return source.then(lambda value: getattr(value, name), f"{source.label}.{name}")

    def _called(self, name: str, args: list[Any]) -> Any:
        source = self._source
        getattr("", name)(*args)  # wrong arguments
        label = f"{source.label}.{name}({', '.join(map(repr, args))})"
        return source.then(lambda value: getattr(value, name)(*args), label, str)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        label = f"{self._source.label}({', '.join(map(repr, args))})"
        source = self._source
        known, named = [source.known(arg) for arg in args], {key: source.known(arg) for key, arg in kwargs.items()}
        return source.then(lambda value: value(*known, **named), label)

    def __getitem__(self, key: Any) -> Any:
        source, known = self._source, self._source.known(key)
        kind = str if source.kind is str and isinstance(known, slice) else None
        return source.then(lambda value: value[known], f"{source.label}[{_shown(known)}]", kind)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._source.value())

    def __hash__(self) -> int:
        return id(self) if self._source.over else hash(self._source.value())

    def __deepcopy__(self, memo: object) -> Abstract:
        return self

    __copy__ = __deepcopy__

    __eq__ = _question(operator.eq)
    __ne__ = _question(operator.ne)
    __lt__ = _question(operator.lt)
    __le__ = _question(operator.le)
    __gt__ = _question(operator.gt)
    __ge__ = _question(operator.ge)
    __contains__ = _question(operator.contains)
    __bool__, __len__, __int__, __float__ = _answer(bool), _answer(len), _answer(int), _answer(float)
    __index__, __reversed__ = _answer(operator.index), _answer(reversed)
    __enter__, __exit__ = _answer(lambda value: value.__enter__()), _answer(lambda value: None)
    __neg__, __pos__, __abs__ = _unary(operator.neg, "-{}"), _unary(operator.pos, "+{}"), _unary(abs, "abs({})")
    __invert__, __round__ = _unary(operator.invert, "~{}"), _unary(round, "round({})")
    __add__, __radd__ = _binary(operator.add, "+"), _reflected(operator.add, "+")
    __sub__, __rsub__ = _binary(operator.sub, "-"), _reflected(operator.sub, "-")
    __mul__, __rmul__ = _binary(operator.mul, "*"), _reflected(operator.mul, "*")
    __truediv__, __rtruediv__ = _binary(operator.truediv, "/"), _reflected(operator.truediv, "/")
    __floordiv__, __rfloordiv__ = _binary(operator.floordiv, "//"), _reflected(operator.floordiv, "//")
    __mod__, __rmod__ = _binary(operator.mod, "%"), _reflected(operator.mod, "%")
    __pow__, __rpow__ = _binary(operator.pow, "**"), _reflected(operator.pow, "**")
    __and__, __rand__ = _binary(operator.and_, "&"), _reflected(operator.and_, "&")
    __or__, __ror__ = _binary(operator.or_, "|"), _reflected(operator.or_, "|")
    __xor__, __rxor__ = _binary(operator.xor, "^"), _reflected(operator.xor, "^")


def _shown(key: Any) -> str:
    if not isinstance(key, slice):
        return repr(key)
    ends = ["" if end is None else repr(end) for end in (key.start, key.stop)]
    return ":".join([*ends, repr(key.step)] if key.step is not None else ends)
