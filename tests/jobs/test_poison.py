"""A job of many records of which one in a hundred is broken: each is accounted for, and memory stays flat.

LMPROG_POISON=10000 sets how many; fewer by default.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from .conftest import environment, read

COUNT = int(os.environ.get("LMPROG_POISON", "1500"))
JOB = """
import json, os, resource, sys
from pathlib import Path
from contextlib import closing

from lmprog.jobs.documents import Fields, source
from lmprog.jobs.extract import Job, run
from lmprog.jobs.layout import layout
from lmprog.jobs.opening import open_state
from lmprog.jobs.reading import Chunks, Reading
from lmprog.jobs.target import target
from lmprog.testing import RandomModel

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

seen = []
def watch(now):
    if not seen or now.records - seen[-1][0] >= count // 10:
        seen.append((now.records, resident()))

docs, out, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
schema = {"properties": {"word": {"type": "string", "maxLength": 8}, "n": {"type": "integer", "maximum": 99}}}
goal = target(schema)
whole = Reading(chunks=Chunks(never=True))
job = Job(source(docs, Fields()), goal, layout(goal.schema), 40, reading=whole)
model = RandomModel(1, context=4000)
with closing(open_state(out, job.parts("random"), job.source.total)) as state:
    summary = run(job, job.worker(model), state, watch)
print(json.dumps({"records": summary.records, "failed": summary.failed, "resident": seen}))
"""


def line(n: int) -> bytes:
    """Broken JSON, bytes that are not UTF-8, a giant document, no text; all else is well."""
    if n % 100 == 50:
        kinds = [b'{"id": %d, "text": "brok', b'{"id": %d, "text": "\xff\xfe"}', b"", b'{"id": %d, "txt": "x"}']
        kind = n // 100 % 4
        return json.dumps({"id": n, "text": "giant " * 200_000}).encode() if kind == 2 else kinds[kind] % n
    return json.dumps({"id": n, "text": f"document {n} " * (1 + n % 9)}).encode()


@pytest.mark.slow
def test_every_record_is_accounted_for_and_memory_stays_flat(tmp_path: Path) -> None:
    docs, out = tmp_path / "docs.jsonl", tmp_path / "out.jsonl"
    with docs.open("wb") as file:
        file.writelines(line(n) + b"\n" for n in range(1, COUNT + 1))
    command = [sys.executable, "-c", JOB, str(docs), str(out), str(COUNT)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    records, poison = read(out), [n for n in range(1, COUNT + 1) if n % 100 == 50]
    errors = {record["id"]: record["error"]["type"] for record in records if record["error"]}

    assert (COUNT, len(poison)) == (said["records"], said["failed"])
    assert list(range(1, COUNT + 1)) == [record["id"] for record in records]
    assert poison == list(errors)
    giants = sum(n // 100 % 4 == 2 for n in poison)
    assert {"InputError": len(poison) - giants, "ContextOverflow": giants} == Counter(errors.values())
    letters = read(tmp_path / "out.dead.jsonl")
    assert poison == [letter["id"] for letter in letters]
    (_, early), (_, late) = said["resident"][2], said["resident"][-1]
    assert late < early + (16 << 20)
    print(f"{COUNT} records: {early >> 20} MB after a fifth of them, {late >> 20} MB at the end")
