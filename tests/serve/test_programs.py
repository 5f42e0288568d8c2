"""Programs as endpoints."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date
from typing import Any, Literal

import httpx
import pytest
from pydantic import BaseModel

import lmprog as lp
from lmprog import gen, program, select
from lmprog.serve.errors import ServeError
from lmprog.serve.programs import Endpoint, endpoints_of
from lmprog.serve.settings import Settings
from lmprog.testing import RandomModel

from .serving import Serving, serving


class Person(BaseModel):
    name: str
    born: date


@program
def card(p: Any, topic: str, most: int = 3) -> dict[str, Any]:
    """A card about a topic.

    Args:
        topic: what it is about
    """
    kind = p("Topic: ", topic, "\nKind: ", select(["math", "poem"], name="kind"))
    return {"kind": kind, "number": p("\nNumber: ", gen(int, ge=0, le=most, name="number"))}


@program
def greet(p: Any, person: Person, tone: Literal["warm", "cold"]) -> str:
    p(f"{person.name}, born in {person.born.year}, {tone}: ")
    return str(p(gen(regex="[a-z]{3}")))


@program
def failing(p: Any, how: str) -> None:
    p("x", gen(regex="[a-z]{3}"))
    if how == "check":
        for attempt in p.attempts(2):
            with attempt:
                attempt.check(False, "never good")
    raise KeyError(how)


@program
def endless(p: Any) -> None:
    while True:
        p("x", gen(regex="[a-z]{50}"))


page = lp.Template("Topic: {{ topic }}\nKind: {{ select('kind', ['math', 'poem']) }}\n", name="page")
PROGRAMS = {found.name: found for found in map(Endpoint, [card, greet, failing, endless, page])}


@pytest.fixture(scope="module")
def programs() -> Iterator[Serving]:
    with RandomModel(0) as model, serving(model, Settings(timeout=20), PROGRAMS) as live:
        yield live
        live.check()


def test_a_program_answers_as_it_does_in_python(programs: Serving) -> None:
    answer = programs.post("/programs/card?seed=3", {"topic": "cats"}).json()
    run = card.run("cats", model=programs.model, seed=3)

    assert (run.value, run.text) == (answer["value"], answer["text"])
    assert ["kind", "number"] == [capture["name"] for capture in answer["captures"]]
    for capture in answer["captures"]:
        begin, end = capture["span"]
        assert capture["text"] == run.text[begin:end]
    assert run.usage.prompt_tokens == answer["usage"]["prompt_tokens"]


def test_values_of_types(programs: Serving) -> None:
    person = {"name": "Ada", "born": "1815-12-10"}
    answer = programs.post("/programs/greet", {"person": person, "tone": "warm"}).json()

    assert answer["text"].startswith("Ada, born in 1815, warm: ")
    assert 3 == len(answer["value"])


def test_templates_are_programs(programs: Serving) -> None:
    answer = programs.post("/programs/page", {"topic": "cats"}).json()

    assert answer["value"]["kind"] in ("math", "poem")
    assert answer["text"].startswith("Topic: cats\nKind: ")


def test_the_list_has_schemas(programs: Serving) -> None:
    found = {entry["name"]: entry for entry in httpx.get(f"{programs.url}/programs").json()["data"]}

    assert PROGRAMS.keys() == found.keys()
    assert "A card about a topic." == found["card"]["description"]
    assert ["topic"] == found["card"]["parameters"]["required"]
    assert ["warm", "cold"] == found["greet"]["parameters"]["properties"]["tone"]["enum"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("card", {}, "topic"),
        ("card", {"topic": 5}, "topic"),
        ("card", {"topic": "x", "most": "3"}, "most"),
        ("card", {"topic": "x", "model": "y"}, "model"),
        ("card", [1], None),
        ("card?stream=maybe", {"topic": "x"}, "stream"),
        ("card?seed=-1", {"topic": "x"}, "seed"),
        ("card?temperature=1", {"topic": "x"}, "temperature"),
        ("greet", {"person": {"name": "Ada", "born": "yesterday"}, "tone": "warm"}, "person.born"),
        ("greet", {"person": {"name": "Ada", "born": "1815-12-10"}, "tone": "loud"}, "tone"),
    ],
)
def test_arguments_that_cannot_be(programs: Serving, path: str, body: Any, param: str | None) -> None:
    answer = programs.post(f"/programs/{path}", body)

    assert (400, param) == (answer.status_code, answer.json()["error"]["param"])


def events(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert "[DONE]" == lines[-1]
    return [json.loads(line) for line in lines[:-1]]


def test_events_build_up_the_text(programs: Serving) -> None:
    answer = programs.post("/programs/card?stream=true&seed=3", {"topic": "cats"})
    text = ""
    for event in events(answer.text):
        if event["event"] != "done":
            text = text[: event["span"][0]] + event["text"]
    whole = programs.post("/programs/card?seed=3", {"topic": "cats"}).json()

    assert "text/event-stream; charset=utf-8" == answer.headers["content-type"]
    assert whole["text"] == text
    assert (whole["value"], whole["captures"]) == (event["value"], event["captures"])


def test_programs_that_fail(programs: Serving) -> None:
    checked = programs.post("/programs/failing", {"how": "check"})
    streamed = programs.post("/programs/failing?stream=true", {"how": "check"}).text

    assert (422, "program_failed") == (checked.status_code, checked.json()["error"]["code"])
    assert "never good" in checked.json()["error"]["message"]
    assert "never good" in streamed


def test_a_fault_of_a_program_is_not_told_to_clients(programs: Serving) -> None:
    answer = programs.post("/programs/failing", {"how": "secret"})
    streamed = programs.post("/programs/failing?stream=true", {"how": "secret"}).text

    assert (500, "internal_error") == (answer.status_code, answer.json()["error"]["code"])
    assert "secret" not in answer.text + streamed
    assert "internal_error" in streamed
    programs.check()


@pytest.mark.parametrize("query", ["", "?stream=true"])
def test_a_run_that_never_ends_is_cancelled(query: str) -> None:
    with RandomModel(0) as model, serving(model, Settings(timeout=0.5), PROGRAMS) as live:
        answer = live.post(f"/programs/endless{query}", {})

        assert "timeout" in answer.text
        live.check()


def test_a_client_that_goes_away_ends_the_run(programs: Serving) -> None:
    with httpx.stream("POST", f"{programs.url}/programs/endless?stream=true", json={}, timeout=60) as answer:
        assert next(answer.iter_lines()).startswith("data: {")
    programs.check()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{programs.url}/programs/endless", json={}, timeout=0.5)
    programs.check()


def test_runs_of_one_client_are_one_group(programs: Serving) -> None:
    from lmprog.models import Canceller, grouped

    with grouped("ada"):
        assert "ada" == Canceller()._group
    assert threading.current_thread() is not None
    assert Canceller()._group != "ada"


CASCADES = """
import lmprog as lp
from lmprog import program, select
from lmprog.testing import RandomModel

