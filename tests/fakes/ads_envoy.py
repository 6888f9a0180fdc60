"""A real Envoy on loopback that asks a Pilot for everything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from isthmus.envoy.binary import envoy_executable
from isthmus.kit.polling import until

ADS = {"ads": {}, "resource_api_version": "V3"}


def address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTP2 = {
    "@type": f"type.googleapis.com/{_OPTIONS}",
    "explicit_http_config": {"http2_protocol_options": {}},
}


def _grpc(name: str, port: int) -> dict[str, object]:
    return {
        "name": name,
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {_OPTIONS: _HTTP2},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    }


class Envoy:
    """A running Envoy, by its admin page."""

    def __init__(self, admin: str, http: aiohttp.ClientSession) -> None:
        self._admin, self._http = admin, http

    @property
    def port(self) -> int:
        """Of its admin page."""
        return int(self._admin.rpartition(":")[2])

    async def get(self, path: str) -> str:
        async with self._http.get(f"{self._admin}{path}") as reply:
            return await reply.text()

    async def dump(self, kind: str) -> list[dict[str, object]]:
        found = json.loads(await self.get("/config_dump?include_eds"))["configs"]
        return [each for each in found if each["@type"].endswith(f".{kind}")]

    async def comes_to_have_warm(self, *names: str) -> None:
        """Waits until these upstreams are warm, and no others are there.

        Our side may be quiet before: Envoy accepts an upstream first and asks for its endpoints then.
        """
        async with asyncio.timeout(30):
            while True:
                [dump] = await self.dump("ClustersConfigDump")
                warm = {each["cluster"]["name"] for each in dump.get("dynamic_active_clusters", [])}
                if warm == set(names) and not dump.get("dynamic_warming_clusters"):
                    return
                await asyncio.sleep(0.01)

    async def addresses_of(self, name: str) -> list[str]:
        found = json.loads(await self.get("/clusters?format=json"))["cluster_statuses"]
        [one] = [each for each in found if each["name"] == name]
        return sorted(
            str(each["address"]["socket_address"]["port_value"]) for each in one.get("host_statuses", [])
        )


@asynccontextmanager
async def envoy(
    pilot: str, dialect: str, folder: Path, *, local: str = "", node: dict[str, Any] | None = None
) -> AsyncIterator[Envoy]:
    """`node`: who it says it is. `local`: the name of an upstream of its own whose endpoints it asks for.

    Zone aware routing needs these.
    """
    host, _, port = pilot.rpartition(":")
    ads = {
        "api_type": "DELTA_GRPC" if dialect == "delta" else "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
    }
    admin_path = folder / "admin"
    bootstrap: dict[str, Any] = {
        "node": node or {"id": f"sidecar~{host}~a.books~books.svc.cluster.local", "cluster": "a.books"},
        "admin": {"address": address(0)},
        "dynamic_resources": {"ads_config": ads, "cds_config": ADS, "lds_config": ADS},
        # The agent that serves SDS is, as far as there is one here, where Pilot is.
        "static_resources": {"clusters": [_grpc(name, int(port)) for name in ("xds-grpc", "sds-grpc")]},
    }
    if local:
        bootstrap["cluster_manager"] = {"local_cluster_name": local}
        own = {"name": local, "type": "EDS", "eds_cluster_config": {"eds_config": ADS, "service_name": local}}
        bootstrap["static_resources"]["clusters"].append(own)
    (folder / "bootstrap.json").write_text(json.dumps(bootstrap))
    with (folder / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(envoy_executable()),
            *("-c", str(folder / "bootstrap.json"), "--admin-address-path", str(admin_path)),
            *("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"),
            *("--drain-time-s", "1", "--drain-strategy", "immediate"),  # as a pod's
            stdout=log,
            stderr=log,
        )
        try:
            async with asyncio.timeout(30):
                await until(lambda: admin_path.exists() and bool(admin_path.read_text().strip()), 0.01)
            async with aiohttp.ClientSession() as http:
                yield Envoy(f"http://{admin_path.read_text().strip()}", http)
        finally:
            process.terminate()
            await process.wait()
