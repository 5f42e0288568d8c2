"""What a server is, and what it can do: found out, tried, and said."""

from __future__ import annotations

import pytest

import lmprog as lp
from lmprog.runtime.remote.servers import KNOWN
from lmprog.testing import RandomModel

from .server import CONTEXT, serving


@pytest.mark.parametrize("kind", ["vllm", "sglang", "llama.cpp", "transformers", "openai"])
def test_servers_are_told_apart(random_model: RandomModel, kind: str) -> None:
    with serving(random_model, kind) as server, lp.connect(server.url) as model:
        can = model.capabilities

        assert kind == can.server
        assert KNOWN[kind].grammar == can.grammar
        assert (CONTEXT if kind in ("vllm", "sglang", "llama.cpp") else None) == can.context
        assert f"<lmprog model tiny at {server.url}: {kind}" in repr(model)
        assert (1 if can.grammar else 0) == len(server.bodies)  # one request to try it


def test_the_user_knows_better(random_model: RandomModel) -> None:
    with serving(random_model, "openai") as server, lp.connect(server.url, server="vllm", model="other") as model:
        assert model.capabilities.server == "vllm"
        assert model.name == "other"
    with pytest.raises(lp.InvalidOption, match="server must be one of vllm, sglang"):
        lp.connect(server.url, server="tgi")


def test_a_server_that_does_not_enforce_what_it_claims_is_found_out(random_model: RandomModel) -> None:
    with serving(random_model, "vllm", obeys=False) as server, lp.connect(server.url) as model:
        assert not model.capabilities.grammar
        assert not model.capabilities.regex


def test_load_takes_urls_and_their_options(random_model: RandomModel) -> None:
    with serving(random_model, "vllm", key="s3cret") as server:
        loaded: object = lp.load(server.url, api_key="s3cret", tries=2)
        assert isinstance(loaded, lp.RemoteModel)
        loaded.close()
        with pytest.raises(lp.InvalidOption, match="api_key= is for models on servers"):
            lp.load("no/where", api_key="s3cret")


def test_what_was_found_out_is_kept(random_model: RandomModel) -> None:
    with serving(random_model) as server:
        for _ in range(3):
            with lp.connect(server.url) as model:
                assert model.capabilities.server == "vllm"

        assert len(server.headers) == 3  # models, version, one short request


def test_options_are_checked() -> None:
    with pytest.raises(lp.InvalidOption, match=r"begins with http:// or https://, not 'host:8000'"):
        lp.connect("host:8000")
    with pytest.raises(lp.InvalidOption, match="concurrency is 1 or more"):
        lp.connect("http://127.0.0.1:1/v1", concurrency=0)


def test_nobody_there() -> None:
    with pytest.raises(lp.BackendUnreachable, match=r"http://127.0.0.1:9/v1/models cannot be reached: .*Is the server"):
        lp.connect("http://user:hidden@127.0.0.1:9/v1", retries=0)


def test_the_wrong_key(random_model: RandomModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(random_model, "vllm", key="s3cret") as server:
        with pytest.raises(lp.BackendRefused, match=r"refuses \(401\): Incorrect API key.*api_key=.*OPENAI_API_KEY"):
            lp.connect(server.url, api_key="guess")
        monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
        with lp.connect(server.url) as model:
            assert "s3cret" not in repr(model) + repr(vars(model)) + repr(vars(model._http))


def test_the_wrong_path(random_model: RandomModel) -> None:
    with serving(random_model) as server, pytest.raises(lp.BackendRefused, match=r"\(404\).*should end in /v1"):
        lp.connect(server.url.removesuffix("/v1"))
