from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import lmprog as lp
from lmprog.testing import RandomModel, Scripted

CARD = """\
Topic: {{ topic }}
Kind: {{ select("kind", ["math", "poem"]) }}
{% if kind == "math" %}n = {{ gen("n", int, ge=0, le=999) }}{% else %}line: {% gen "line", regex="[a-z ]+" %}{% endif %}
end"""


def test_a_template_is_a_program() -> None:
    card = lp.Template(CARD, name="card")
    run = card.run(topic="cats", model=Scripted(["math", "12"]))

    assert run.text == "Topic: cats\nKind: math\nn = 12\nend"
    assert run.value == {"kind": "math", "n": 12}
    assert card({"topic": "cats"}, model=Scripted(["poem", "a cat"])) == {"kind": "poem", "line": "a cat"}
    rows = [{"topic": "a"}, ({"topic": "b"},)]
    assert card.map(rows, model=Scripted(["poem", "x", "math", "3"]), concurrency=1)[1] == {"kind": "math", "n": 3}
    assert asyncio.run(card.acall(topic="c", model=Scripted(["math", "7"]))) == {"kind": "math", "n": 7}
    assert card.prompt(topic="cats").startswith("Topic: cats\nKind: ⟨kind: one of 'math', 'poem'⟩\n⟨… the rest")
    assert (repr(card), card.__name__) == ("<template card>", "card")


def test_it_gives_what_the_function_gives(model: RandomModel) -> None:
    @lp.program
    def card(p: lp.Prompt, topic: str) -> dict[str, Any]:
        kind = p(f"Topic: {topic}\nKind: ", lp.select(["math", "poem"], name="kind"), "\n")
        if kind == "math":
            found = {"n": p("n = ", lp.gen(int, ge=0, le=999, name="n"), "\nend")}
        else:
            found = {"line": p("line: ", lp.gen(regex="[a-z ]+", name="line"), "\nend")}
        return {"kind": kind, **found}

    template, values = lp.Template(CARD), set()
    for i in range(12):
        options: Any = {"model": model, "decoder": lp.Sample(seed=i)}
        expected, run = card.run(f"cat {i}", **options), template.run(topic=f"cat {i}", **options)
        values.add(run.value["kind"])

        assert (expected.text, expected.value) == (run.text, run.value)
    assert values == {"math", "poem"}


def test_text_is_written_before_the_hole_that_follows_it() -> None:
    model = Scripted(["a", "b", "c"])
    lp.Template('1{{ gen("x") }}2{% for i in (3, 4) %}{{ i }}{% gen "y" %}{% endfor %}').run(model=model)

    assert model.prompts == ["1", "1a23", "1a23b4"]


def test_loops_and_branches_over_captures() -> None:
    class Order(BaseModel):
        items: list[str]
        urgent: bool

    source = """\
{{ gen("order", Order) }}
{% for item in order["items"] %}{{ loop.index }}. {{ item }}: {{ gen("price", int) }}
{% if price > 9 and not order.urgent %}{% break %}{% endif %}{% endfor %}{{ price + 1 }} {{ line is defined }}"""
    model = Scripted(['{"items":["tea","cake","ham"],"urgent":false}', "4", "12"])
    run = lp.Template(source).run(Order=Order, model=model)

    assert run.text.endswith("\n1. tea: 4\n2. cake: 12\n13 False")
    assert run.value == {"order": Order(items=["tea", "cake", "ham"], urgent=False), "price": [4, 12]}


def test_holes_are_values() -> None:
    """A variable may be a hole, and `set` keeps one until it is written."""
    source = (
        '{% set word = gen(regex="[a-z]+") %}{{ first }} {{ word }}-{{ word }} {{ gen("a") if short else gen("b") }}'
    )
    run = lp.Template(source).run(first=lp.gen(int, name="first"), short=True, model=Scripted(["1", "x", "y", "z"]))

    assert (run.text, run.value) == ("1 x-y z", {"first": 1, "a": "z"})


