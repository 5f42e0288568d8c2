"""Which server is it, and what can it enforce?

What a server says of itself (the owner of its models, its version, paths that only it has) decides; what it claims to
enforce is then tried with one short request, because servers ignore fields that they do not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..load_errors import InvalidOption
from .errors import BackendError, BackendRefused

if TYPE_CHECKING:
    from .http import Http


@dataclass(frozen=True)
class Capabilities:
    """What a server can do.

    server         "vllm", "sglang", "llama.cpp", "lmprog", "transformers", "openai" or "other"
    grammar        it enforces grammars (GBNF), and so all that can be written as one
    regex, json_schema   it enforces these
    completions    it continues plain text; False: only chats
    continues      it continues a half-finished message of the assistant
    logprobs       it tells the log-probabilities of what it generates
    prompt_logprobs   ... and of given text
    context        most tokens of prompt and answer together; None: it does not say
    most_repeats   the largest bound of a repeat in its grammars
    """

    server: str
    version: str = ""
    grammar: bool = False
    regex: bool = False
    json_schema: bool = False
    completions: bool = True
    continues: bool = False
    logprobs: bool = False
    prompt_logprobs: bool = False
    context: int | None = None
    most_repeats: int | None = None


KNOWN: Mapping[str, Capabilities] = {
    one.server: one
    for one in (
        Capabilities(
            "vllm", grammar=True, regex=True, json_schema=True, continues=True, logprobs=True, prompt_logprobs=True
        ),
        Capabilities("sglang", grammar=True, regex=True, json_schema=True, continues=True, logprobs=True),
        Capabilities("llama.cpp", grammar=True, json_schema=True, logprobs=True, most_repeats=2000),
        Capabilities("lmprog", grammar=True, regex=True, json_schema=True, logprobs=True),
        Capabilities("transformers"),
        Capabilities("openai", json_schema=True, completions=False),
        Capabilities("other"),
    )
}
OWNERS = {
    "lmprog": "lmprog",
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llama.cpp",
    "openai": "openai",
    "system": "openai",
}


@dataclass(frozen=True)
class Found:
    """A server as it was found, and the model to ask for."""

    model: str
    can: Capabilities


async def find(http: Http, model: str | None, server: str | None) -> Found:
    """Raises BackendError when the server cannot be asked or has no such model, InvalidOption for an unknown one."""
    if server is not None and server not in KNOWN:
        raise InvalidOption(f"server must be one of {', '.join(KNOWN)}, not {server!r}")
    offered = await _offered(http, model is not None)
    name = _chosen(http, offered, model)
    said = next((one for one in offered if one.get("id") == name), {})
    can = KNOWN[server or await _kind(http, offered)]
    return Found(name, await _detailed(http, can, said))


async def _offered(http: Http, named: bool) -> list[dict[str, Any]]:
    """The models that it lists; none where it fails to, and one was `named`."""
    try:
        answer = await http.get("/models")
    except BackendError as error:
        if named and error.status not in (None, 401, 403):
            return []
        raise
    return [one for one in answer.get("data") or () if isinstance(one, dict) and "id" in one]


def _chosen(http: Http, offered: list[dict[str, Any]], model: str | None) -> str:
    names = [str(one["id"]) for one in offered]
    if model is not None:
        return model  # a server may load models that it does not list
    if len(names) == 1:
        return names[0]
    listed = f"it has {', '.join(names[:10])}{', …' if len(names) > 10 else ''}" if names else "it names none itself"
    raise BackendRefused(f"say which model of {http.base} is meant, as model=: {listed}", http.base)


async def _kind(http: Http, offered: list[dict[str, Any]]) -> str:
    for one in offered:
        owner = str(one.get("owned_by", "")).lower()
        if owner in OWNERS:
            return OWNERS[owner]
    if (urlsplit(http.base).hostname or "").endswith("openai.com"):
        return "openai"
    for path, status, kind in (
        ("/get_model_info", 200, "sglang"),
        ("/props", 200, "llama.cpp"),
        ("/version", 200, "vllm"),
        ("/load_model", 405, "transformers"),
    ):
        found, body = await http.look(path)
        if found == status and (status != 200 or isinstance(body, dict)):
            return kind
    return "other"


async def _detailed(http: Http, can: Capabilities, said: Mapping[str, Any]) -> Capabilities:
    """With version and context, where the server tells them."""
    match can.server:
        case "vllm":
            _, body = await http.look("/version")
            version = str((body or {}).get("version", ""))
            return replace(can, version=version, context=_number(said.get("max_model_len")))
        case "sglang":
            _, body = await http.look("/get_server_info")
            info = body or {}
            context = _number(info.get("context_length")) or _number(said.get("max_model_len"))
            return replace(can, version=str(info.get("version", "")), context=context)
        case "llama.cpp":
            _, body = await http.look("/props")
            info = body or {}
            settings = info.get("default_generation_settings") or {}
            return replace(can, version=str(info.get("build_info", "")), context=_number(settings.get("n_ctx")))
        case "lmprog":
            return replace(can, context=_number(said.get("max_model_len")))
    return can


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
