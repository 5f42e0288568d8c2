"""Errors of remote servers; each names the URL and what can be done. `BackendError` stands for all of them.

LmprogError
└── BackendError        `url`, and the HTTP `status` where there was an answer
    ├── BackendUnreachable   no connection, no answer in time, an answer cut off, or the server itself failed (5xx)
    ├── BackendBusy          too many requests (429), also after all retries
    ├── BackendRefused       the request is not accepted (4xx): wrong key, unknown model, wrong path
    └── BackendAnswer        an answer that is not of the protocol, or breaks the constraint that was sent
"""

from __future__ import annotations

from ...grammars.errors import LmprogError


class BackendError(LmprogError):
    """A server did not do what it was asked. `url` says which; `status` is that of its answer, if there was one, `wait`
    the seconds after which it may be asked again, if it says so."""

    wait: float | None = None

    def __init__(self, message: str, url: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.url, self.status = url, status

    def __reduce__(self) -> tuple[type[BackendError], tuple[str, str, int | None]]:
        return type(self), (str(self), self.url, self.status)


class BackendUnreachable(BackendError):
    """No connection, no answer in time, an answer that was cut off, or an error of the server itself."""


class BackendBusy(BackendError):
    """The server takes no more requests for now, and did not after all retries either."""


class BackendRefused(BackendError):
    """The server does not accept the request: a wrong key, an unknown model, a wrong path."""


class BackendAnswer(BackendError):
    """An answer that is not of the protocol, or that breaks the constraint that the server was given."""
