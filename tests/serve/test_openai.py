"""OpenAI's own client against a real server."""

import json
import re
from itertools import pairwise
from typing import Any

import jsonschema_rs
import openai
import pytest

from lmprog.grammars import gbnf
from lmprog.testing import RandomModel, TableModel

from .serving import Serving, serving

USER: Any = [{"role": "user", "content": "hello"}]
SCHEMA: Any = {
    "type": "object",
    "properties": {"id": {"type": "integer", "minimum": 3, "maximum": 17}, "kind": {"enum": ["poem", "math"]}},
    "required": ["id", "kind"],
    "additionalProperties": False,
}
ADD: Any = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": SCHEMA}}
WRONG = ("Bearer wrong", "Bearer", "", "right", "Bearer right2", "Bearer RIGHT", "Basic right", b"Bearer \xff")
NOW: Any = {"type": "function", "function": {"name": "now"}}


@pytest.fixture(scope="module")
def client(live: Serving) -> openai.OpenAI:
    return live.openai()


def test_models(client: openai.OpenAI) -> None:
    (model,) = client.models.list()

    assert ("RandomModel(0)", "lmprog") == (model.id, model.owned_by)
    assert model == client.models.retrieve("RandomModel(0)")
    with pytest.raises(openai.NotFoundError, match="there is no model 'other' here"):
        client.models.retrieve("other")


def complete(client: openai.OpenAI, prompt: Any = "The moon", **more: Any) -> Any:
    return client.completions.create(model="RandomModel(0)", prompt=prompt, **more)