def test_quotes() -> None:
    quoted = lp.Template('{{ text }}\n{{ quote("proof", text, words=True) }}')(
        text="it is so", model=Scripted(["is so"])
    )

    assert (quoted["proof"].start, quoted["proof"].end) == (3, 8)


FOLLOW = [
    ("{{ gen('x') }}\nmore", "\nmore"),
    ("{% gen 'x' %} a{{ b }}", " a"),
    ("{% if b %}{{ gen('x') }}{% elif c %}{{ gen('y') }}{% else %}{{ gen('z') }}{% endif %}; a{{ b }}", "; a"),
    ("{% if b %}{{ gen('x') }},{% set c = 1 %}{% endif %} a{% if b %}{% endif %}", ", a"),
    ("{% for i in (1,) %}{{ gen('x') }}{% endfor %} a", ""),
    ("{% for i in (1,) %}{{ gen('x') }}; {% endfor %} a", "; "),
    ("{{ gen('x') }}{{ b }}", ""),
]


@pytest.mark.parametrize(("source", "follow"), FOLLOW)
def test_a_hole_knows_what_certainly_follows(source: str, follow: str) -> None:
    seen: list[str] = []

    class Watching:
        def __call__(self, hole: object, *after: str) -> str:
            if isinstance(hole, lp.Hole):
                seen.extend(after)
            return ""

    function: Any = lp.Template(source).function
    function(Watching(), b=True, c=True)

    assert seen == [follow]


def test_chats() -> None:
    source = """
{% system %}
  Be brief.
{% endsystem %}
{% for question in questions %}
{% user %}{{ question }} please{% enduser %}
{% assistant %}
Well: {{ gen("answer") }}
{% endassistant %}
{% endfor %}
{% tool "clock" %}12:00{% endtool %}
"""
    run = lp.Template(source).run(questions=["Why?", "How?"], model=Scripted(["so", "thus"]))

    assert run.messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why? please"},
        {"role": "assistant", "content": "Well: so"},
        {"role": "user", "content": "How? please"},
        {"role": "assistant", "content": "Well: thus"},
        {"role": "tool", "name": "clock", "content": "12:00"},
    )
    assert run.value == {"answer": ["so", "thus"]}


def test_a_template_writes_into_a_run_under_way() -> None:
    part = lp.Template(' {{ gen("x", int) }} ')

    @lp.program
    def outer(p: lp.Prompt) -> Any:
        p.user("count")
        with p.assistant():
            return part(p)["x"]

    assert (outer.run(model=Scripted(["3"])).messages[1]["content"], outer(model=Scripted(["3"]))) == (" 3 ", 3)


def test_roles_are_left_when_a_template_fails() -> None:
    part = lp.Template("{% user %}a {{ missing }}{% enduser %}")

    @lp.program
    def outer(p: lp.Prompt) -> None:
        with pytest.raises(lp.TemplateError, match="'missing' is undefined"):
            part(p)
        p.user("b")

    assert [m["content"] for m in outer.run(model=Scripted([])).messages] == ["a ", "b"]


REFUSED = [
    ('\n{% filter upper %}\n{{ gen("x") }}{% endfilter %}', 3, "a {% filter %} block: fill it before"),
    ('{{\ngen("x") | upper }}', 2, 'a filter\'s input: fill it first, {{ gen("x") }}'),
    ('{% macro f() %}{% select "x", [1] %}{% endmacro %}', 1, "a {% macro %}: put that part into a template"),
    ('{% macro f() %}{% endmacro %}{% call f() %}{{ gen("x") }}{% endcall %}', 1, "a {% call %} block"),
    ('{% set x %}{{ gen("y") }}{% endset %}', 1, "a {% set %} block"),
    ('\n\n{% if gen("x", bool) %}{% endif %}', 3, "a condition: fill it first"),
    ('{{ gen("x") == "y" }}', 1, "a comparison"),
    ('{{ gen("x") ~ "y" }}', 1, "a string joined by ~"),
    ('{{ gen("x").y }}', 1, "asks for an attribute"),
    ('{{ range(gen("x", int)) }}', 1, "a call's arguments"),
    ('{% filter upper %}{% user %}{% enduser %}{% endfilter %}', 1, "a chat role inside of"),
    ('{% for a in b recursive %}{{ gen("x") }}{% endfor %}', 1, "a recursive loop"),
    ('{% set x = 1 %}\n{{ gen("x") }}', 2, "the hole 'x' has the name of a variable"),
    ('{% for x in y %}{{ gen(name="x") }}{% endfor %}', 1, "the hole 'x' has the name of a variable"),
    ("\n{{ x", 2, "unexpected end of template"),
    ('{% gen "x", int=1, 2 %}', 1, "a positional argument comes after one by name"),
    ("\n{% user %}", 2, "Unexpected end of template"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "line", "message"), REFUSED)
