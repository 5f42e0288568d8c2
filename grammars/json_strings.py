"""String assertions as expressions over decoded text, in the spelling of one style."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from .derive import minlen
from .errors import UnsupportedConstraint
from .expr import EMPTY, INF, Expr, alt, both, complement, matches, repeat
from .json_formats import FORMATS, LAZY, WIDEST, format_expr
from .logic import Cube, Logic, Node
from .quote_fields import Kinds
from .regex import PLAIN, search
from .regex_compile import Alphabet
from .schema_forms import Atom, HasFormat, Matches, MinLength, Quoted, StringAtom, StringIn
from .string_machine import machine
from .unicode_sets import ALL

QUOTED = Quoted()
MOST_CASES = 4096
MOST_ATOMS = 24  # that are worked out together
LONGEST = 100


class Strings:
    """Compiles functions of string assertions; what may stand between the quotes.

    kinds   of quotes from a text, which are left to a `QuoteFields`; None: there is no text to quote from
    """

    def __init__(self, logic: Logic, alphabet: Alphabet, kinds: Kinds | None = None) -> None:
        self.logic, self.alphabet, self.kinds = logic, alphabet, kinds
        self.any_char = alphabet.chars(ALL)
        self._atoms: dict[StringAtom, Expr] = {}
        self._functions: dict[int, Expr] = {}

    def expr(self, function: Node) -> Expr:
        """The texts for which `function` holds; `EMPTY` when there are none."""
        found = self._functions.get(function.uid)
        if found is None:
            found = self._new(self._with_narrow(function, self.logic.conj))
            if found is EMPTY and self._new(self._with_narrow(function, self.logic.disj)) is not EMPTY:
                raise UnsupportedConstraint("the formats meant here cannot be told exactly from other texts")
            self._functions[function.uid] = found
        return found

    def _with_narrow(self, function: Node, join: Callable[[Iterable[Node]], Node]) -> Node:
        """A narrow format tells which texts have it for sure, its widest form which have it not. In between, `function`
        is what it is if they have it, joined with what it is if they have it not."""
        logic = self.logic
        for atom in logic.support(function):
            if isinstance(atom, HasFormat) and atom.name in WIDEST:
                yes, no = (logic.restrict(function, {atom: value}) for value in (True, False))
                between = join([yes, no])
                if between is not no:
                    widest = logic.atom(HasFormat(atom.name, widest=True))
                    function = logic.ite(logic.atom(atom), yes, logic.ite(widest, between, no))
        return function

    def _new(self, function: Node) -> Expr:
        found = self._as_machine(function)
        if found is None:
            cubes = self.logic.cover(function, MOST_CASES)
            if cubes is None:
                raise UnsupportedConstraint(f"the string assertions come down to more than {MOST_CASES} cases")
            found = self._quote(cubes[0]) if len(cubes) == 1 else None
            found = found or alt(*map(self._case, cubes))
        return found if minlen(found) < INF else EMPTY

    def _as_machine(self, function: Node) -> Expr | None:
        """Patterns that meet, or are denied, are worked out together; one alone is fine as it is."""
        atoms = self.logic.support(function)
        patterns = [atom for atom in atoms if isinstance(atom, Matches | HasFormat)]
        lengths = [atom.length for atom in atoms if isinstance(atom, MinLength)]
        if any([isinstance(atom, Quoted) for atom in atoms]):
            return None
        if any([isinstance(atom, HasFormat) and atom.name in LAZY and not atom.widest for atom in patterns]):
            return None
        if not patterns or len(atoms) > MOST_ATOMS or max(lengths, default=0) > LONGEST:
            return None
        if len(patterns) == 1 and (not lengths and function.low is self.logic.false):
            return None
        return machine(self.logic, function, _assertion, self.alphabet)

    def _quote(self, cube: Cube) -> Expr | None:
        """What stands for a quote, if it is one."""
        if not cube.get(QUOTED) or any(not isinstance(atom, MinLength | Quoted) for atom in cube):
            return None
        assert self.kinds is not None
        low, high = _lengths(cube)
        return EMPTY if high is not None and max(low, 1) > high else self.kinds.mark(low, high)

    def _case(self, cube: Cube) -> Expr:
        if QUOTED in cube:
            raise UnsupportedConstraint("beside x-quote a string can have minLength and maxLength, and nothing else")
        listed = [atom for atom, value in cube.items() if isinstance(atom, StringIn) and value]
        if listed:
            return self.options(self._allowed(listed[0], {a: value for a, value in cube.items() if a is not listed[0]}))
        low, high = _lengths(cube)
        if high is not None and low > high:
            return EMPTY
        others = {atom: value for atom, value in cube.items() if not isinstance(atom, MinLength)}
        parts = [self.atom(atom) if value else complement(self.atom(atom)) for atom, value in others.items()]
        if (low, high) == (0, None) and any(others.values()):
            return both(*parts)
        return both(repeat(self.any_char, low, high), *parts)

    def _allowed(self, listed: StringIn, others: Cube) -> list[str]:
        """The words that meet the other assertions, too."""
        sets = [(frozenset(a.words), value) for a, value in others.items() if isinstance(a, StringIn)]
        tests = [(a, value) for a, value in others.items() if not isinstance(a, StringIn)]
        words = [w for w in listed.words if all([(w in words) == value for words, value in sets])]
        return [w for w in words if all([self.holds(a, w) == value for a, value in tests])]

    def options(self, words: Iterable[str]) -> Expr:
        listed = list(words)
        return self.alphabet.options(listed) if listed else EMPTY

    def atom(self, atom: Atom) -> Expr:
        """The texts that meet one assertion."""
        assert isinstance(atom, StringAtom)
        found = self._atoms.get(atom)
        if found is None:
            found = self._atoms[atom] = _assertion(atom, self.alphabet)
        return found

    def knows_format(self, name: str) -> bool:
        return name in FORMATS

    def holds(self, atom: Atom, word: str) -> bool:
        """Whether a given text meets an assertion."""
        match atom:
            case StringIn():
                return word in _set_of(atom)
            case MinLength(length):
                return len(word) >= length
            case Matches(pattern):
                return matches(search(pattern, "ecma", PLAIN), word.encode())
            case HasFormat(name, widest):
                return matches(format_expr(name, PLAIN, widest), word.encode())
            case Quoted():
                raise UnsupportedConstraint("x-quote cannot be combined with given values")
        raise AssertionError(atom)


def _lengths(cube: Cube) -> tuple[int, int | None]:
    """The least and the greatest length, if there is one."""
    low = max([a.length for a, value in cube.items() if isinstance(a, MinLength) and value], default=0)
    high = min([a.length - 1 for a, value in cube.items() if isinstance(a, MinLength) and not value], default=None)
    return low, high


def _assertion(atom: StringAtom, alphabet: Alphabet) -> Expr:
    match atom:
        case StringIn(words):
            return alphabet.options(list(words)) if words else EMPTY
        case MinLength(length):
            return repeat(alphabet.chars(ALL), length)
        case Matches(pattern):
            return _search(pattern, alphabet)
        case HasFormat(name, widest):
            return format_expr(name, alphabet, widest)
        case Quoted():
            raise UnsupportedConstraint("x-quote is for values")


@lru_cache(maxsize=1024)
def _search(pattern: str, alphabet: Alphabet) -> Expr:
    return search(pattern, "ecma", alphabet)


@lru_cache(maxsize=1024)
def _set_of(atom: StringIn) -> frozenset[str]:
    return frozenset(atom.words)
