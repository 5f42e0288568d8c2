"""What a program would send, without a model: its text up to the first thing that depends on a hole's value.

Nothing is guessed. An unknown value can be appended again, as ⟨name⟩; whatever else is asked of it (a branch, a
length, an attribute) ends the outline, as the real text would depend on the answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn

from .decoders import Decoder
from .errors import ProgramError
from .holes import Boundary, Hole
from .prompt import Prompt, Roles, finish
from .question import Question


class Asked(BaseException):
    """Something was asked of an unknown value. Not an Exception, so that a program's own handlers let it pass."""


class Unknown:
    """Stands in for the value of the hole `name`."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return f"⟨{self._name}⟩"

    def __format__(self, spec: str) -> str:
        if spec:
            self._ask()
        return str(self)

    def __repr__(self) -> str:
        return str(self)

    def _ask(self, *_: object) -> NoReturn:
        raise Asked(self._name)

    def __getattr__(self, name: str) -> NoReturn:
        self._ask()

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _ask
    __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = __call__ = __next__ = _ask
    __int__ = __float__ = __index__ = __round__ = __abs__ = __neg__ = __invert__ = _ask
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = __pow__ = __rpow__ = _ask
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __divmod__ = __rdivmod__ = _ask
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __enter__ = __exit__ = _ask


class Passes:
    """Stands in for an attempt."""

    number, reasons = 0, ()

    def check(self, condition: object, why: str = "", **_: object) -> None:
        """Taken for true."""

    suggest = check

    def __enter__(self) -> Passes:
        return self

    def __exit__(self, *_: object) -> None: ...


class Limb(Unknown):
    """Stands in for a branch."""

    __iter__ = None  # type: ignore[assignment]  # one is not a list of them
    __slots__ = ("error", "index", "text", "value")

    def __init__(self, index: int, text: str, value: Any) -> None:
        super().__init__("a branch")
        self.index, self.text, self.value, self.error = index, text, value, None


class Outline:
    """A session that writes holes instead of filling them."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.holes = 0
        self.roles = Roles()

    def text(self, text: str) -> None:
        if text:
            self.roles.text()
        self.pieces.append(text)

    def fill(self, hole: Hole, follow: str) -> Unknown:
        self.roles.hole()
        name = hole.name or str(self.holes)
        self.holes += 1
        self.pieces.append(f"⟨{name}: {hole.kind}⟩")
        return Unknown(name)

    def open(self, role: str, name: str | None) -> None:
        self.roles.begin(role)
        self.pieces.append(f"[{role}]\n")

    def close(self) -> None:
        self.roles.end()
        self.pieces.append("\n\n")

    def score(self, question: Question, boundary: Boundary | None) -> Any:
        self.roles.hole()
        return Unknown("score")

    def mark(self) -> tuple[int, int]:
        return len(self.pieces), self.holes

    def reset(self, to: tuple[int, int]) -> None:
        del self.pieces[to[0] :]
        self.holes = to[1]

    def attempts(self, times: int, **options: Any) -> Iterator[Any]:
        """One that passes."""
        yield Passes()

    def effect(self, function: Callable[[], Any]) -> Unknown:
        return Unknown("an effect")

    def fork(self, function: Callable[..., Any], args: Iterable[Any], **_: Any) -> list[Limb]:
        limbs = []
        for i, arg in enumerate(args):
            branch = Outline()
            branch.holes, branch.roles.kind, branch.roles.open = self.holes, self.roles.kind, self.roles.open
            text, value = _write(branch, function, arg)
            self.pieces.append(f"⟨branch {i}: {text}⟩")
            limbs.append(Limb(i, text, value))
        return limbs

    def adopt(self, branch: Limb) -> Any:
        return self.append([branch], "")[0]

    def append(self, branches: Sequence[Limb], separator: str) -> tuple[Any, ...]:
        self.pieces.append(separator.join([branch.text for branch in branches]))
        return tuple([branch.value for branch in branches])

    @contextlib.contextmanager
    def decoding(self, decoder: Decoder) -> Iterator[None]:
        yield


def outline(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The outline of a program's function. Errors that come before the first hole are the program's own."""
    return _write(Outline(), function, *args, **kwargs)[0]


def _write(session: Outline, function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[str, Any]:
    """The text, and the body's value as far as it is known."""
    before, value = session.holes, Unknown("the value of a branch")
    p = Prompt(session)
    try:
        value = function(p, *args, **kwargs)
    except Asked as asked:
        session.pieces.append(f"⟨… the rest depends on {asked}⟩")
    except ProgramError:
        raise
    except Exception as error:
        if session.holes == before:
            raise
        session.pieces.append(f"⟨… the rest depends on a value: {error!r}⟩")  # a stand-in is not of the value's type
    finally:
        finish(p)
    return "".join(session.pieces), value
