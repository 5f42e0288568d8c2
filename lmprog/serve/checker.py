"""`python -m lmprog.serve.checker`: tries constraints out, each in a process of its own.

Compiling a schema or regex may take exponential time and memory, and Python's threads cannot be stopped. So a server
has one of these beside it: a process of one thread that knows the vocabulary, and forks for every constraint. The child
compiles it and takes a few random walks through its masks, as a request would, within limits of processor time and
memory that the kernel enforces. What has passed is compiled again by the server, which then takes no longer.
(Considered: a pool of workers that is killed and started anew, which takes seconds each time; budgets inside of the
compiler, which would have to be in every loop of it.)

Input: the vocabulary, pickled; then a JSON object a line: id, spec, seconds. Output: a line `ready`, then a JSON object
for each, in the order in which they are done: id, and fault: null, or status and message.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import random
import resource
import signal
import sys
from contextlib import suppress
from typing import Any, BinaryIO

from ..grammars import Constraint, Vocabulary, any_text, compile, json_schema
from ..grammars.errors import BudgetError, LmprogError
from ..grammars.sketches import tokens_of
from .constraints import Spec, build

MEMORY = 1 << 30  # bytes that a constraint may take beside what the process has already
WALKS, STEPS, TOKENS = 2, 32, 1024  # walks, their steps, and the budget of tokens that they begin with
LINE = 3000  # bytes of a message: a whole line is written at once (PIPE_BUF)
TOO_MUCH = "the constraint takes too long to compile, or too much memory"


def main() -> None:
    """Serve until the input ends."""
    requests, answers = sys.stdin.buffer, sys.stdout.fileno()
    tokens, eos = pickle.load(requests)
    vocab = Vocabulary(tokens, eos)
    for grammar in (json_schema({"type": "object"}, whitespace="compact"), any_text()):
        _try_out(compile(grammar, vocab))  # so that all tables of the vocabulary are there before a fork
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server
    os.write(answers, b"ready\n")
    _serve(requests, answers, vocab)


def _serve(requests: BinaryIO, answers: int, vocab: Vocabulary) -> None:
    """Children answer for themselves; for one that is killed its parent, a child of this process, does."""
    for line in requests:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        if os.fork() == 0:
            os._exit(_watch(json.loads(line), answers, vocab))


def _watch(job: dict[str, Any], answers: int, vocab: Vocabulary) -> int:
    child = os.fork()
    if child == 0:
        _limit(job["seconds"])
        _answer(answers, job["id"], _fault(Spec(*job["spec"]), vocab))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        _answer(answers, job["id"], TOO_MUCH)
    return 0


def _limit(seconds: float) -> None:
    """SIGPROF ends a process that does not handle it."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    with open("/proc/self/statm") as statm:
        size = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(answers: int, number: int, fault: str | None) -> None:
    shown = None if fault is None else fault.encode(errors="replace")[:LINE].decode(errors="ignore")
    text = json.dumps({"id": number, "fault": shown}, ensure_ascii=False) + "\n"
    os.write(answers, text.encode())


def _fault(spec: Spec, vocab: Vocabulary) -> str | None:
    try:
        _try_out(compile(build(spec), vocab))
    except LmprogError as error:
        return str(error)
    except (MemoryError, RecursionError, OverflowError):
        return TOO_MUCH
    except Exception as error:  # whatever it is, it must not meet the server
        return f"the constraint cannot be compiled: {type(error).__name__}"
    return None


def _try_out(c: Constraint) -> None:
    """As a request would use it; the same walks every time."""
    chance = random.Random(0)
    for _ in range(WALKS):
        state = c.start()
        for left in range(TOKENS, TOKENS - STEPS, -1):
            with suppress(BudgetError):
                c.mask(state, left)
            token = int(chance.choice(tokens_of(c.mask(state))))  # never empty: EOS, where nothing else can be
            after = None if token in c.vocab.eos else c.advance(state, token)
            if after is None:
                break
            c.forced_tokens(after)
            state = after


if __name__ == "__main__":
    main()