def chat(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(model="RandomModel(0)", **({"messages": USER} | more))


# -- completions -------------------------------------------------------------------------------------------------


def test_a_seed_decides_and_streams_say_the_same(client: openai.OpenAI) -> None:
    whole = complete(client, seed=7, max_tokens=30, n=2)
    chunks = list(complete(client, seed=7, max_tokens=30, n=2, stream=True, stream_options={"include_usage": True}))
    texts = ["", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.text

    assert [choice.text for choice in whole.choices] == texts
    assert texts[0] != texts[1]
    assert [[], True] == [chunks[-1].choices, chunks[-1].usage.total_tokens == whole.usage.total_tokens]
    assert whole.usage.completion_tokens + whole.usage.prompt_tokens == whole.usage.total_tokens


def test_prompts_of_text_and_of_ids(client: openai.OpenAI, live: Serving) -> None:
    ids = [live.model.bos, *live.model.encode("The moon")]
    assert live.model.bos is not None

    one = complete(client, temperature=0).choices[0].text
    several = complete(client, ["x", "The moon"], temperature=0).choices
    of_ids = complete(client, ids, temperature=0).choices
    of_several = complete(client, [ids, ids], temperature=0).choices
    assert {one} == {several[1].text, of_ids[0].text, of_several[0].text, of_several[1].text}
    assert [0, 1] == [choice.index for choice in several]


def test_stops_end_a_text_and_are_never_seen(client: openai.OpenAI) -> None:
    free = complete(client, seed=3, max_tokens=60).choices[0].text
    stops = [free[5:8], free[9:15], free[20:21] + "never"]
    cut = min(free.find(stop) for stop in stops[:2])
    held = complete(client, seed=3, max_tokens=60, stop=stops)
    pieces = [chunk.choices[0] for chunk in complete(client, seed=3, max_tokens=60, stop=stops, stream=True)]

    assert (free[:cut], "stop") == (held.choices[0].text, held.choices[0].finish_reason)
    assert free[:cut] == "".join([piece.text for piece in pieces])
    assert held.usage.completion_tokens < 60


def test_logprobs_of_completions(client: openai.OpenAI, live: Serving) -> None:
    choice = complete(client, seed=5, max_tokens=20, logprobs=3).choices[0]
    streamed = list(complete(client, seed=5, max_tokens=20, logprobs=3, stream=True))
    found = choice.logprobs

    assert 20 == len(found.tokens) == len(found.token_logprobs) == len(found.top_logprobs) == len(found.text_offset)
    assert all(logprob <= 0 for logprob in found.token_logprobs)
    assert all(1 <= len(top) <= 4 for top in found.top_logprobs)
    assert all(b >= a for a, b in pairwise(found.text_offset))
    again = [p for chunk in streamed for p in chunk.choices[0].logprobs.token_logprobs]
    assert found.token_logprobs == again


def test_logprobs_end_where_a_stop_cuts(client: openai.OpenAI) -> None:
    free = complete(client, prompt="a", seed=11, max_tokens=40).choices[0].text
    choice = complete(client, prompt="a", seed=11, max_tokens=40, stop=free[12:14], logprobs=0).choices[0]
    text = "".join(choice.logprobs.tokens)

    assert text.startswith(choice.text)
    assert len(choice.text) - 1 <= choice.logprobs.text_offset[-1] + len(choice.logprobs.tokens[-1])


def test_penalties_and_biases_reach_the_engine(client: openai.OpenAI, live: Serving) -> None:
    token = live.model.vocab.ids[b"moon"]
    biased = complete(client, temperature=0, max_tokens=5, logit_bias={str(token): 100}).choices[0].text
    sparing = complete(client, temperature=0, max_tokens=5, logit_bias={str(token): 50}, presence_penalty=2)

    assert "moon" * 5 == biased
    assert "moon" in sparing.choices[0].text


def test_the_prefix_cache_shows_in_the_usage(client: openai.OpenAI) -> None:
    prompt = "a long beginning that two requests have in common"
    complete(client, prompt, max_tokens=1)
    usage = complete(client, f"{prompt} and more", max_tokens=1).usage

    assert usage.prompt_tokens_details.cached_tokens > 20


# -- constraints -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_schemas(client: openai.OpenAI, seed: int) -> None:
    kind = {"type": "json_schema", "json_schema": {"name": "thing", "strict": True, "schema": SCHEMA}}
    found = chat(client, seed=seed, response_format=kind).choices[0]
    lax = chat(client, seed=seed, response_format={"type": "json_schema", "json_schema": {"schema": SCHEMA}})
    anything = chat(client, seed=seed, response_format={"type": "json_object"}, max_tokens=50).choices[0]
    guided = complete(client, seed=seed, extra_body={"guided_json": SCHEMA}).choices[0].text
    structured = complete(client, seed=seed, extra_body={"structured_outputs": {"json": json.dumps(SCHEMA)}})

    for text in (found.message.content, lax.choices[0].message.content, guided, structured.choices[0].text):
        jsonschema_rs.validate(SCHEMA, json.loads(text))
    assert isinstance(json.loads(anything.message.content), dict)


@pytest.mark.parametrize("seed", range(4))
def test_regexes_choices_and_grammars(client: openai.OpenAI, seed: int) -> None:
    sums = 'root ::= num ("+" num){1,3}\nnum ::= [1-9] [0-9]?'
    regex = {"type": "regex", "regex": "[a-c]{3,5}!"}
    of_regex = chat(client, seed=seed, response_format=regex).choices[0].message.content
    of_grammar = chat(client, seed=seed, response_format={"type": "grammar", "grammar": sums})
    of_lark = complete(client, seed=seed, extra_body={"guided_grammar": 'start: "a" /[b-d]+/ "e"'}, max_tokens=8)
    of_choice = complete(client, seed=seed, extra_body={"structured_outputs": {"choice": ["yes", "no"]}})

    assert re.fullmatch("[a-c]{3,5}!", of_regex)
    assert gbnf(sums).matches(of_grammar.choices[0].message.content)
    assert re.fullmatch("a[b-d]+e", of_lark.choices[0].text)
    assert of_choice.choices[0].text in ("yes", "no")


def test_values_hold_no_stop(client: openai.OpenAI) -> None:
    for seed in range(10):
        choice = complete(client, seed=seed, stop=["b", "ca"], extra_body={"guided_regex": "[abc]{6}"}).choices[0]
        assert re.fullmatch("[abc]{6}", choice.text)
        assert "b" not in choice.text
        assert "ca" not in choice.text


def test_parse_of_the_client(client: openai.OpenAI) -> None:
    from pydantic import BaseModel

    class Point(BaseModel):
        x: int
        label: str | None

    done = client.chat.completions.parse(
        model="RandomModel(0)", messages=USER, response_format=Point, max_tokens=400, seed=1, temperature=0.3
    )
    assert isinstance(done.choices[0].message.parsed, Point)


# -- chats -------------------------------------------------------------------------------------------------------


def test_chat_streams(client: openai.OpenAI) -> None:
    whole = chat(client, seed=2, max_tokens=25, logprobs=True, top_logprobs=2).choices[0]
    chunks = list(chat(client, seed=2, max_tokens=25, logprobs=True, top_logprobs=2, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    logprobs = [token for chunk in chunks if (found := chunk.choices[0].logprobs) for token in found.content]

    assert "assistant" == deltas[0].role
    assert whole.message.content == "".join([delta.content or "" for delta in deltas])
    assert whole.logprobs.content == logprobs
    assert all(2 == len(token.top_logprobs) for token in logprobs)
    assert "length" == whole.finish_reason == chunks[-1].choices[0].finish_reason


def test_contents_in_parts(client: openai.OpenAI) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]}]
    same = chat(client, seed=1, max_tokens=5, messages=parts).choices[0].message.content

    assert same == chat(client, seed=1, max_tokens=5).choices[0].message.content


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "add"}}])
def test_calls_follow_the_schema(client: openai.OpenAI, choice: Any) -> None:
    for seed in range(5):
        whole = chat(client, seed=seed, tools=[ADD, NOW], tool_choice=choice).choices[0]
        streamed = list(chat(client, seed=seed, tools=[ADD, NOW], tool_choice=choice, stream=True))
        (call,) = whole.message.tool_calls
        pieces = [c for chunk in streamed for c in chunk.choices[0].delta.tool_calls or []]

        assert "tool_calls" == whole.finish_reason == streamed[-1].choices[0].finish_reason
        assert call.function.name == pieces[0].function.name
        assert call.function.arguments == "".join([piece.function.arguments for piece in pieces])
        if call.function.name == "add":
            jsonschema_rs.validate(SCHEMA, json.loads(call.function.arguments))
        else:
            assert ("required", "{}") == (choice, call.function.arguments)


