"""Programs and jobs on real servers; see real.py for what has to be installed where.

They are independent readers of what grammars are written down as: vLLM's xgrammar, and llama.cpp's own parser.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

import lmprog as lp
from lmprog import gen, program, quote, select
from lmprog.grammars import choices, from_type, json_schema, regex

from .real import COMMANDS, connected, running

pytestmark = pytest.mark.slow
ENFORCING = ("vllm", "llama.cpp")
SHOTS = "A cat lives in a house and has 4 legs.\nA whale lives in the sea and has 0 legs.\n"


class Item(BaseModel):
    name: Annotated[str, Field(max_length=20)]
    count: Annotated[int, Field(ge=0, le=99)]
    size: Literal["small", "large"]


@program
def animal(p: lp.Prompt, name: str) -> Any:
    home = p(SHOTS, f"A {name} lives in ", select(["a house", "the sea", "the air", "a forest"], name="home"))
    return home, p(" and has ", gen(int, ge=0, le=8, name="legs"), " legs.\n")


HOLES = {
    "int": gen(int, ge=-7, le=1234),
    "float": gen(grammar=from_type(float) & regex(".{1,8}")),
    "words": gen(regex="[A-Z][a-z]{2,9}( [a-z]{1,9}){0,3}"),
    "beyond ASCII": gen(regex="[a-zé🙂]{3,8}"),
    "escapes": gen(regex=r'["\\\]\-^\[]{2,6}'),
    "options": select(["cat", "category", "dog", 'a "b" \\c']),
    "where": gen(where="len(x) < 12 and 'a' in x and '\\n' not in x"),
    "not": gen(grammar=regex("[a-d]{1,6}") & ~regex(".*ab.*")),
    "quote": quote("To be, or not to be, that is the question", min_chars=4),
    "model": gen(Item),
    "unique": gen(json={"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 2}),
    "pattern": gen(json={"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"}),
    "recursive": gen(grammar=json_schema({"$ref": "#/$defs/t", "$defs": {"t": {"anyOf": [
        {"enum": [1]}, {"type": "array", "items": {"$ref": "#/$defs/t"}, "maxItems": 2}]}}}, whitespace="compact")),
    "many options": gen(grammar=choices([f"item {n}" for n in range(300)])),
}  # fmt: skip


@pytest.fixture(scope="module", params=COMMANDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[lp.RemoteModel]:
    kind = request.param
    with running(kind, tmp_path_factory.mktemp("server")) as url, connected(kind, url) as model:
        assert kind == model.capabilities.server
        yield model


def enforces(server: lp.RemoteModel) -> bool:
    return server.capabilities.server in ENFORCING


def test_what_it_can(server: lp.RemoteModel) -> None:
    can = server.capabilities

    assert enforces(server) == can.grammar
    if can.server == "vllm":
        assert can.version
    if enforces(server):
        assert can.context == 4096


def test_a_program(server: lp.RemoteModel) -> None:
    for name in ("spider", "shark", "bee"):
        try:
            run = animal.run(name, model=server)
        except lp.UnsupportedConstraint as error:
            if enforces(server) or "gave no valid value" not in str(error):
                raise
            continue
        home, legs = run.value

        assert f"{SHOTS}A {name} lives in {home} and has {legs} legs.\n" == run.text
        assert 0 <= legs <= 8
        if enforces(server):
            assert run.usage.requests == 1


@pytest.mark.parametrize("name", HOLES)
def test_each_kind_of_language(server: lp.RemoteModel, name: str) -> None:
    if not enforces(server):
        pytest.skip("an unconstrained small model seldom hits these")
    hole = HOLES[name]
    fill = program(lambda p: p("Here it is: ", hole, "\n"))
    for seed in range(3):
        run = fill.run(model=server, decoder=lp.Sample(temperature=1.5, seed=seed))

        assert hole.matches(run.captures[0].text)
        assert run.usage.requests == 1  # the server took the constraint, and kept to it
        assert server._asker._can == {}


def test_streams(server: lp.RemoteModel) -> None:
    if not enforces(server):
        pytest.skip("an unconstrained small model seldom names an option")
    stream = animal.stream("spider", model=server)
    events = list(stream)

    assert stream.run is not None
    assert stream.run.captures["legs"].text == "".join(
        [e.text for e in events if isinstance(e, lp.Text) and e.hole == "legs"]
    )


def test_free_text(server: lp.RemoteModel) -> None:
    run = program(lambda p: p("Once upon a", gen(max_tokens=6, name="x"))).run(model=server)

    assert run.captures["x"].text
    assert run.usage.sampled_tokens <= 6


def test_a_job(server: lp.RemoteModel) -> None:
    if not enforces(server):
        pytest.skip("a small base model does not write JSON by itself")
    examples = [("Could I have three large juices?", {"name": "juice", "count": 3, "size": "large"})]
    docs = ["Two small teas, please.", "I would like one large coffee.", "Four small cakes!"] * 2
    done = lp.extract(server, docs, Item, examples=examples)

    assert [None] * 6 == [record.error for record in done.records]
    assert isinstance(done.records[0].data, Item)
    assert done.records[0].data == done.records[3].data
    assert done.summary.output_tokens > 60


def test_chats(server: lp.RemoteModel) -> None:
    @program
    def chat(p: lp.Prompt) -> Any:
        p.user("Name an animal.")
        with p.assistant():
            return p(gen(regex="[a-z]{3,9}", name="x"))

    if server.capabilities.server == "vllm":
        assert gen(regex="[a-z]{3,9}").matches(chat(model=server))
    if enforces(server):
        with pytest.raises(lp.BackendError) if server.capabilities.server == "vllm" else nullcontext() as refused:
            program(lambda p: p(gen(json={"enum": [1, 2]})))(model=server)
        assert refused is None or "begin with some" in "".join(refused.value.__notes__)
        item = json.dumps(program(lambda p: p("One or two? ", gen(json={"enum": [1, 2]})))(model=server))
        assert item in ("1", "2")


def test_scores_are_those_of_the_model_here(server: lp.RemoteModel) -> None:
    if not server.capabilities.prompt_logprobs:
        pytest.skip("it does not tell")
    score = program(lambda p: (p(SHOTS, "A spider lives in"), p.score([" a house", " the sea", " a forest"]))[1])
    there = score(model=server)
    with lp.load() as local:
        here = score(model=local)

    for option in here.options:
        assert here.probs[option] == pytest.approx(there.probs[option], abs=0.01)


def test_too_small_a_budget(server: lp.RemoteModel, tmp_path: Path) -> None:
    if not enforces(server):
        pytest.skip("it ends nothing by itself")
    with pytest.raises(lp.BudgetError, match="was cut off at max_tokens=3"):
        program(lambda p: p("Go: ", gen(regex="[a-z]{90}", max_tokens=3)))(model=server)
