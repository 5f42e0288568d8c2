"""Programs on servers: the same values as their languages allow, few requests, never weaker than here."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel

import lmprog as lp
from lmprog import gen, program, select
from lmprog.grammars import from_type
from lmprog.grammars.repair import repair
from lmprog.testing import RandomModel, TableModel

from ..keeping import Keeping
from .server import Server, serving

ENFORCING = ["vllm", "sglang", "llama.cpp"]


class Item(BaseModel):
    name: str
    count: int
    size: Literal["small", "large"]


@program
def card(p: lp.Prompt, topic: str) -> Any:
    kind = p("Topic: ", topic, "\nKind: ", select(["math", "poem", "poetry"], name="kind"), "\n")
    if kind == "math":
        n = p("n = ", gen(int, ge=0, le=999, name="n"), "\n")
        p(f"So n = {n}.\n")
    else:
        n = p(f"{kind.upper()}: ", gen(regex="[a-z ]{1,20}", name="line"), "\n")
    return kind, n, p("Name: ", gen(name="name"), "\nItem: ", gen(Item, name="item"), "\n")


@pytest.fixture
def vllm(random_model: RandomModel) -> Iterator[tuple[Server, lp.RemoteModel]]:
    with serving(random_model) as server, lp.connect(server.url) as model:
        yield server, model


@pytest.mark.parametrize("kind", ENFORCING)
def test_a_segment_is_one_request(random_model: RandomModel, kind: str) -> None:
    with serving(random_model, kind) as server, lp.connect(server.url) as model:
        for seed in range(5):
            before = len(server.bodies)
            run = card.run("cats", model=model, decoder=lp.Sample(seed=seed))

            assert 1 <= run.usage.requests == len(server.bodies) - before <= 3
            checked(run)


def checked(run: lp.Run[Any]) -> None:
    kind = run.captures["kind"].value
    body = run.captures["n" if kind == "math" else "line"]
    item = run.captures["item"]
    tail = f"So n = {body.text}.\n" if kind == "math" else ""
    label = "n = " if kind == "math" else f"{kind.upper()}: "
    expected = f"Topic: cats\nKind: {kind}\n{label}{body.text}\n{tail}Name: {run.captures['name'].text}\n"

    assert f"{expected}Item: {item.text}\n" == run.text
    for capture in run.captures.all():
        assert capture.text == run.text[slice(*capture.span)]
    assert gen(Item).matches(item.text)
    assert isinstance(item.value, Item)
    assert "\n" not in run.captures["name"].text
    if kind == "math":
        assert 0 <= body.value <= 999
    else:
        assert gen(regex="[a-z ]{1,20}").matches(body.text)


def test_hole_by_hole_gives_valid_values_too(vllm: tuple[Server, lp.RemoteModel]) -> None:
    _, model = vllm
    run = card.run("cats", model=model, preview=False, decoder=lp.Sample(seed=1))

    checked(run)
    assert run.usage.requests == 4


def test_async_and_map_and_streams(vllm: tuple[Server, lp.RemoteModel]) -> None:
    _, model = vllm
    values = card.map(["cats"] * 4, model=model, decoder=lp.Sample(seed=1))
    stream = card.stream("cats", model=model, decoder=lp.Sample(seed=1))
    events = list(stream)

    assert len(set(map(repr, values))) > 1  # every row has its own seed
    assert stream.run is not None
    checked(stream.run)
    texts = [e.text for e in events if isinstance(e, lp.Text) and e.hole == "item"]
    assert len(texts) > 5
    assert "".join(texts) == stream.run.captures["item"].text


def test_the_grammar_is_in_the_servers_own_words(random_model: RandomModel) -> None:
    words = {"vllm": ("structured_outputs", "grammar"), "sglang": ("ebnf",), "llama.cpp": ("grammar",)}
    for kind, path in words.items():
        with serving(random_model, kind) as server, lp.connect(server.url) as model:
            program(lambda p: p("x:", gen(regex="[ab]{3}")))(model=model)
            body: Any = server.bodies[-1]
            for name in path:
                body = body[name]

            assert body == "root ::= [a-b]{3}\n"
            assert server.bodies[-1]["temperature"] == 0
            assert server.bodies[-1]["max_tokens"] == 512


def test_old_vllm_has_other_words(random_model: RandomModel) -> None:
    from dataclasses import replace

    from lmprog.runtime.remote.dialects import Enforced, sent
    from lmprog.runtime.remote.servers import KNOWN
    from lmprog.runtime.remote.texts import Prompt
    from lmprog.runtime.sampling import Sampling

    old = replace(KNOWN["vllm"], version="0.9.2")
    body = sent("m", old, Prompt("x"), Enforced(regex="a"), 1, Sampling(), (), False).body

    assert body["guided_regex"] == "a"
    assert "structured_outputs" not in body


def test_blanks_go_with_the_value(vllm: tuple[Server, lp.RemoteModel]) -> None:
    """Tokenizers spell the blank together with the word behind it."""
    server, model = vllm
    run = program(lambda p: p("Kind: ", select(["a", "b"])))
    assert run(model=model) in ("a", "b")
    assert server.bodies[-1]["prompt"] == "Kind:"
    run(model=model, preview=False, seed=1)
    program(lambda p: p("Kind: ", gen(regex="[ab]", boundary="token")))(model=model)
    assert server.bodies[-1]["prompt"] == "Kind: "


def test_too_small_a_budget(vllm: tuple[Server, lp.RemoteModel]) -> None:
    _, model = vllm
    with pytest.raises(lp.BudgetError, match="was cut off at max_tokens=2 before a value was complete"):
        program(lambda p: p("x:", gen(regex="[a-z]{30}", max_tokens=2)))(model=model)
    with pytest.raises(lp.BudgetError, match="no value fits in max_tokens=1: the shortest has 300 bytes"):
        program(lambda p: p("x:", gen(regex="[a-z]{300}", max_tokens=1)))(model=model)


def test_free_text_ends_at_stops_and_budgets(vllm: tuple[Server, lp.RemoteModel]) -> None:
    server, model = vllm
    run = program(lambda p: p("x:", gen(stop=["e", "he"], name="a"), "!", gen(max_tokens=5, name="b"))).run(model=model)

    assert "e" not in run.captures["a"].text
    assert server.bodies[-2]["stop"] == ["e"]
    assert server.bodies[-1]["max_tokens"] == 5
    assert run.captures["b"].finish in ("stop", "length")


def test_a_blank_before_free_text_that_the_server_does_not_want_to_constrain(random_model: RandomModel) -> None:
    with serving(random_model) as server, lp.connect(server.url) as model:
        server.faults.append(400)
        run = program(lambda p: p("x: ", gen(max_tokens=3, name="a"))).run(model=model)

        assert run.captures["a"].text
        assert [body["prompt"] for body in server.bodies[1:]] == ["x:", "x: "]


def test_stops_and_languages(vllm: tuple[Server, lp.RemoteModel]) -> None:
    _, model = vllm
    value = program(lambda p: p("x:", gen(regex="[a-d]{1,9}", stop="d")))(model=model, decoder=lp.Sample(seed=3))

    assert set(value) <= set("abc")
    assert value


# -- servers that enforce nothing, or other things


@pytest.fixture(scope="module")
def digits() -> Iterator[TableModel]:
    """Mostly digits, some letters, sometimes the end of a line."""
    model = TableModel(["1", "2", "x", "\n", " ", *"n=:"], lambda ids: [0.3, 0.2, 0.15, 0.3, 0.04, 0, 0, 0, 0.01])
    yield model
    model.close()


def test_what_a_server_cannot_enforce_is_checked_and_asked_for_again(digits: TableModel) -> None:
    number = program(lambda p: p("n =", gen(regex=" ?[12]{2,3}", name="n"), "\n"))
    with serving(digits, "transformers") as server, lp.connect(server.url, tries=40) as model:
        for seed in range(5):
            before = len(server.bodies)
            run = number.run(model=model, decoder=lp.Sample(seed=seed))

            assert gen(regex=" ?[12]{2,3}").matches(run.captures["n"].text)
            assert run.usage.requests == len(server.bodies) - before
        assert len(server.bodies) > 6  # not all were valid at once
        assert len({body["seed"] for body in server.bodies}) == len(server.bodies)


def test_or_refused(digits: TableModel) -> None:
    number = program(lambda p: p("n =", gen(regex="[12]{9}x", name="n")))
    with serving(digits, "transformers") as server, lp.connect(server.url, tries=0) as model:
        with pytest.raises(lp.UnsupportedConstraint, match=r"\(transformers\) cannot enforce .* tries=0"):
            number(model=model)
        assert server.bodies == []
    with (
        serving(digits, "transformers") as server,
        lp.connect(server.url, tries=2) as model,
        pytest.raises(lp.UnsupportedConstraint, match="gave no valid value in 3 tries"),
    ):
        number(model=model, decoder=lp.Sample(seed=0))


def test_openai_enforces_schemas_only(random_model: RandomModel) -> None:
    with serving(random_model, "openai") as server, lp.connect(server.url) as model:
        run = program(lambda p: p("An item:", gen(Item, name="item"))).run(model=model, decoder=lp.Sample(seed=2))
        sent = server.bodies[-1]

        assert isinstance(run.value, Item)
        assert gen(Item).matches(run.captures["item"].text)  # compact, whatever blanks the server wrote
        assert server.paths[-1] == "/v1/chat/completions"
        assert sent["messages"] == [{"role": "user", "content": "An item:"}]
        assert sent["response_format"]["json_schema"]["strict"] is True

        kind = program(lambda p: p("Kind:", select(["math", "poem"])))(model=model)
        schema = server.bodies[-1]["response_format"]["json_schema"]["schema"]

        assert kind in ("math", "poem")
        assert schema["properties"]["answer"] == {"enum": ["math", "poem"]}
        assert program(lambda p: p("n:", gen(int, ge=3, le=5)))(model=model) in (3, 4, 5)


def test_a_constraint_that_is_refused_is_checked_here(digits: TableModel) -> None:
    number = program(lambda p: p("n:", gen(int, ge=1, le=22), "\n"))
    with serving(digits, "openai") as server, lp.connect(server.url, tries=40) as model:
        server.faults.append(400)

        assert number(model=model) in (1, 2, 11, 12, 21, 22)
        assert "response_format" in server.bodies[0]
        assert "response_format" not in server.bodies[1]
        number(model=model)
        assert "response_format" not in server.bodies[-1]  # it was learnt
    with serving(digits, "openai") as server, lp.connect(server.url, tries=0) as model:
        server.faults.append(400)
        with pytest.raises(lp.UnsupportedConstraint, match="tries=0"):
            number(model=model)


def test_monitors_are_asked_at_the_end(vllm: tuple[Server, lp.RemoteModel]) -> None:
    even = Keeping(lambda text: len(text) % 2 == 0)
    _, model = vllm
    for seed in range(4):
        value = program(lambda p: p("x:", gen(regex="[a-z]{1,6}", monitor=even), "\n"))(
            model=model, decoder=lp.Sample(seed=seed)
        )
        assert len(value) % 2 == 0


def test_attempts_and_forks(vllm: tuple[Server, lp.RemoteModel]) -> None:
    _, model = vllm

    @program(model=model)
    def tries(p: lp.Prompt) -> Any:
        for attempt in p.attempts(8):
            with attempt as a:
                n = p("\nn = ", gen(int, ge=0, le=9, name="n"), ";")
                a.check(n % 2 == 0, "odd")
        branches = p.fork(lambda b, w: b(w, gen(regex=" [a-z]{2}")), ["x:", "y:"])
        p.append(branches, separator="\n")
        return n

    run = tries.run()
    assert run.value % 2 == 0
    assert run.text.count(": ") == 2


# -- chats


def test_chats_go_to_the_servers_template(random_model: RandomModel) -> None:
    @program
    def chat(p: lp.Prompt) -> Any:
        p.system("Be brief.")
        p.user("Name an animal.")
        with p.assistant():
            first = p(gen(regex="[a-z]{3}", name="first"))
        p.user("Another?")
        with p.assistant():
            return first, p("It is a ", gen(regex="[a-z]{4}", name="second"), ".")

    with serving(random_model) as server, lp.connect(server.url) as model:
        run = chat.run(model=model)
        first, second = run.value
        last = server.bodies[-1]

        assert set(server.paths[1:]) == {"/v1/chat/completions"}
        assert last["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Name an animal."},
            {"role": "assistant", "content": first},
            {"role": "user", "content": "Another?"},
            {"role": "assistant", "content": "It is a"},
        ]
        assert last["continue_final_message"] is True
        assert run.messages[-1]["content"] == f"It is a {second}."
    with (
        serving(random_model, "llama.cpp") as server,
        lp.connect(server.url) as model,
        pytest.raises(lp.RequestError, match="does not continue a message that the assistant has begun"),
    ):
        chat(model=model)


def test_random_programs_are_valid(vllm: tuple[Server, lp.RemoteModel]) -> None:
    """Whatever the program: values are in their languages, and spans are right."""
    _, model = vllm
    holes = [
        lambda: gen(int, ge=-5, le=300),
        lambda: select(["a", "ab", "b c"]),
        lambda: gen(bool),
        lambda: gen(regex="(x|yz){1,3}"),
        lambda: gen(max_tokens=4),
        lambda: gen(),
        lambda: gen(json={"type": "array", "items": {"type": "integer"}, "maxItems": 2}),
        lambda: gen(where="len(x) < 5 and 'q' not in x"),
    ]
    for seed in range(15):
        rng = random.Random(seed)
        made = [rng.choice(holes)() for _ in range(4)]
        marks = [rng.choice(["\n", "; ", " end\n", "|"]) for _ in made]

        def body(p: lp.Prompt, made: Any = made, marks: Any = marks) -> list[Any]:
            return [p(f"h{n}: ", hole, mark) for n, (hole, mark) in enumerate(zip(made, marks, strict=True))]

        run = program(body).run(model=model, decoder=lp.Sample(seed=seed))
        text = "".join(
            [f"h{n}: {c.text}{mark}" for n, (c, mark) in enumerate(zip(run.captures.all(), marks, strict=True))]
        )

        assert text == run.text
        for hole, capture in zip(made, run.captures.all(), strict=True):
            assert hole.matches(capture.text), (hole, capture)
            assert run.text[slice(*capture.span)] == capture.text


def test_a_server_drafts_and_a_model_here_refines(
    vllm: tuple[Server, lp.RemoteModel], random_model: RandomModel
) -> None:
    server, remote = vllm
    drafting = gen(max_tokens=8, decoder=lp.Sample(seed=2))
    refined = lp.constrain(remote, Item, prompt="An item:", refiner=random_model, near=2.0, drafting=drafting, seed=1)

    assert "structured_outputs" not in server.bodies[-1]
    assert len(refined.draft) > 0
    assert refined.edits > 0
    assert not refined.valid
    assert gen(Item).matches(refined.text)
    assert isinstance(refined.value, Item)


def test_a_server_chooses_among_the_least_edits(vllm: tuple[Server, lp.RemoteModel]) -> None:
    server, remote = vllm
    draft = '{"name": "tea", "count": "3", "size": "medium"}'
    refined = lp.constrain(draft, Item, refiner=remote, near=math.inf)

    assert "structured_outputs" in server.bodies[-1]
    assert 1 == len([body for body in server.bodies if draft in body["prompt"]])
    assert refined.edits == repair(from_type(Item), refined.sketch).edits
    assert gen(Item).matches(refined.text)
    assert "tea" == refined.value.name
