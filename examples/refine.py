"""Drafts that some model wrote without constraints become orders, with the fewest edits; the refiner fills the gaps.

python examples/refine.py
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel

import lmprog as lp

DRAFTS = [
    '```json\n{"item": "tea", "count": 2, "size": "small"}\n```',
    'The order is {"item": "coffee", "count": "1", "size": "Large"}.',
    '{"item": "juice", "count": 3, "size": ',
]


class Order(BaseModel):
    item: str
    count: int
    size: Literal["small", "large"]


refine = lp.refining(Order, near=math.inf)


def main() -> None:
    with lp.using(lp.load()):
        for done in refine.map(DRAFTS):
            print(f"{done.edits:3} edits  {done.sketch}\n           {done.text}")


if __name__ == "__main__":
    main()
