"""What a server allows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Limits of a server. Sizes are in bytes, times in seconds.

    name          what the model is called in /v1/models (None: the model's own name)
    keys          API keys, one of which a request must bring; none: everybody may
    body          longest request body
    constraint    longest schema, regex or grammar
    compile       processor time that compiling a constraint may take
    decode        processor time that one request's masks may take
    max_tokens    most tokens of an answer
    choices       most answers of one request (n times the prompts)
    waiting       most answers under way or waiting, of all clients
    waiting_each  the same of one client
    timeout       of a whole request
    head          until the head of a request must be there
    upload        until its body must be there
    stall         that a client may leave what was sent to it unread
    keep_alive    until an idle connection is closed
    connections   most of them at once
    grace         that requests get to end in when the server is told to stop
    """

    name: str | None = None
    keys: tuple[str, ...] = ()
    body: int = 1 << 20
    constraint: int = 1 << 16
    compile: float = 2.0
    decode: float = 10.0
    max_tokens: int = 4096
    choices: int = 64
    waiting: int = 1024
    waiting_each: int = 512
    timeout: float = 300.0
    head: float = 10.0
    upload: float = 20.0
    stall: float = 30.0
    keep_alive: int = 30
    connections: int = 512  # below the 1,024 files that a process may usually open
    grace: int = 10
