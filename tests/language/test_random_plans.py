"""Random programs with branches, loops, nesting, chats and effects: a run with previews gives what one without gives.

The programs are written as source, so that they are what users write: f-strings, `match`, methods of values.
"""

from __future__ import annotations

import contextlib
import enum
import random
from collections.abc import Callable
from typing import Any, Literal  # noqa: F401 (in the sources)

import pytest

import lmprog as lp
from lmprog import Sample, gen, program, select
from lmprog.testing import RandomModel

RANDOM = RandomModel(11)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


HOLES = {
    "word": ['select(["moon", "sea", "the"])', 'gen(choices=["ab", "abc", "x y"])', 'gen(regex="(math|poem)s?")'],
    "int": ["gen(int, ge=0, le=4)", "select([1, 2, 30])"],
    "big": ["gen(int, ge=-50, le=5000)"],
    "bool": ["gen(bool)"],
    "color": ["gen(Color)", "select(list(Color))"],
    "literal": ['gen(Literal["a", 3, True])'],
    "free": ["gen(max_tokens=4)", 'gen(stop="a", max_tokens=5)', 'gen(regex="[a-f]{2,6}")'],
}
QUESTIONS = {
    "word": ['{x} == "moon"', '{x} in ("sea", "ab")', "len({x}) > 3", '{x}.startswith("m")', '{x} < "n"', '"a" in {x}'],
    "int": ["{x} > 2", "{x} % 2", "{x} == 1", "{x}", "str({x}) == '1'", "{x} + 1 == 3"],
    "big": ["{x} > 2000", "{x} % 3 == 0"],
    "bool": ["{x}", "not {x}", "{x} is True"],
    "color": ["{x} is Color.RED", "{x} == Color.BLUE", '{x}.value.endswith("e")'],
    "literal": ['{x} == "a"', "isinstance({x}, int)"],
    "free": ['{x} == "ab"', "len({x}) > 2", '"e" in {x}'],
}
TEXTS = {
    "word": [
        "{x}", 'f"<{{{x}}}> {{{x}:>9}}"', "{x}.upper()", '{x} + "!"', '"=" + {x}', '"%s;" % {x}', "{x}[:2]",
        '"-".join([{x}, "z"])', '{x} + f" {{{x}}}"',
    ],
    "int": ["{x}", 'f"{{{x}}}/{{{x}:03d}}"', "{x} * 2", "10 - {x}", "'a' * {x}"],
    "big": ["{x}", 'f"{{{x}:,}}"', "{x} + 1", 'f"{{{x} * 2}}"', "-{x}"],
    "bool": ["{x}", 'f"{{{x}!r}}"'],
    "color": ["{x}.name", 'f"{{{x}.value}}"', "{x}"],
    "literal": ["{x}", 'f"{{{x}!r}}"'],
    "free": ["{x}", 'f"({{{x}}})"', "{x}.strip().upper()", '{x} + " end"', 'f"{{{x}:.2}}"', "{x}[1:]"],
}  # fmt: skip


