"""Holes: inert values that describe a language. `p(...)` fills them; nothing else does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

from .decoders import Decoder, Settings
from .errors import HoleError, HoleInString, PartError
from .grammars import Grammar, any_text
from .grammars import quote as quotes
from .grammars.corpus import Corpus
from .languages import language, options_language, restricted

if TYPE_CHECKING:
    from .monitors.protocol import Monitor
    from .verbalizer import Verbalizer

Boundary = Literal["heal", "token", "exact"]
TRIES = 16  # of a hole with a condition that is a function

IN_STRING = """\
a hole was put into a string, where it would be lost as text. Give it to p as a part of its own:

    p(f"Kind: {{gen(...)}}")        # wrong
    p("Kind: ", gen(...))         # right: {hole}
"""
IN_TEXT = re.compile(r"<hole [^\n]* at 0x[0-9a-f]+>")


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Hole:
    """A place for the model to fill. Made by `gen`, `select` and `quote`.

    `grammar` is the language of its value, None for free text; `kind` says it in a few words. Holes are inert: they
    can be kept, shared and used again; equality is identity. `options` are all its texts where it is a choice between
    a few: they are chosen by their exact probabilities, or classes by those of their `words`. `type` is that of the
    values, where they are plain texts, numbers or dates.
    """

    kind: str
    grammar: Grammar | None
    parse: Callable[[str], Any]
    name: str | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    settings: Settings = field(default=Settings())
    boundary: Boundary | None = None
    options: tuple[str, ...] | None = None
    check: Callable[[Any], object] | None = None
    tries: int = TRIES
    monitor: Monitor | None = None
    type: Any = None
    json: bool = False
    words: Verbalizer | None = None

    @property
    def free(self) -> bool:
        """It is free text, perhaps with a condition or limits."""
        return self.kind.partition(" ")[0].rstrip(",") == "str"

    def matches(self, text: str, *, before: str = "") -> bool:
        """Whether `text` is a value that this hole could get; needs no model. `before`: the text a monitor sees."""
        if any(stop in text for stop in self.stop) or not (self.grammar or any_text()).matches(text):
            return False
        if self.check is not None and not self.check(self.parse(text)):
            return False
        if self.monitor is None:
            return True
        from .monitors.protocol import judge

        return judge(self.monitor, before, text)

    def fresh(self) -> Hole:
        """This hole, with its monitor as it should be now."""
        refresh = getattr(self.monitor, "fresh", None)
        return self if refresh is None else replace(self, monitor=refresh())

    def __repr__(self) -> str:
        name = f"{self.name}: " if self.name else ""
        return f"<hole {name}{self.kind} at {id(self):#x}>"

    def _in_string(self, *_: object) -> NoReturn:
        raise HoleInString(IN_STRING.format(hole=repr(self)))

    def __str__(self) -> str:
        self._in_string()

    def __format__(self, spec: str) -> str:
        self._in_string()

    def __add__(self, other: object) -> NoReturn:
        self._in_string()

    __radd__ = __mod__ = __rmod__ = __add__


def gen(
    type: Any = str,
    *,
    regex: str | None = None,
    json: Any = None,
    grammar: Grammar | str | None = None,
    choices: Iterable[Any] | Verbalizer | None = None,
    where: str | Callable[[Any], object] | None = None,
    tries: int = TRIES,
    stop: str | Sequence[str] | None = None,
    max_tokens: int | None = None,
    min_tokens: int | None = None,
    decoder: Decoder | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    min_p: float | None = None,
    seed: int | None = None,
    repetition_penalty: float | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    logit_bias: Mapping[int, float] | None = None,
    name: str | None = None,
    boundary: Boundary | None = None,
    monitor: Monitor | None = None,
    **limits: Any,
) -> Hole:
    """A hole for a value of a language. Give at most one source of the language:

    type      `str` (free text, the default), int, float, bool, date, Literal[...], Enum, list[...], a pydantic model,
              a dataclass, a TypedDict: the value is of that Python type. Limits (`ge`, `gt`, `le`, `lt`, `max_length`,
              ...) narrow it
    regex     a Python regular expression that the whole value matches
    json      a JSON Schema (dict or text): the value is what json.loads gives; or a pydantic model
    grammar   a Grammar, which also says how its text is read
    choices   options, as in `select`

    `where` narrows it by a condition on the value's text `x`, exactly: `where="len(x) < 40 and 'moon' in x"`; see
    `lmprog.grammars.where` for what it may say. A function of the value (`where=lambda n: n % 7 == 0`) is a check that
    only comes when the value is complete: a value that fails is taken back and excluded (under Argmax) or drawn anew,
    up to `tries` times; then AttemptsExhausted is raised.

    `monitor` allows what knowledge from outside allows, such as the columns of a database: see `lmprog.monitors`.

    Free text ends before the text that follows it in the same `p(...)`, before a `stop` string, at the model's end of
    text, or when `max_tokens` run out. Everything else is always complete within `max_tokens`, or it is a
    BudgetError. Without `max_tokens` there are 512, or more where the shortest value needs more. A stop string is
    neither part of the value nor of the run's text.

    `temperature`, `top_p`, `top_k`, `min_p`, `seed`, the penalties and `logit_bias` override the decoder around the
    hole one by one, `decoder` as a whole; what they mean: `Sample`. `boundary="token"` switches token healing off;
    "exact" begins with one of all the spellings of the text's end, drawn by its probability (see `lmprog.exact`).

    Raises HoleError for a wrong description, InvalidConstraint or UnsupportedConstraint for a wrong or unsupported
    regex, schema or type, SamplingError for decoding settings out of range.

    >>> gen(regex="[a-z]+").matches("moon")
    True
    >>> gen(int, ge=1, le=12).matches("13")
    False
    """
    if min_tokens is not None:
        raise HoleError("min_tokens is not supported: bound the value's length by regex='.{20,}' or min_length=")
    sources = {"type": None if type is str else type, "regex": regex, "json": json, "grammar": grammar}
    sources["choices"] = choices
    given = {key: value for key, value in sources.items() if value is not None}
    if len(given) > 1:
        raise HoleError(
            f"a hole has one language source; {' and '.join(given)} were given (compose with lp.Grammar: a & b)"
        )
    source, value = next(iter(given.items()), ("type", str))
    kind, language_, parse, options, words = language(source, value, limits)
    check = where if callable(where) else None
    if where is not None and check is None:
        language_ = restricted(language_, where)
        options = None if options is None else tuple(filter(language_.matches, options))
    if where is not None:
        kind = f"{kind} where {getattr(where, '__name__', where)}"
    if isinstance(tries, bool) or not isinstance(tries, int) or tries < 1:
        raise HoleError(f"tries is a whole number of 1 or more, not {tries!r}")
    penalties = (repetition_penalty, presence_penalty, frequency_penalty, logit_bias)
    settings = Settings(decoder, temperature, top_p, top_k, min_p, seed, *penalties)
    if words is not None and (stop or monitor is not None):
        raise HoleError("a class is chosen by the scores of its words: it takes no stop and no monitor")
    if monitor is not None:
        from .monitors.protocol import check_monitor

        kind = f"{kind} with {check_monitor(monitor)}"
    bounds = _checked(name, stop, max_tokens)
    plain = _plain(type if source == "type" else None, language_, parse)
    boundary = check_boundary(boundary)
    json_text = source in ("type", "json") and language_ is not None and options is None
    hole = Hole(kind, language_, parse, *bounds, settings, boundary, options, check, tries, monitor, plain, json_text)
    return hole if words is None else replace(hole, words=words, type=None)


def select(
    options: Iterable[Any] | Verbalizer,
    *,
    name: str | None = None,
    decoder: Decoder | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    boundary: Boundary | None = None,
) -> Hole:
    """A hole for one of `options`. Options that are not texts stand for their `str()`; the value is the option itself.

    Under Argmax it is the option of the greatest total probability, whatever token it begins with; under Sample one is
    drawn from the distribution of the options, at the decoder's temperature (top_p and its kin filter options, too).
    The probability of an option is that of its tokens, as the tokenizer spells it together with the end of the text
    before it; other spellings of the same text are added with boundary="exact" alone. Where an option begins another,
    each is taken together with the text that follows in the same `p(...)`; if none does, the shorter one's
    probability is that the text does not go on to be the longer one. `captures[name].dist` has all probabilities.

    The same holds for `gen(choices=...)`, bool, Literal and Enum. Of more than 2,000 options, and with penalties or a
    logit_bias, one token is decided after the other.

    A dict, or a `Verbalizer`, has classes and the words that stand for each: the value is the class.

    Raises HoleError when there are no options, or when two have the same text.

    >>> select([1, 2, 3]).matches("2")
    True
    """
    kind, grammar, parse, texts, words = options_language(options)
    how = Settings(decoder, temperature, seed=seed), check_boundary(boundary)
    return Hole(kind, grammar, parse, *_checked(name, None, None), *how, texts, words=words)


def quote(
    source: str | Corpus,
    *,
    min_chars: int = 1,
    max_chars: int | None = None,
    words: bool = False,
    max_tokens: int | None = None,
    name: str | None = None,
    decoder: Decoder | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    boundary: Boundary | None = None,
) -> Hole:
    """A hole for a verbatim piece of `source`; the value has its `text`, `start`, `end` and all its `places`.

    Of a `Corpus` it is a piece of one of the documents, and `document` says of which. It has `min_chars` to `max_chars`
    characters; with `words` no word is cut at its ends.

    Raises EmptyLanguage when the source is too short, InvalidConstraint when the limits are wrong.

    >>> quote("to be or not to be", words=True).matches("not to")
    True
    """
    grammar = quotes(source, min_chars=min_chars, max_chars=max_chars, words=words)
    settings = Settings(decoder, temperature, seed=seed)
    shown = f"{source[:19]}…" if isinstance(source, str) and len(source) > 20 else source
    kind = f"a quote from {shown!r}"
    return Hole(kind, grammar, grammar.parse, *_checked(name, None, max_tokens), settings, check_boundary(boundary))


def _plain(tp: Any, grammar: Grammar | None, parse: Callable[[str], Any]) -> Any:
    """The type of a hole's values, if it is a plain one."""
    if tp in (str, int, float, date):
        return tp
    return str if parse is str or (grammar is not None and grammar.parser is None) else None


