"""Compiled constraints on disk: the automaton as far as it has been explored, and its masks.

A file is a numpy archive of plain arrays, never a pickle, and everything in it is checked before it is used: a file
that was damaged or tampered with is a StoreError, not a crash. It fits one vocabulary only, and says which.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._native import Arena
from .algebra import Native
from .automaton import DEAD
from .constraint import Automatic, Constraint
from .errors import LmprogError, UnsupportedConstraint
from .rows import NARROW, Row, Rows
from .vocabulary import Vocabulary

FORMAT = 2
PARTS = 5  # arrays of an index of suffixes
_ARENA = ("nodes", "bytes", "lists", "graphs", "edges")


class StoreError(LmprogError):
    """A stored constraint cannot be used: it is damaged, of another version, or of another vocabulary."""


def save(constraint: Constraint, path: str | Path) -> None:
    """Write a compiled constraint with the masks that it has so far; the file appears whole or not at all.

    Raises UnsupportedConstraint for constraints that are not of lmprog's own automaton, OSError when it cannot write.
    """
    if not isinstance(constraint, Automatic) or not isinstance(constraint._algebra, Native):
        raise UnsupportedConstraint("only constraints whose automaton is compiled natively can be stored")
    if not constraint._algebra.finished:
        raise UnsupportedConstraint(
            "constraints whose rules are written on the way (the format regex, uniqueItems) cannot be stored"
        )
    with constraint._lock:
        if any(len(parts) != PARTS for parts in constraint._algebra._arena.indexes()):
            raise UnsupportedConstraint("constraints with quotes of a corpus cannot be stored: save the corpus")
        arrays = _arrays(constraint, constraint._algebra._arena)
    target = Path(path)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _arrays(c: Automatic, arena: Arena) -> dict[str, npt.NDArray[Any]]:
    table, exprs = c._automaton.dfa.dump()
    rows = c._rows._rows
    ends = [row.ends for row in rows.values()]
    return {
        "format": np.array([FORMAT, c._root]),
        "vocabulary": np.frombuffer(fingerprint(c.vocab), np.uint8),
        **{name: np.frombuffer(data, np.uint8) for name, data in zip(_ARENA, arena.dump(), strict=True)},
        **{
            f"index {i} {k}": np.frombuffer(part, np.uint8)
            for i, parts in enumerate(arena.indexes())
            for k, part in enumerate(parts)
        },
        "table": np.frombuffer(table, np.uint8),
        "exprs": np.frombuffer(exprs, np.uint8),
        "states": np.array(list(rows), np.int64),
        "masks": np.array([row.mask for row in rows.values()], np.int32).reshape(len(rows), c.vocab.words),
        "needs": np.array([row.need for row in rows.values()], np.int64),
        "ends": np.array([end for each in ends for end in each], np.int64),
        "counts": np.array([len(each) for each in ends], np.int64),
    }


def load(path: str | Path, vocab: Vocabulary) -> Constraint:
    """A constraint that `save` wrote. Raises StoreError, or OSError when the file cannot be read."""
    data = io.BytesIO(Path(path).read_bytes())
    try:
        with np.load(data, allow_pickle=False) as archive:
            return _restored({name: archive[name] for name in archive.files}, vocab)
    except StoreError:
        raise
    except Exception as error:  # zipfile and numpy do not say what they raise for damaged files, and it is a long list
        raise StoreError(f"{path} is not a stored constraint, or is damaged ({error}): compile it again") from error


def _restored(arrays: dict[str, npt.NDArray[Any]], vocab: Vocabulary) -> Constraint:
    version, root = (int(x) for x in arrays["format"])
    if version != FORMAT:
        raise StoreError(f"a constraint stored in format {version}, this is {FORMAT}: compile it again")
    if arrays["vocabulary"].tobytes() != fingerprint(vocab):
        raise StoreError("the constraint was stored for another vocabulary: compile it again")
    arena = Arena()
    for i in range(sum(name.startswith("index ") for name in arrays) // PARTS):
        arena.index(*[arrays[f"index {i} {k}"].tobytes() for k in range(PARTS)])
    arena.load(*[arrays[name].tobytes() for name in _ARENA])
    if not 0 <= root < arena.size():
        raise ValueError("no such expression")
    c = Automatic(Native(arena), root, vocab)
    c._automaton.dfa.load(arrays["table"].tobytes(), arrays["exprs"].tobytes(), arena.size())
    if c.start() == DEAD:
        raise ValueError("it accepts nothing")
    _restore_rows(c._rows, arrays, len(c._automaton))
    return c


def _restore_rows(rows: Rows, arrays: dict[str, npt.NDArray[Any]], states: int) -> None:
    masks = np.ascontiguousarray(arrays["masks"], np.int32)
    numbers, needs, counts = (arrays[name].astype(np.int64) for name in ("states", "needs", "counts"))
    ends = arrays["ends"].astype(np.int64)
    known = np.concatenate([numbers, ends])
    if masks.shape != (len(numbers), rows.vocab.words) or len(needs) != len(numbers) or len(counts) != len(numbers):
        raise ValueError("masks do not fit")
    if (counts < 0).any() or counts.sum() != len(ends) or (known < 0).any() or (known >= states).any():
        raise ValueError("masks of states that are not there")
    masks.flags.writeable = False
    at = np.concatenate([[0], np.cumsum(counts)])
    for i, s in enumerate(numbers.tolist()):
        row = Row(masks[i], None, int(needs[i]), ends[at[i] : at[i + 1]].tolist())
        if np.bitwise_count(row.mask.view(np.uint32)).sum() <= NARROW:
            row.ids = rows.ids(row)
            row.ids.flags.writeable = False
        rows._rows[s] = row


def fingerprint(vocab: Vocabulary) -> bytes:
    """SHA-256 of the tokens and the EOS ids."""
    digest = hashlib.sha256(repr(sorted(vocab.eos)).encode())
    for token in vocab.token_bytes:
        digest.update(b"-" if token is None else b"%d:%b" % (len(token), token))
    return digest.digest()