class Writer:
    """Writes the source of a body."""

    def __init__(self, rng: random.Random, chat: bool) -> None:
        self.rng, self.chat = rng, chat
        self.lines: list[str] = []
        self.names: list[tuple[str, str]] = []
        self.count = 0

    def source(self) -> str:
        self.block(1, 3)
        return "\n".join(["def body(p, note):", *self.lines, "    return note"])

    def block(self, indent: int, depth: int) -> None:
        known = [*self.names]
        for _ in range(self.rng.randint(1, 3)):
            self.statement(indent, depth)
        self.names = known if indent > 1 else self.names

    def add(self, indent: int, line: str) -> None:
        self.lines.append("    " * indent + line)

    def statement(self, indent: int, depth: int) -> None:
        kinds: list[Callable[[int, int], None]] = [self.fill, self.write, self.side, self.fill, self.write, self.fill]
        if depth:
            kinds += [self.branch] * 4 + [self.loop, self.match, self.attempt, self.decoding, self.nested]
        self.rng.choice(kinds)(indent, depth)

    def fill(self, indent: int, _: int = 0) -> None:
        kind = self.rng.choice(list(HOLES))
        name = f"x{self.count}"
        self.count += 1
        follow = self.rng.choice(["", ', "\\n"', ', ". "', f", f' {{note}}{name}'"])
        parts = f'"{name}: ", {self.rng.choice(HOLES[kind])}{follow}'
        if self.chat:
            self.add(indent, f'p.user("give {name}")')
            self.add(indent, "with p.assistant():")
            indent += 1
        self.add(indent, f"{name} = p({parts})")
        self.add(indent, f"note += repr({name})" if self.rng.random() < 0.2 else "pass")
        self.names.append((name, kind))

    def known(self, indent: int) -> tuple[str, str]:
        if not self.names:
            self.fill(indent)
        return self.rng.choice(self.names)

    def write(self, indent: int, _: int = 0) -> None:
        name, kind = self.known(indent)
        text = self.rng.choice(TEXTS[kind]).replace("{x}", name).replace("{{", "{").replace("}}", "}")
        self.add(indent, f"p.user({text})" if self.chat else f'p({text}, "\\n")')

    def question(self, indent: int) -> str:
        name, kind = self.known(indent)
        return self.rng.choice(QUESTIONS[kind]).replace("{x}", name)

    def branch(self, indent: int, depth: int) -> None:
        self.add(indent, f"if {self.question(indent)}:")
        self.block(indent + 1, depth - 1)
        if self.rng.random() < 0.6:
            self.add(indent, "else:")
            self.block(indent + 1, depth - 1)

    def loop(self, indent: int, depth: int) -> None:
        question = self.question(indent)
        self.add(indent, f"for i in range({self.rng.randint(1, 3)}):")
        self.block(indent + 1, depth - 1)
        self.add(indent + 1, f"if {question}: {self.rng.choice(['break', 'continue', 'pass'])}")

    def match(self, indent: int, depth: int) -> None:
        name, _ = self.known(indent)
        self.add(indent, f"match {name}:")
        for case in ['"moon" | "ab" | 2 | True', "Color.RED", "str()", "_"]:
            self.add(indent + 1, f"case {case}:")
            self.block(indent + 2, 0)

    def attempt(self, indent: int, depth: int) -> None:
        self.add(indent, "try:")
        self.block(indent + 1, depth - 1)
        self.add(indent + 1, f"if {self.question(indent + 1)}: raise KeyError('of the body')")
        self.add(indent, "except KeyError:")
        self.add(indent + 1, self.rng.choice(["raise", "note += 'caught'", "pass"]))

    def decoding(self, indent: int, depth: int) -> None:
        decoder = self.rng.choice(["Sample(0.7)", "Sample(1.3, seed=5)", "lp.Argmax()"])
        self.add(indent, f"with p.decoding({decoder}):")
        self.block(indent + 1, depth - 1)

    def nested(self, indent: int, depth: int) -> None:
        name = f"x{self.count}"
        self.count += 1
        self.add(indent, f"{name} = {'talk' if self.chat else 'inner'}(p, {self.rng.randint(0, 1)})")
        self.names.append((name, "word"))

    def side(self, indent: int, _: int = 0) -> None:
        name = self.known(indent)[0]
        self.add(indent, self.rng.choice([
            f"log.append(repr({name}))",
            "note += str(p.effect(random.random))",
            "note += str(random.random())",
            f"print({name})",
            "note += 'preview' if lp.previewing() and False else ''",
            f"if {self.question(indent)}: raise ValueError(note)",
        ]))  # fmt: skip


@program
def inner(p: lp.Prompt, more: int) -> Any:
    if p("inner ", select(["x", "y"]), "\n") == "x" and more:
        p(gen(int, ge=0, le=9), "\n")
    return p("w ", select(["moon", "ab"]))


@program
def talk(p: lp.Prompt, more: int) -> Any:
    p.user("talk")
    with p.assistant():
        return p(select(["moon", "ab"]))


def run(source: str, **options: Any) -> tuple[Any, ...]:
    """All that can be seen of a run."""
    log: list[str] = []
    names = dict(globals()) | {"log": log}
    exec(compile(source, "<random program>", "exec"), names)
    random.seed(3)
    body = program(names["body"])
    try:
        done = body.run("", model=RANDOM, logprobs=True, **options)
    except Exception as error:
        return type(error), str(error), getattr(error, "__notes__", None), log, random.random()
    captures = [(c.name, c.value, c.text, c.span, c.tokens, c.finish, c.logprob) for c in done.captures.all()]
    assert all(done.text[slice(*c.span)] == c.text for c in done.captures.all())
    return done.value, done.text, captures, done.messages, done.trace, log, random.random()


def compare(seed: int) -> None:
    rng = random.Random(seed)
    source = Writer(rng, chat=seed % 4 == 3).source()
    decoder = [None, Sample(seed=seed), Sample(0.5, top_p=0.9, seed=seed)][seed % 3]
    with contextlib.redirect_stdout(None):
        expected = run(source, decoder=decoder, seed=seed, preview=False)
        got = run(source, decoder=decoder, seed=seed)

    assert expected == got, source


@pytest.mark.parametrize("block", range(10))
def test_previews_change_nothing(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        compare(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10, 60))
def test_previews_change_nothing_at_all(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        compare(seed)
