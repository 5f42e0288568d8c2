"""The tables of `orders.jsonl`: `--schema examples/orders.py:Orders`."""

from pydantic import BaseModel, ConfigDict, Field


class Order(BaseModel):
    """What one customer ordered."""

    model_config = ConfigDict(extra="forbid")

    customer: str = Field(max_length=40)
    item: str = Field(max_length=40)
    count: int = Field(ge=0, le=999)
    price: float | None = Field(description="of one piece, null if it is not said", ge=0, le=9999)


Orders = list[Order]
