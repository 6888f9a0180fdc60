"""Pods of IPv6 alone, and of both versions of IP: what their agents make of it."""

from __future__ import annotations

import asyncio
import json

import pytest

from isthmus.api.istio.workload_group import HTTPHealthCheckConfig, ReadinessProbe
from isthmus.envoy.binary import envoy_executable, validate
from isthmus.sidecar.agent import bootstrap_settings
from isthmus.sidecar.bootstrap import bootstrap_json
from isthmus.sidecar.environment import AgentFlags, agent_settings
from isthmus.sidecar.probing import Here, answer

FOUR, SIX = "10.0.0.5", "fd00::5"


@pytest.mark.parametrize("addresses", [(SIX,), (SIX, FOUR), (FOUR, SIX)], ids="/".join)
def test_envoy_takes_the_bootstrap_and_says_all_addresses(addresses, tmp_path):
    variables = {
        "POD_NAME": "web", "POD_NAMESPACE": "shop", "ISTIO_META_CLUSTER_ID": "gke", "ISTHMUS_PODINFO": str(tmp_path),
        "INSTANCE_IP": addresses[0], "INSTANCE_IPS": ",".join(addresses),
    }  # fmt: skip
    made = bootstrap_json(bootstrap_settings(agent_settings(variables, AgentFlags()), tmp_path))
    node = json.loads(made)["node"]
    assert node["id"].split("~")[1] == addresses[0]
    assert node["metadata"]["INSTANCE_IPS"] == ",".join(addresses)
    validate(envoy_executable(), made)


@pytest.mark.parametrize(("address", "source"), [("::1", ""), ("127.0.0.1", "127.0.0.6")])
async def test_an_application_that_listens_at_one_version_of_ip_is_probed_there(address, source):
    async def well(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(well, address, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        probe = ReadinessProbe(http_get=HTTPHealthCheckConfig(port=port, path="/"))
        assert (await answer(probe, Here(address, source))).status == 200
