"""HTTP/1.1 connections that cannot be held open for nothing.

uvicorn closes idle connections, but waits for ever for the head of a request once a byte of it has come, and for
clients that do not read. Here a head must be complete some seconds after its first byte (or after the connection was
made), the rest of a body that nobody read likewise, and a client that leaves what was sent to it in the buffers is
disconnected.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from .settings import Settings

FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def guarded(settings: Settings) -> type[asyncio.Protocol]:
    """The protocol class of a server."""

    class Guarded(_Guarded):
        limits = settings

    return Guarded


class _Guarded(H11Protocol):
    limits: Settings
    _head: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.write(FULL)
            transport.close()
        else:
            self._guard()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._guard()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._guard()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.stall, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _guard(self) -> None:
        """Start the clock when something is to come from the client, stop it when it is there."""
        if self._owed():
            if self._head is None and not self.transport.is_closing():
                self._head = self.loop.call_later(self.limits.head, self._too_slow)
        elif self._head is not None:
            self._head.cancel()
            self._head = None

    def _owed(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None:
            return True
        if not cycle.response_complete:
            return False
        return self.conn.their_state is not h11.IDLE or bool(self.conn.trailing_data[0])

    def _too_slow(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None and not self.transport.is_closing():
            self.transport.write(SLOW)
        self.transport.close()
