"""What the agent tells about itself and its Envoy on port 15020: readiness, and all metrics on one page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from isthmus.kit.plain_http import NOT_FROM_OUTSIDE, Request, Response, fetch
from isthmus.model import holdings
from isthmus.sidecar.proxy_process import ProxyProcess
from isthmus.sidecar.source import CertificateSource

_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_NO_SUCH = f"there are /healthz/ready, /stats/prometheus, {holdings.PAGE}, /quitquitquit\n".encode()


class StatusSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where Envoy is asked, and the application for its metrics (no port: it is not asked)."""

    admin_port: int = 15000
    application_port: int = 0
    application_path: str = "/metrics"


class Status:
    """Answers for an `HttpServer`. `quit_` ends the agent: for Jobs, whose sidecar would outlive them."""

    def __init__(
        self,
        settings: StatusSettings,
        certificates: CertificateSource,
        proxy: ProxyProcess,
        quit_: Callable[[], None],
        more: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """`more`: further metrics of the agent, by their names."""
        self._settings, self._certificates, self._more = settings, certificates, more
        self._proxy, self._quit = proxy, quit_

    async def answer(self, request: Request) -> Response:
        """The answer to one request."""
        match request.method, request.path.partition("?")[0]:
            case "GET" | "HEAD", "/healthz/ready":
                reason = await self._why_not_ready()
                return Response(503, f"{reason}\n".encode()) if reason else Response(body=b"ready\n")
            case "GET", "/stats/prometheus" | "/metrics":
                return Response(body=await self._metrics(), content_type=_METRICS)
            case "GET", holdings.PAGE if not request.is_from_within:
                return NOT_FROM_OUTSIDE
            case "GET", holdings.PAGE:
                body = msgspec.json.encode(self._certificates.holding())
                return Response(body=body, content_type="application/json")
            case "POST", "/quitquitquit":
                # The port is open to the whole network, but only this pod may end its own agent.
                if not request.is_from_within:
                    return Response(403, b"only from within the pod\n")
                self._quit()
                return Response(body=b"ending\n")
            case _:
                return Response(404, _NO_SUCH)

    async def _why_not_ready(self) -> str:
        if not self._certificates.is_valid:
            held = self._certificates.held.value
            return "the certificate has expired" if held else "no certificate yet"
        try:
            # Envoy is LIVE only with listeners and upstreams from Pilot: their first fetch has no limit.
            answer = await fetch("GET", self._settings.admin_port, "/ready")
        except (OSError, TimeoutError):
            return "envoy does not answer"
        if answer.status == 200:
            return ""
        state = answer.body.decode(errors="replace").strip()
        waits = "INITIALIZING" in state  # or PRE_INITIALIZING
        return f"envoy is {state}" + (": it has no configuration from pilot yet" if waits else "")

    async def _metrics(self) -> bytes:
        pages = [self._page(self._settings.admin_port, "/stats/prometheus")]
        if self._settings.application_port:
            pages.append(self._page(self._settings.application_port, self._settings.application_path))
        return b"".join([*await asyncio.gather(*pages), self._own_metrics()])

    async def _page(self, port: int, path: str) -> bytes:
        try:
            answer = await fetch("GET", port, path)
        except (OSError, TimeoutError):
            return b""
        return answer.body.rstrip(b"\n") + b"\n" if answer.status == 200 else b""

    def _own_metrics(self) -> bytes:
        held = self._certificates.held.value
        values = {
            "istio_agent_cert_expiry_timestamp": held.end if held else 0.0,
            'istio_agent_cert_expiry_seconds{resource_name="default"}': self._certificates.left_s,
            "istio_agent_num_certificates_received": float(self._certificates.received),
            "istio_agent_num_failed_certificate_requests": float(self._certificates.failed),
            "istio_agent_num_envoy_starts": float(self._proxy.starts),
        }
        gauges = [
            f"# TYPE {name.partition('{')[0]} gauge\n{name} {value}\n" for name, value in values.items()
        ]
        counters = [f"# TYPE {name} counter\n{name} {value}\n" for name, value in self._more().items()]
        return "".join(gauges + counters).encode()