def test_what_cannot_keep_its_order_is_refused_when_it_is_compiled(source: str, line: int, message: str) -> None:
    with pytest.raises(lp.TemplateError) as caught:
        lp.Template(source, name="card.j2")

    assert (caught.value.template, caught.value.line) == ("card.j2", line)
    assert str(caught.value).startswith(f"card.j2, line {line}: ")
    assert message in str(caught.value)


FAILING: list[tuple[str, dict[str, Any], type[Exception], int, str]] = [
    ("a\n{{ missing }}", {}, lp.TemplateError, 2, "'missing' is undefined"),
    ("{% include 'no' %}", {}, lp.TemplateError, 1, "there is no template 'no'"),
    ("\n{{ x.__class__ }}", {"x": 1}, lp.TemplateError, 2, "unsafe"),
    ("{{ x.append(1) }}", {"x": []}, lp.TemplateError, 1, "is unsafe"),
    ("a\n\n{{ 1 / x }}", {"x": 0}, ZeroDivisionError, 3, "division"),
    ("a\n{{ gen(int) }}", {}, lp.HoleError, 2, "the first argument of gen is the hole's name, not <class"),
    ("a\n{{ gen('x', int) }}", {}, lp.ScriptError, 2, "is not a value of the hole"),
    ("a\n{{ gen('x') }}", {"x": 1}, lp.ProgramError, 2, "the hole 'x' has the name of a variable"),
    ("a\n{{ x }}", {"x": b"bytes"}, lp.PartError, 2, "decode it first"),
    ("{% filter upper %}\n{{ x }}{% endfilter %}", {"x": lp.gen()}, lp.TemplateError, 1, "is collected before"),
    ("a {% user %}b{% enduser %}", {}, lp.RoleError, 1, "comes after plain text"),
    ("{% for i in (1, 2) %}{% user %}{% break %}{% enduser %}{% endfor %}", {}, lp.ProgramError, 0, "was left by"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "variables", "error", "line", "message"), FAILING)
def test_errors_carry_the_line(
    source: str, variables: dict[str, Any], error: type[Exception], line: int, message: str
) -> None:
    with pytest.raises(error) as caught:
        lp.Template(source, name="card.j2")(variables, model=Scripted(["x"]))

    assert message in str(caught.value)
    if isinstance(caught.value, lp.TemplateError):
        assert (caught.value.template, caught.value.line) == ("card.j2", line)
    else:
        assert f"in the template 'card.j2', line {line}" == caught.value.__notes__[-1] or not line


def test_tracebacks_lead_through_the_template(tmp_path: Path) -> None:
    path = tmp_path / "card.j2"
    path.write_text("one\n{% if true %}\n  {{ gen('n', int) }}\n{% endif %}")
    with pytest.raises(lp.ScriptError) as caught:
        lp.Template.from_file(path)(model=Scripted(["x"]))

    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [(str(path), 3, "{{ gen('n', int) }}")] == [
        (f.filename, f.lineno, f.line) for f in frames if "card" in f.filename
    ]


