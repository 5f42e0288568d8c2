"""URLs of servers."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def is_url(path: object) -> bool:
    """Whether it names a server."""
    return isinstance(path, str) and path.startswith(("http://", "https://"))


def without_password(url: str) -> str:
    """A URL without the user and password that it may hold, and without its query; anything else as it is."""
    if not is_url(url):
        return url
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
