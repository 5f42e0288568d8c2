"""Values of slots in files, readable TOML or JSON, to stand next to the code:

format = "lmprog slots"
version = 1
program = "card"

[slots]
instruction = "Name the kind of thing."
"inner.instruction" = "Briefly:"

[[slots.examples]]
question = "cats"
answer = "animal"
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, NamedTuple

from .errors import SlotError
from .slot_values import Value, checked, plain_text

FORMAT, VERSION = "lmprog slots", 1


class Kept(NamedTuple):
    """What a file holds: the name of the program that wrote it, "" where the file does not say, and the values."""

    program: str
    values: dict[str, Value]


def write(path: str | Path, program: str, values: Mapping[str, Value]) -> None:
    """Write values, at once or not at all. Raises SlotError for what the format cannot say, OSError."""
    _, dump = _kind(path)
    for name, value in values.items():
        _check(f"{path}: the slot {name!r}", value, toml=Path(path).suffix == ".toml")
    head = {"format": FORMAT, "version": VERSION, "program": program}
    _replace(Path(path), dump({**head, "slots": dict(values)}))


def read(path: str | Path) -> Kept:
    """What a file holds. Raises SlotError for a file that holds no slots, OSError."""
    parse, _ = _kind(path)
    try:
        data = parse(Path(path).read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SlotError(f"{path} cannot be read: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise SlotError(f'{path} is no file of slots: it does not say format = "{FORMAT}"')
    if data.get("version") != VERSION:
        raise SlotError(f"{path} has version {data.get('version')!r} of the format; this lmprog reads {VERSION}")
    if not isinstance(slots := data.get("slots", {}), dict):
        raise SlotError(f"{path}: slots is a table of values by the names of slots")
    if unknown := data.keys() - {"format", "version", "program", "slots"}:
        raise SlotError(f"{path}: {min(unknown)!r} is not known here: values of slots stand under slots")
    try:
        values = {name: checked(name, value) for name, value in _flat(slots)}
    except SlotError as error:
        raise SlotError(f"{path}: {error}") from None
    return Kept(str(data.get("program", "")), values)


def _flat(slots: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """`inner.instruction` without quotes is a table in TOML."""
    flat: list[tuple[str, Any]] = []
    for name, value in slots.items():
        flat += _flat(value, f"{before}{name}.") if isinstance(value, dict) else [(before + name, value)]
    return flat


# -- the formats -------------------------------------------------------------------------------------------------


def _kind(path: str | Path) -> tuple[Callable[[str], Any], Callable[[dict[str, Any]], str]]:
    suffix = Path(path).suffix
    if suffix == ".toml":
        return tomllib.loads, _toml
    if suffix == ".json":
        return json.loads, lambda data: json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    raise SlotError(f"{path}: slots are kept in a .toml or a .json file")


def _toml(data: dict[str, Any]) -> str:
    """Texts of several lines as such, unless one has line ends that TOML would change."""
    import tomli_w

    text = tomli_w.dumps(data, multiline_strings=True)
    return text if tomllib.loads(text) == data else tomli_w.dumps(data)


def _check(where: str, value: object, *, toml: bool) -> None:
    """That a value comes back as it is."""
    if isinstance(value, str):
        plain_text(where, value)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check(f"{where}, item {i}", item, toml=toml)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise SlotError(f"{where}: a file has texts as keys only, not {key!r}")
            plain_text(where, key)
            _check(f"{where}, field {key!r}", item, toml=toml)
    elif value is None and toml:
        raise SlotError(f"{where}: TOML has no None; leave the field out, or save to a .json file")
    elif not isinstance(value, (int, float, date, datetime, time) if toml else (int, float, type(None))):
        raise SlotError(f"{where}: {value!r:.60} cannot be kept in a file of this kind")


def _replace(path: Path, text: str) -> None:
    """A file is there as a whole, or as it was; behind a link, the file that it leads to."""
    path = path.resolve()
    whole = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with whole.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, whole)
        whole.replace(path)
    finally:
        whole.unlink(missing_ok=True)
