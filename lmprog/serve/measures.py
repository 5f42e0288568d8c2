"""Figures of the server for Prometheus, beside those of the engine."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ..runtime.model import Model
from ..runtime.stats import BOUNDS

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Measures:
    """Requests by route and status, how long they took, how many there are now, and why some were refused."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        route = ["route"]
        self.requests = Counter(
            "lmprog_http_requests", "HTTP requests.", [*route, "method", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "lmprog_http_request_seconds", "From head to end.", route, registry=self._registry, buckets=BOUNDS
        )
        self.active = Gauge("lmprog_http_active_requests", "HTTP requests now.", registry=self._registry)
        self.refused = Counter(
            "lmprog_http_refused", "Requests that were refused, by reason.", ["code"], registry=self._registry
        )

    def exposition(self, model: Model) -> str:
        return model.engine.metrics() + generate_latest(self._registry).decode()