def test_a_model_may_choose_between_text_and_a_call(client: openai.OpenAI) -> None:
    text = chat(client, seed=1, max_tokens=40, tools=[ADD]).choices[0]
    head = '{"name":"add","arguments":'
    weights = [1.0] * 256 + [1e6, 1e-6]
    tokens: Any = [*[bytes((byte,)) for byte in range(256)], head]
    keen = TableModel(tokens, lambda _: [weight / sum(weights) for weight in weights])
    with keen, serving(keen) as live:  # which has no chat template of its own
        made = {"model": "TableModel", "messages": USER, "seed": 1, "tools": [ADD]}
        called = live.openai().chat.completions.create(**made).choices[0]
        live.check()

    assert text.message.tool_calls is None
    assert not text.message.content.startswith('{"name":')
    assert "tool_calls" == called.finish_reason
    jsonschema_rs.validate(SCHEMA, json.loads(called.message.tool_calls[0].function.arguments))


def test_a_conversation_with_a_tool(client: openai.OpenAI) -> None:
    first = chat(client, seed=1, tools=[ADD], tool_choice="required").choices[0].message
    messages = [*USER, first, {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "12"}]
    done = chat(client, seed=1, max_tokens=5, tools=[ADD], tool_choice="none", messages=messages)

    assert done.choices[0].message.content
    assert done.choices[0].message.tool_calls is None


# -- keys --------------------------------------------------------------------------------------------------------


def test_keys() -> None:
    from lmprog.serve.settings import Settings

    with RandomModel(0) as model, serving(model, Settings(keys=("right", "other"))) as live:
        assert live.openai("right").models.list().data == live.openai("other").models.list().data
        for wrong in (
            "Bearer wrong",
            "Bearer",
            "",
            "right",
            "Bearer right2",
            "Bearer RIGHT",
            "Basic right",
            b"Bearer \xff",
        ):
            answer = live.post("/v1/completions", {"prompt": "x"}, headers={"Authorization": wrong})
            assert (401, "Bearer") == (answer.status_code, answer.headers["www-authenticate"])
            assert "invalid_api_key" == answer.json()["error"]["code"]
        assert 401 == live.post("/v1/completions", {"prompt": "x"}).status_code
        with pytest.raises(openai.AuthenticationError):
            live.openai("wrong").models.list()
        live.check()
