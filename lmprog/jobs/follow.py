"""A job without an end: whatever comes to an inbox is done, and the output grows."""

from __future__ import annotations

import time
from collections.abc import Iterator

from .appending import Appender
from .documents import Document
from .extract import Desk, Job, Watch
from .fleet import Fleet
from .inbox import Inbox
from .letters import write_letters
from .state import POLL, WINDOW, State
from .summary import Summary
from .work import Records, Worker


def follow(
    job: Job,
    inbox: Inbox,
    worker: Worker | Fleet,
    state: State,
    watch: Watch | None = None,
    until_idle: float | None = None,
) -> Summary:
    """Do what comes to the inbox, together with all others who work on `state`, and append it to the output.

    It ends when nothing has come for `until_idle` seconds; with None only by an exception, such as KeyboardInterrupt.
    """
    desk, appender, busy = Desk(job, worker, state, watch), Appender(state.out, state.db), time.monotonic()

    def put(records: Records) -> None:
        desk.put(records)
        appender.append()

    appender.append()
    try:
        while until_idle is None or time.monotonic() - busy < until_idle or not state.complete:
            state.total = inbox.look(state.db)
            if state.ready():
                worker.run(arrivals(inbox, state), put)
                busy = time.monotonic()
            else:
                time.sleep(POLL)
    finally:
        with state.db.write():  # no other worker at the same time
            write_letters(appender.out, state.db, job.source)
    return desk.figures()


def arrivals(inbox: Inbox, state: State) -> Iterator[tuple[int, Document]]:
    """The documents that are there and free, claimed for this worker."""
    while numbers := state.take(WINDOW):
        for number in numbers:
            ((place,),) = state.db.rows("SELECT place FROM places WHERE number = ?", number)
            yield number, inbox.row(place)()
        state.total = inbox.look(state.db)
