"""`p.infill`: several holes of a fixed text, filled so that the whole is a text of a grammar.

The mask of every token is exact: what it leaves can be completed (grammars/infill.py). From left to right that is one
hole, the template's texts; the values are read back from the text, each as short as it can be, the first hole first.
In another order it is a hole at a time, of the values that leave room for all the others, with the text up to the
next hole behind it, which says where the value ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .decoders import Decoder, Settings
from .errors import EmptyLanguage, HoleError
from .grammars import Grammar, any_text, literal
from .grammars.derive import minlen
from .grammars.expr import INF
from .grammars.infill import filled, split
from .holes import Hole, gen

if TYPE_CHECKING:
    from .prompt import Prompt

MARKER = re.compile(r"\[\[([A-Za-z_][A-Za-z0-9_]*)\]\]")
NOTHING = "infilling: no filling of the holes makes the template a text of the grammar"


@dataclass(frozen=True)
class Form:
    """A template: its texts, one more than holes, with a hole between each two."""

    texts: tuple[str, ...]
    holes: dict[str, Hole]

    @classmethod
    def read(cls, template: str, holes: Mapping[str, Hole]) -> Form:
        """Raises HoleError for a template without holes, a name that comes twice, holes that it does not have."""
        parts = MARKER.split(template)
        names = parts[1::2]
        if not names:
            raise HoleError("the template has no hole: write [[name]] where there is to be one")
        if twice := [name for name in names if names.count(name) > 1]:
            raise HoleError(f"the template has two holes [[{twice[0]}]]")
        if unknown := [name for name in holes if name not in names]:
            raise HoleError(f"the template has no hole [[{unknown[0]}]], only {', '.join(names)}")
        return cls(tuple(parts[::2]), {name: _language_alone(name, holes.get(name, FREE)) for name in names})

    def pieces(self, known: Mapping[str, str]) -> list[Grammar]:
        """The text before each hole, the hole, ..., and the last text; hole number i is piece 2 i + 1."""
        out = [literal(self.texts[0])]
        for (name, hole), text in zip(self.holes.items(), self.texts[1:], strict=True):
            value = literal(known[name]) if name in known else hole.grammar or any_text()
            out += [value, literal(text)]
        return out

    def parts(self, known: Mapping[str, object]) -> list[object]:
        """Texts and what the holes are now, [[name]] where that is not known."""
        out: list[object] = [self.texts[0]]
        for name, text in zip(self.holes, self.texts[1:], strict=True):
            out += [known.get(name, f"[[{name}]]"), text]
        return out


FREE = gen()


def _language_alone(name: str, hole: Hole) -> Hole:
    if not isinstance(hole, Hole):
        raise HoleError(f"[[{name}]] is described by a hole, as in {name}=gen(regex=...), not by {hole!r}")
    more = hole.stop or hole.check or hole.monitor or hole.max_tokens or hole.words
    if more or hole.settings != Settings():
        raise HoleError(
            f"[[{name}]]: a hole of p.infill is a language alone, without stop, max_tokens, monitor, a function as "
            "where, classes of words, or a decoder; max_tokens and decoder are arguments of p.infill"
        )
    return hole


def infill(
    p: Prompt,
    template: str,
    holes: Mapping[str, Hole],
    *,
    grammar: Grammar | None,
    order: Iterable[str] | None,
    max_tokens: int | None,
    decoder: Decoder | None,
) -> dict[str, Any]:
    """`Prompt.infill`."""
    form, whole = Form.read(template, holes), grammar or any_text()
    limits = {"max_tokens": max_tokens, "decoder": decoder}
    if order is None:
        texts = _from_left(p, form, whole, limits)
    else:
        texts = _in_order(p, form, whole, checked(order, form), limits)
    fixed = {
        name: replace(form.holes[name], name=name, grammar=literal(text), options=None) for name, text in texts.items()
    }
    values = p(*form.parts(fixed))
    return dict(zip(fixed, values if len(fixed) > 1 else [values], strict=True))


def checked(order: Iterable[str], form: Form) -> list[str]:
    listed = [order] if isinstance(order, str) else list(order)
    if sorted(listed) != sorted(form.holes):
        raise HoleError(f"order names each hole once, {', '.join(form.holes)}; it is {listed!r}")
    return listed


def _from_left(p: Prompt, form: Form, whole: Grammar, limits: dict[str, Any]) -> dict[str, str]:
    pieces = form.pieces({})
    text = _drawn(p, "", filled(whole, pieces), limits)
    return dict(zip(form.holes, split(pieces, text)[1::2], strict=True))


def _in_order(p: Prompt, form: Form, whole: Grammar, order: list[str], limits: dict[str, Any]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name in order:
        at = 2 * list(form.holes).index(name) + 1
        before = "".join(map(str, form.parts(texts)[:at]))
        behind = form.texts[at // 2 + 1]
        drawn = _drawn(p, before, filled(whole, form.pieces(texts), [at, at + 1]), limits)
        texts[name] = drawn.removesuffix(behind)
    return {name: texts[name] for name in form.holes}


def _drawn(p: Prompt, before: str, language: Grammar, limits: dict[str, Any]) -> str:
    """What the model writes behind `before`, in a branch that nothing is made of."""
    if minlen(language.expr) >= INF:
        raise EmptyLanguage(NOTHING)
    (branch,) = p.fork(lambda q, hole: q(before, hole), [gen(grammar=language, **limits)])
    text: str = branch.value
    return text
