"""The Jinja environment of prompts: sandboxed, strict about names, and lazy.

Its generated code yields the values of expressions as they are, holes among them, instead of their texts (as Jinja's
own native environment does), so that whoever asks for the next piece can fill a hole before the code goes on.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, cast

from jinja2 import BaseLoader, StrictUndefined, TemplateNotFound, TemplateRuntimeError, meta, nodes
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.runtime import BlockReference, Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from ..errors import HoleError
from ..holes import Hole, gen, quote, select
from ..slots import examples, slot
from .pieces import Closed, Inner, Opened, Part, misplaced
from .refusals import refuse
from .rewrite import rewrite
from .tags import HoleTags, RoleTags

FILLED = " filled"  # the captures among a context's variables; not a name that a template can say
TYPES = {tp.__name__: tp for tp in (int, float, bool, str, list, datetime.date)}


def joined(pieces: Iterable[Any]) -> str:
    """The text of a block that Jinja collects, where nothing can be filled any more."""
    texts = []
    for piece in pieces:
        if (what := misplaced(piece)) is not None:
            raise TemplateRuntimeError(f"{what} came inside of a block whose text is collected before it is written")
        texts.append(str(piece.value if isinstance(piece, Part) else piece))
    return "".join(texts)


class Prompts(ImmutableSandboxedEnvironment):
    """The environment of one `lp.Template` and of all that it includes."""

    code_generator_class = NativeCodeGenerator
    concat = staticmethod(joined)

    def __init__(self, loader: BaseLoader, **whitespace: bool) -> None:
        extensions = [HoleTags, RoleTags, "jinja2.ext.loopcontrols"]
        super().__init__(undefined=StrictUndefined, loader=loader, extensions=extensions, **whitespace)
        del self.globals["lipsum"]
        self.globals.update(TYPES, gen=_gen, select=_select, quote=_quote, slot=slot, examples=examples)

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        refuse(source, name or "template")
        rewrite(source)
        return super()._generate(source, name, filename, defer_init)

    def look_up(self, context: Context, name: str) -> Any:
        """The value of a name: a hole that was filled, or a variable."""
        filled = context.resolve_or_missing(FILLED)
        if filled is not missing and name in filled:
            return filled[name]
        return context.resolve(name)

    def texts(self, source: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
        """The texts in expressions of a template, and of those that it names."""
        tree = self.parse(source)
        yield from [node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)]
        yield from [node.name for node in tree.find_all(nodes.Name) if node.name == "examples"]
        for name in {*meta.find_referenced_templates(tree)} - seen - {None}:
            with suppress(TemplateNotFound):
                inner, _, _ = cast(BaseLoader, self.loader).get_source(self, cast(str, name))
                yield from self.texts(inner, seen | {cast(str, name)})

    def part(self, value: Any, follow: str, looped: bool) -> Any:
        return Part(value, follow, looped) if isinstance(value, Hole) else value

    def opened(self, role: str, name: str | None = None) -> Opened:
        return Opened(role, name)

    def closed(self) -> Closed:
        return Closed()

    def inner(self, block: BlockReference) -> Inner:
        return Inner(partial(block._stack[block._depth], block._context))


def _named(make: str, name: object, example: str) -> None:
    if name is not None and not isinstance(name, str):
        raise HoleError(f"in a template the first argument of {make} is the hole's name, not {name!r}: {example}")


def _gen(name: str | None = None, type: Any = str, **options: Any) -> Hole:
    _named("gen", name, 'gen("age", int)')
    return gen(type, name=name, **options)


def _select(name: str | None = None, options: Iterable[Any] = (), **settings: Any) -> Hole:
    _named("select", name, 'select("kind", ["math", "poem"])')
    return select(options, name=name, **settings)


def _quote(name: str | None = None, source: str = "", **options: Any) -> Hole:
    _named("quote", name, 'quote("evidence", document)')
    return quote(source, name=name, **options)