def _checked(
    name: str | None, stop: str | Sequence[str] | None, max_tokens: int | None
) -> tuple[str | None, tuple[str, ...], int | None]:
    if name is not None and (not isinstance(name, str) or not name):
        raise HoleError(f"a hole's name is a text that is not empty, not {name!r}")
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    for text in stops:
        if not isinstance(text, str) or not text:
            raise HoleError(f"a stop is a text that is not empty, not {text!r}")
    if max_tokens is not None and (isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1):
        raise HoleError(f"max_tokens is a whole number of 1 or more, not {max_tokens!r}")
    return name, stops, max_tokens


B = TypeVar("B", Boundary, Boundary | None)


def check_boundary(boundary: B) -> B:
    if boundary not in (None, "heal", "token", "exact"):
        raise HoleError(f'boundary is "heal", "token" or "exact", not {boundary!r}')
    return boundary


def text_of(part: object) -> str:
    """The text that a part of `p(...)` stands for. Refuses what would be lost or garbled."""
    if isinstance(part, bytes | bytearray | memoryview):
        raise PartError(f"p(...) takes text, not {type(part).__name__}: decode it first, as in data.decode()")
    if isinstance(part, Grammar):
        raise PartError("p(...) was given a Grammar: make a hole of it, p(gen(grammar=...))")
    text = str(part)
    if "<hole " in text and (leaked := IN_TEXT.search(text)):
        raise HoleInString(IN_STRING.format(hole=leaked[0]))
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise PartError(
                f"character {error.start} of the text is half a surrogate pair, {text[error.start]!r}"
            ) from None
    return text
