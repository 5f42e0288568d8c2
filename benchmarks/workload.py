"""The work that `peers.py` gives to every engine: made up here, or read from a file of the same form.

    W1   extraction: 64 short texts behind one prompt with seven worked examples, answers by a JSON Schema
    W1s  the first 16 of them
    W2   tree of thought: 8 puzzles; three times, 3 thoughts of 16 tokens are drawn and the search goes on from one
    W3   one stream of 64 tokens
    W4   a form: 16 notes, six fields with a regular expression each, most of the text fixed
    W5   16 essays of 128 tokens that share nothing

A line of a file is {"w": "W1", "id", "prompt", "max_new"} and "schema" (W1), "branch" and "depth" (W2), "holes"
[[text before it, regex], ...] and "tail" (W4).
"""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs

Item = dict[str, Any]
KINDS = {"W1": "extract", "W1s": "extract", "W2": "tree", "W3": "free", "W4": "form", "W5": "free"}
SMALL = 16  # documents of W1s

FIRST = ["Mara", "Jonas", "Aiko", "Pedro", "Lena", "Yusuf", "Clara", "Bruno"]
LAST = ["Weber", "Okafor", "Lindgren", "Moreau", "Castillo", "Novak", "Haddad", "Berg"]
CITY = ["Basel", "Turin", "Kyoto", "Dakar", "Bergen", "Lyon", "Split", "Hanoi"]
JOB = ["baker", "pilot", "nurse", "welder", "editor", "chemist", "farmer", "tailor"]
FILLER = [
    "The letter arrived on a Monday morning and was put on the pile with all the others.",
    "Nobody in the office could say who had asked for the second copy of the form.",
    "The conversation went on for half an hour and then turned to the weather.",
    "A remark in pencil says that the telephone number could not be read.",
]
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 40},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "city": {"type": "string", "maxLength": 40},
        "job": {"type": "string", "enum": JOB},
    },
    "required": ["name", "age", "city", "job"],
    "additionalProperties": False,
}
HOLES = [
    ["Name: ", "[A-Z][a-z]{2,8} [A-Z][a-z]{2,8}"],
    ["\nAge in years: ", "[1-9][0-9]"],
    ["\nPlace of residence, as it stands in the register: ", "[A-Z][a-z]{2,9}"],
    ["\nDate on which the form was received (YYYY-MM-DD): ", "20[0-2][0-9]-[01][0-9]-[0-3][0-9]"],
    ["\nUrgency by the table on the back, one letter: ", "[ABCD]"],
    ["\nA second appointment was asked for: ", "(yes|no)"],
]


def load(path: Path | None, names: list[str]) -> dict[str, list[Item]]:
    """The items of the workloads with these names."""
    items = list(made()) if path is None else [json.loads(line) for line in path.read_text().splitlines()]
    found = {name: [item for item in items if item["w"] == name.removesuffix("s")] for name in names}
    return {name: some[:SMALL] if name == "W1s" else some for name, some in found.items()}


def made() -> Iterator[Item]:
    """The same items at every call."""
    draw = random.Random(7)
    shots = "".join(_shot(draw) for _ in range(7))
    for n in range(64):
        text, _ = _person(draw)
        prompt = f"Extract the person as JSON with the keys name, age, city, job.\n\n{shots}Text: {text}\nJSON: "
        yield {"w": "W1", "id": n, "prompt": prompt, "schema": SCHEMA, "max_new": 64}
    for n in range(8):
        yield {"w": "W2", "id": n, "prompt": _puzzle(draw), "branch": 3, "depth": 3, "max_new": 16}
    yield {"w": "W3", "id": 0, "prompt": "The history of glass making begins with", "max_new": 64}
    for n in range(16):
        note = f"Note. {_person(draw)[0]}\n\nForm, filled in from the note above.\n\n"
        tail = "\nEnd of the form. Keep this page."
        yield {"w": "W4", "id": n, "prompt": note, "holes": HOLES, "tail": tail, "max_new": 160}
    for n, topic in enumerate(["bridges", "salt", "winds", "clocks"] * 4):
        opening = ["An essay.", "A lecture in three parts.", "Notes for a long walk.", "A letter to a student."][n // 4]
        yield {"w": "W5", "id": n, "prompt": f"{opening} The story of {topic} is an old one.", "max_new": 128}


def _person(draw: random.Random) -> tuple[str, Item]:
    name = f"{draw.choice(FIRST)} {draw.choice(LAST)}"
    facts = {"name": name, "age": draw.randint(19, 80), "city": draw.choice(CITY), "job": draw.choice(JOB)}
    text = f"{name}, who is {facts['age']} years old and works as a {facts['job']}, moved to {facts['city']}. "
    return text + " ".join(draw.sample(FILLER, 2)), facts


def _shot(draw: random.Random) -> str:
    text, facts = _person(draw)
    return f"Text: {text}\nJSON: {json.dumps(facts)}\n\n"


def _puzzle(draw: random.Random) -> str:
    apples, eaten = draw.randint(12, 30), draw.randint(2, 9)
    return (
        "Solve the puzzle step by step. Each thought is one short sentence.\n\n"
        "Question: A shed holds 3 carts with 4 wheels each. How many wheels?\n"
        "Thought: One cart has 4 wheels.\nThought: Three carts have 12 wheels.\nAnswer: 12\n\n"
        f"Question: {draw.choice(FIRST)} has {apples} apples and eats {eaten}. How many are left?\nThought:"
    )


def valid(item: Item, text: str) -> bool:
    """Whether an answer is what the item asks for; anything is where nothing is asked for."""
    if "schema" in item:
        try:
            return jsonschema_rs.is_valid(item["schema"], json.loads(text))
        except ValueError:
            return False
    return "holes" not in item or re.fullmatch(form(item), text) is not None


def form(item: Item) -> str:
    """A regex for a whole form."""
    return "".join(re.escape(text) + f"({regex})" for text, regex in item["holes"]) + re.escape(item["tail"])
