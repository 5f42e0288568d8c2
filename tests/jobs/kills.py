"""Kill a job again and again at random moments, and compare what it writes in the end with an undisturbed run.

    python -m tests.jobs.kills [--rounds 50] [--seed 0] [PATH ...]

The paths: running, finishing (the output is put in place), two (workers, one of which is killed), watch, and the
outputs parquet, duckdb and sqlite. After every kill the state has to be whole, and to hold no less than before.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from lmprog.jobs import Fields, extract
from lmprog.jobs.extract import Job
from lmprog.jobs.follow import follow
from lmprog.jobs.inbox import Inbox
from lmprog.jobs.layout import layout
from lmprog.jobs.letters import letters_path
from lmprog.jobs.opening import open_state
from lmprog.jobs.outputs import output
from lmprog.jobs.state import state_path
from lmprog.jobs.target import target
from lmprog.testing import RandomModel

DOCS = [f"document {n} " * (n % 5 + 1) for n in range(150)]
DOCS[33] = ""
SCHEMA = {"properties": {"word": {"type": "string", "maxLength": 30}, "n": {"type": "integer"}}}
TABLES = {"parquet": "out.parquet", "duckdb": "out.duckdb#mine", "sqlite": "out.sqlite#mine"}


def work(out: Path) -> None:
    extract(RandomModel(4), DOCS, SCHEMA, out=out, resume=True, max_tokens=40)


def watch(docs: Path, out: Path) -> None:
    """Until nothing has come for a moment."""
    inbox, model = Inbox(docs, Fields()), RandomModel(4)
    goal = target(SCHEMA)
    job = Job(inbox.source(), goal, layout(goal.schema), 40)
    with closing(open_state(out, job.parts(model.name), 0, resume=True)) as state:
        inbox.db = state.db
        follow(job, inbox, job.worker(model), state, until_idle=0.1)


def spawn(do: Callable[[], None]) -> int:
    """A process of its own, by a fork, so that it starts at once."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        do()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int) -> bool:
    """Wait for it; False when it was killed. Raises when it failed."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"a process ended with {code}")
    return code == 0


def killed(do: Callable[[], None], seconds: float) -> bool:
    """Run it for so long at most; whether it was killed."""
    child = spawn(do)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return not ended(child)


def held(out: Path) -> int:
    """How many records the state holds, which has to be whole."""
    path = state_path(out)
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as db:
        assert [("ok",)] == db.execute("PRAGMA integrity_check").fetchall()
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'tally'").fetchall():
            return 0
        (done,) = db.execute("SELECT total(n) FROM tally").fetchone()
        assert [(done,)] == db.execute("SELECT count(result) FROM records").fetchall()
        return int(done)


class Trial:
    """One path, in a folder of its own. `whole` is what an undisturbed run writes, which takes `seconds`."""

    def __init__(self, path: str, folder: Path, rng: random.Random) -> None:
        self.path, self.folder, self.rng = path, folder, rng
        self.out = folder / TABLES.get(path, "out.jsonl")
        self.docs = folder / "docs.jsonl"
        self.docs.write_text("".join(json.dumps(doc) + "\n" for doc in DOCS))
        began = time.perf_counter()
        assert ended(spawn(self.do))
        self.seconds = time.perf_counter() - began
        self.whole = output(self.out).mark()
        self.kills = self.finished = 0
        if path == "finishing":
            self.begin_finishing()
        else:
            self.clear()

    def do(self) -> None:
        if self.path == "watch":
            watch(self.docs, self.out)
        else:
            work(self.out)

    def clear(self) -> None:
        for file in self.folder.iterdir():
            if file != self.docs:
                file.unlink()

    def begin_finishing(self) -> None:
        """All records done, the output not yet in its place."""
        output_file = self.folder / self.out.name
        output_file.unlink(missing_ok=True)
        with closing(sqlite3.connect(state_path(self.out), isolation_level=None)) as db:
            db.execute("""UPDATE job SET value = '"running"' WHERE name = 'stage'""")

    def round(self) -> None:
        before = 0 if self.path == "finishing" else held(self.out)
        if self.path == "two":
            self.two()
            return
        most = 0.08 if self.path == "finishing" else self.seconds
        if killed(self.do, self.rng.uniform(0, most)):
            self.kills += 1
            assert held(self.out) >= before
            return
        self.check()

    def two(self) -> None:
        """One of two is killed; the other brings it to its end."""
        children = [spawn(self.do), spawn(self.do)]
        time.sleep(self.rng.uniform(0, self.seconds))
        os.kill(children[0], signal.SIGKILL)
        self.kills += not ended(children[0])
        assert ended(children[1])
        self.check()

    def check(self) -> None:
        self.finished += 1
        assert self.whole == output(self.out).mark(), f"{self.out} differs"
        if self.path == "finishing":
            self.begin_finishing()
        else:
            self.clear()

    def end(self) -> None:
        assert ended(spawn(self.do))
        self.check()
        assert not letters_path(self.out).exists()


PATHS = ["running", "finishing", "two", "watch", *TABLES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", default=PATHS)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for path in options.paths:
        folder = Path(tempfile.mkdtemp(prefix="lmprog-kills-"))
        trial = Trial(path, folder, random.Random(f"{options.seed} {path}"))
        while trial.kills < options.rounds and trial.finished < 10 * options.rounds:
            trial.round()
        trial.end()
        print(f"{path}: {trial.kills} kills, {trial.finished} outputs, all the same", flush=True)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
