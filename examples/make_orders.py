"""Make texts about orders, with the table that each of them tells: `orders.jsonl` and `orders.shots.jsonl`.

    python examples/make_orders.py [COUNT] [SEED] [FOLDER]

A table is drawn at random and then told: a sentence a row, in one of many forms and in any order, numbers as digits or
words, prices that are not agreed, sentences between that tell of no order. Some tables are empty. The truth is the
table, by construction.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

COUNT, SHOTS, SEED = 24, 5, 11
FIRST = [
    "Ada", "Bruno", "Chen", "Dora", "Emil", "Fatma", "Goran", "Hana", "Igor", "Jun", "Kofi", "Lena", "Mateo",
    "Nora", "Omar", "Pia", "Quentin", "Rosa", "Sven", "Tara"
]  # fmt: skip
LAST = [
    "Alvarez", "Berg", "Costa", "Duarte", "Ek", "Fischer", "Gupta", "Horvat", "Ito", "Jansen", "Keller", "Lopez",
    "Moreau", "Novak", "Olsen", "Petrov", "Rossi"
]  # fmt: skip
ITEMS = [
    "chairs", "lamps", "kettles", "blankets", "mirrors", "clocks", "ladders", "buckets", "radios", "candles",
    "carpets", "pillows", "vases", "shelves"
]  # fmt: skip
WORDS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"
]  # fmt: skip
TOLD = [
    "{customer} ordered {count} {item} at {price} euros each.",
    "For {price} euros apiece, {customer} took {count} {item}.",
    "{count} {item} went to {customer}, who paid {price} for each of them.",
    "{customer}: {count} x {item}, {price} EUR a piece.",
    "Then {customer} called and asked for {count} {item}; we agreed on {price} euros each.",
    "At {price} euros a piece, {count} {item} were sold to {customer}.",
]
UNPRICED = [
    "{customer} wants {count} {item}, the price is still to be agreed.",
    "{customer} also put {count} {item} aside without asking what they cost.",
    "There is an order for {count} {item} from {customer}, no price was named.",
]
BETWEEN = [
    "It rained all morning.",
    "The van came back at half past four.",
    "Nobody answered the telephone between one and two.",
    "The new shelves in the window look good.",
    "A parcel for the neighbours was left with us.",
    "We closed at six.",
]
OPENING = [
    "Notes of the day.",
    "Monday.",
    "Orders and other things:",
    "Dear colleagues,",
    "A short report from the shop.",
]
NONE = ["There were no orders today.", "Nobody bought anything.", "Many looked around, but nothing was sold."]


def table(rng: random.Random) -> list[dict[str, Any]]:
    """Up to six rows, no customer twice."""
    rows = rng.choices(range(7), [1, 2, 3, 3, 3, 2, 2])[0]
    customers = rng.sample([f"{first} {last}" for first in FIRST for last in LAST], rows)
    return [
        {
            "customer": customer,
            "item": rng.choice(ITEMS),
            "count": rng.choice([rng.randint(2, 12), rng.randint(2, 400)]),
            "price": None if rng.random() < 0.25 else rng.choice([rng.randint(1, 90), round(rng.uniform(1, 90), 2)]),
        }
        for customer in customers
    ]


def told(rows: list[dict[str, Any]], rng: random.Random) -> str:
    """The table as a text."""
    sentences = [sentence(row, rng) for row in rows] or [rng.choice(NONE)]
    for other in rng.sample(BETWEEN, rng.randint(0, 3)):
        sentences.insert(rng.randint(0, len(sentences)), other)
    return " ".join([rng.choice(OPENING), *sentences])


def sentence(row: dict[str, Any], rng: random.Random) -> str:
    count, price = row["count"], row["price"]
    words = {"count": WORDS[count] if count < len(WORDS) and rng.random() < 0.5 else str(count)}
    text = rng.choice(UNPRICED if price is None else TOLD).format(**{**row, **words})
    return text[0].upper() + text[1:]


def documents(count: int, seed: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    rows = [table(rng) for _ in range(count)]
    return [{"id": f"day-{n}", "text": told(some, rng), "truth": some} for n, some in enumerate(rows, 1)]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def main(count: int = COUNT, seed: int = SEED, folder: str = str(Path(__file__).parent)) -> None:
    write(Path(folder) / "orders.jsonl", documents(int(count), int(seed)))
    write(Path(folder) / "orders.shots.jsonl", documents(SHOTS, int(seed) + 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
