"""`Quote`: a field whose value is verbatim in the document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema


class Quote(str):
    """A str that stands in the document: document[start:end] == the quote. For pydantic models, dataclasses and
    TypedDicts as schemas of extraction jobs; in a JSON Schema it is {"type": "string", "x-quote": true}.

    start, end   in characters; None where the document is not known, for instance in examples
    document     its id, if the quote is of a corpus
    """

    start: int | None
    end: int | None
    document: str | int | None

    def __new__(
        cls, text: str, start: int | None = None, end: int | None = None, document: str | int | None = None
    ) -> Quote:
        quote = super().__new__(cls, text)
        quote.start, quote.end, quote.document = start, end, document
        return quote

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.start, self.end, self.document

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.with_info_after_validator_function(cls._read, core_schema.str_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-quote": True}

    @classmethod
    def _read(cls, text: str, info: Any) -> Quote:
        return cls(text, *(info.context or {}).get("places", {}).get(text, ()))