PARTS = {
    "base": "<{% block body %}base {{ gen('b') }}{% endblock %}>",
    "child": "{% extends 'base' %}{% block body %}{{ super() }} child {{ gen('c') }}{% endblock %}",
    "part": "[{{ gen('mood') }}]",
    "whole": "{% include 'part' %} {% if mood == 'calm' %}yes{% endif %}",
    "alone": "{% include 'child' without context %};{% include 'child' without context %}",
    "macros": "{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}",
    "uses": "{% from 'macros' import twice %}{{ gen('a') }} {{ twice(a) }}",
    "filtered": "\n{% filter upper %}{% include 'part' %}{% endfilter %}",
    "supered": "{% extends 'base' %}{% block body %}{{ super() | upper }}{% endblock %}",
    "broken": "a\n{% include 'bad' %}",
    "bad": "\n\n{{ gen('x') | upper }}",
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("child", "<base 1 child 2>"),
        ("whole", "[calm] yes"),
        ("uses", "1 11"),
        ("alone", "<base 1 child 2>;<base 3 child 4>"),
    ],
)
def test_templates_that_use_others(name: str, text: str) -> None:
    answers = {"whole": ["calm"]}.get(name, ["1", "2", "3", "4"])

    assert lp.Template(PARTS[name], loader=PARTS).run(model=Scripted(answers)).text == text


@pytest.mark.parametrize(
    ("name", "template", "line"),
    [
        ("filtered", "filtered", 2),
        ("supered", "supered", 1),
        ("broken", "bad", 3),
    ],
)
def test_holes_of_other_templates_keep_their_order_too(name: str, template: str, line: int) -> None:
    with pytest.raises(lp.TemplateError, match=r"collected before|inside of a filter") as caught:
        lp.Template(PARTS[name], name=name, loader=PARTS)(model=Scripted(["x"]))

    assert (template, line) == (caught.value.template, caught.value.line)


def test_a_folder_cannot_be_left(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside.txt"
    (root / "sub").mkdir(parents=True)
    outside.write_text("secret")
    (root / "link.txt").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path)
    (root / "sub" / "in.txt").write_text("inside")
    (root / "inner.txt").symlink_to(root / "sub" / "in.txt")
    template = lp.Template("{% include name %}", loader=root)

    for name in ("sub/in.txt", "inner.txt", "sub/../sub/in.txt"):
        assert template.run(name=name, model=Scripted([])).text == "inside"
    for name in ("../outside.txt", "link.txt", "folder/outside.txt", str(outside), "sub", "", "sub/../../outside.txt"):
        with pytest.raises(lp.TemplateError, match="there is no template"):
            template(name=name, model=Scripted([]))
    with pytest.raises(lp.ProgramError, match="does not exist"):
        lp.Template("", loader=tmp_path / "none")


def test_whitespace_is_jinjas() -> None:
    source = "{% if true %}\n  {% gen 'x' -%}  \n  b{% endif %}\n"

    assert lp.Template(source).run(model=Scripted(["a"])).text == "\n  ab"
    options: Any = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
    assert lp.Template(source + "\n", **options).run(model=Scripted(["a"])).text == "ab\n"


def test_samples_and_options(model: RandomModel) -> None:
    template = lp.Template('{{ gen("x", int, ge=0, le=99) }}', model=model, decoder=lp.Sample(4.0), seed=3)
    runs = template.samples(4)

    assert len({run.value["x"] for run in runs}) > 1
    assert template() == template()
    with pytest.raises(lp.LmprogError):
        lp.Template("", decoder="greedy")  # type: ignore[arg-type]
    with pytest.raises(lp.ProgramError, match="by name or as one mapping, not str"):
        template("cats")


def test_a_template_is_previewed(model: RandomModel) -> None:
    source = """\
{% for day in days %}{{ day }}: {{ select("mood", ["calm", "sad", "mad"]) }}
{% if mood == "mad" %}why: {{ gen("why", regex="[a-z]{1,5}") }}
{% endif %}{% endfor %}last: {{ mood }} {{ gen("n", int, ge=0, le=9) }}"""
    template = lp.Template(source, model=model)
    for seed in range(8):
        options: Any = {"days": ["Mo", "Tu"], "decoder": lp.Sample(3.0, seed=seed)}
        run, plain = template.run(**options), template.run(**options, preview=False)

        assert (plain.text, plain.value) == (run.text, run.value)
        assert len(plain.captures.all()) == plain.usage.requests
    assert run.usage.requests < plain.usage.requests
