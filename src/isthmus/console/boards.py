"""What has pages for a browser in a mesh: labels of its pods, its port, its first page."""

from __future__ import annotations

from typing import NamedTuple

from isthmus.console.programs import ADMIN_PORT, MONITORING_PORT, PILOT


class Board(NamedTuple):
    """Something with pages; without labels it is beside a pod that is named."""

    labels: tuple[str, ...]
    port: int
    path: str = "/"


BOARDS = {
    "pilot": Board((PILOT,), MONITORING_PORT, "/debug"),
    "envoy": Board((), ADMIN_PORT),
    "prometheus": Board(("app.kubernetes.io/name=prometheus", "app=prometheus"), 9090),
    "grafana": Board(("app.kubernetes.io/name=grafana", "app=grafana"), 3000),
    "kiali": Board(("app.kubernetes.io/name=kiali", "app=kiali"), 20001, "/kiali"),
    "jaeger": Board(("app.kubernetes.io/name=jaeger", "app=jaeger"), 16686),
    "zipkin": Board(("app.kubernetes.io/name=zipkin", "app=zipkin"), 9411),
}
"""By the names that the command has for them."""
