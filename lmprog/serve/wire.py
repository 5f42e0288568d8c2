"""The requests as OpenAI's API and vLLM's extensions write them. What is not named here is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Stop = str | list[str]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())


class StreamOptions(Strict):
    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class JsonSchema(Strict):
    """`strict` is accepted and changes nothing: a schema is always enforced exactly, or refused."""

    name: str = ""
    description: str = ""
    schema_: Any = Field(alias="schema")
    strict: bool = True


class TextFormat(Strict):
    type: Literal["text"]


class ObjectFormat(Strict):
    type: Literal["json_object"]


class SchemaFormat(Strict):
    type: Literal["json_schema"]
    json_schema: JsonSchema


class RegexFormat(Strict):
    type: Literal["regex"]
    regex: str


class GrammarFormat(Strict):
    type: Literal["grammar"]
    grammar: str
    syntax: Literal["gbnf", "lark"] | None = None


class Structured(Strict):
    """vLLM's `structured_outputs`."""

    json_: Any = Field(None, alias="json")
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    json_object: Literal[True] | None = None


ResponseFormat = Annotated[
    TextFormat | ObjectFormat | SchemaFormat | RegexFormat | GrammarFormat, Field(discriminator="type")
]


class Generation(Strict):
    """What both endpoints take."""

    model: str | None = None
    n: Count = 1
    max_tokens: Count | None = None
    stop: Stop = []
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[Finite, Field(ge=0)] = 1.0
    top_p: Annotated[Finite, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=-1)] = 0
    min_p: Annotated[Finite, Field(ge=0, lt=1)] = 0.0
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 64)] | None = None
    presence_penalty: Annotated[Finite, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[Finite, Field(ge=-2, le=2)] = 0.0
    repetition_penalty: Annotated[Finite, Field(gt=0)] = 1.0
    logit_bias: dict[str, Annotated[Finite, Field(ge=-100, le=100)]] = {}
    user: str | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: Structured | None = None
    guided_json: Any = None
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    guided_grammar: str | None = None

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop

    @model_validator(mode="after")
    def _check(self) -> Generation:
        if any(not stop for stop in self.stops):
            raise ValueError("stop: an empty text would stop at once")
        if len(self.stops) > 16 or any(len(stop) > 256 for stop in self.stops):
            raise ValueError("stop: at most 16 texts of at most 256 characters")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is for stream=true")
        return self


Prompt = str | list[int] | list[str] | list[list[int]]


class Completion(Generation):
    """`POST /v1/completions`."""

    prompt: Prompt
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    best_of: Count | None = None
    echo: Literal[False] = False

    @model_validator(mode="after")
    def _check_best(self) -> Completion:
        if self.best_of is not None and self.best_of != self.n:
            raise ValueError("best_of: it can only be as large as n")
        return self


class TextPart(Strict):
    type: Literal["text"]
    text: str


class CalledFunction(Strict):
    name: str
    arguments: str


class Called(Strict):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(Strict):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] = ""
    name: str | None = None
    tool_calls: list[Called] | None = None
    tool_call_id: str | None = None
    refusal: None = None
    audio: None = None
    annotations: list[Any] | None = None
    function_call: None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join([part.text for part in self.content])


class Function(Strict):
    """`strict` is accepted and changes nothing: arguments always follow the parameters' schema."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]
    description: str | None = None
    parameters: Any = None
    strict: bool | None = None


class FunctionTool(Strict):
    type: Literal["function"]
    function: Function


class Named(Strict):
    name: str


class ChosenFunction(Strict):
    type: Literal["function"]
    function: Named


class Chat(Generation):
    """`POST /v1/chat/completions`. One call at most is made at a time, so `parallel_tool_calls` changes nothing."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Count | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: list[FunctionTool] = []
    tool_choice: Literal["none", "auto", "required"] | ChosenFunction | None = None
    parallel_tool_calls: bool = False
    store: Literal[False] = False
    metadata: dict[str, str] = {}

    @model_validator(mode="after")
    def _check_chat(self) -> Chat:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs is for logprobs=true")
        if self.max_tokens and self.max_completion_tokens and self.max_tokens != self.max_completion_tokens:
            raise ValueError("max_completion_tokens is the new name of max_tokens: give one of them")
        names = [tool.function.name for tool in self.tools]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"tools: two are called {twice[0]}")
        if isinstance(self.tool_choice, ChosenFunction) and self.tool_choice.function.name not in names:
            raise ValueError(f"tool_choice: there is no tool {self.tool_choice.function.name}")
        if self.tool_choice == "required" and not self.tools:
            raise ValueError("tool_choice: there are no tools")
        return self