@program
def kind(p, text: str) -> str:
    \"""What kind of text it is.\"""
    return p(text, " ", select(["good", "bad", "odd"], name="kind"))

small, big = RandomModel(11), RandomModel(12)
named = lp.cascade([small, big], program=kind, accept=1.0, prices=[1, lambda usage: 50])
free = lp.cascade([program(model=small)(kind.function), kind], accept=1.0)
"""


def test_cascades(tmp_path: Any) -> None:
    """Steps keep their models; those that have none run on the server's, which may itself be a step of a cascade."""
    file = tmp_path / "cascades.py"
    file.write_text(CASCADES)
    endpoints = endpoints_of([f"{file}:named", f"{file}:free"])
    named: Any = endpoints["named"].program
    kind, texts = named.steps[0].program, [str(n) for n in range(6)]
    with RandomModel(12) as big:
        with RandomModel(13) as own, serving(own, endpoints=endpoints) as live:
            for name, model in (("named", big), ("free", own)):
                answers = [live.post(f"/programs/{name}", {"text": text}).json() for text in texts]
                assert kind.map(texts, model=model) == [answer["value"] for answer in answers]
            used = answers[0]["usage"]
            assert "kind #2" == answers[0]["answered_by"]
            assert used["prompt_tokens"] + used["sampled_tokens"] + used["forced_tokens"] == answers[0]["cost"]
            assert "text: Input should be a valid string" in live.post("/programs/named", {"text": 3}).text
            assert "a cascade has no stream" in live.post("/programs/named?stream=true", {"text": "x"}).text
            listed = httpx.get(f"{live.url}/programs").json()["data"]
            assert ["What kind of text it is."] * 2 == [entry["description"] for entry in listed]

            remote = lp.load(f"{live.url}/v1")
            cascade = lp.cascade([remote, big], program=kind, accept=lambda run: run.value == "good")
            for text, run in zip(texts, [cascade.run(text) for text in texts], strict=True):
                first = kind(text, model=remote)
                assert (first if first == "good" else kind(text, model=big)) == run.value
        run = cascade.run("gone")
        remote.close()
        assert 1 == run.step
        assert "BackendUnreachable" in str(run.tried[0].error)


def test_what_is_no_program(tmp_path: Any) -> None:
    file = tmp_path / "some.py"
    file.write_text("from lmprog import program\nx = 5\n@program\ndef f(p, a: 'Nothing'): ...\n")
    for name, message in [("x", "is not a program"), ("y", "has no 'y'"), ("f", "cannot be resolved")]:
        with pytest.raises(ServeError, match=message):
            endpoints_of([f"{file}:{name}"])
