"""What Pilot knows when it first speaks: as much as one that has run for long, for proxies are told at once."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from fakes import manifests
from fakes.eventually import eventually
from fakes.issuers import Key, Publisher, jwks
from fakes.pki import Pki
from fakes.ports import free_ports
from isthmus.admission.injection import NotReady, There
from isthmus.api.crd import custom_resource_definitions, gateway_api_definitions
from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.request_authentication import RequestAuthentication
from isthmus.app import Pilot
from isthmus.console.installation import Installation, documents
from isthmus.discovery import kept_keys
from isthmus.kit.jwks import read_jwks
from isthmus.kit.tasks import supervise
from isthmus.model.mesh import Mesh
from isthmus.model.names import ClusterId
from isthmus.settings import PilotSettings
from unit.ca.installed import SYSTEM, Installed, installed

EDGE = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: default}
spec:
  gatewayClassName: istio
  listeners: [{name: shop, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: shop-cert}]}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    trustDomain: cluster.local
  meshNetworks: |
    networks:
      far: {endpoints: [{fromRegistry: far}], gateways: [{address: localhost, port: 15443}]}
      lost: {endpoints: [{fromRegistry: lost}], gateways: [{address: no-such-host.invalid, port: 15443}]}
"""
"""Of what it names more must be found out: the Secret's content, and addresses of names, of which one has none."""


def made(kind: str, spec: dict[str, object]) -> dict[str, object]:
    meta = {"name": "users", "namespace": "default"}
    return {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def settings(**more: object) -> PilotSettings:
    plain, monitoring = free_ports(2)
    usual = {"cluster": "gke", "address": "127.0.0.1", "grpc_port": plain, "monitoring_port": monitoring}
    return PilotSettings(**{**usual, "secure_grpc_port": 0, **more})  # type: ignore[arg-type]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Installed]:
    async with installed(tmp_path) as found:
        await found.apply([*custom_resource_definitions(), *gateway_api_definitions()])
        yield found


async def first_told(place: Installed, chosen: PilotSettings) -> Mesh:
    """The mesh that a Pilot tells first."""
    pilot = Pilot(chosen, place.admin)
    async with supervise(pilot.run()):
        async with asyncio.timeout(60):
            await pilot.fanout.shared.published.wait()
        return pilot.builder.mesh


async def test_certificates_and_names_are_known_when_proxies_are_told_first(place: Installed) -> None:
    leaf = Pki().leaf(dns=("shop.example.com",))
    pair = {"tls.crt": leaf.certificate, "tls.key": leaf.key}
    data = {name: base64.b64encode(each).decode() for name, each in pair.items()}
    await place.make("secrets", "Secret", "shop-cert", data=data, type="kubernetes.io/tls")
    await place.apply([*yaml.safe_load_all(EDGE)])
    told = await first_told(place, settings())
    assert [server.port.number for each in told.of(GatewayConfig) for server in each.spec.servers] == [8443]
    assert {gateway.address for gateway in told.networks.gateways["far"]} <= {"127.0.0.1", "::1"}
    assert told.networks.gateways["far"], "its name is one of this machine"
    assert "lost" in told.networks.awaited


@pytest.mark.parametrize(("wait_s", "limit_s", "knows"), [(0.5, 15.0, True), (60.0, 1.0, False)])
async def test_no_policy_is_told_before_those_by_which_tokens_are_checked(
    place: Installed, wait_s: float, limit_s: float, knows: bool
) -> None:
    """Neither when an issuer is slow nor when it is so slow that it is not waited for: then its tokens are refused."""
    publisher = Publisher(Key())
    publisher.wait_s = wait_s
    async with publisher.serving():
        rule = {"issuer": publisher.name, "jwksUri": publisher.uri, "timeout": "30s"}
        users = {"rules": [{"from": [{"source": {"requestPrincipals": ["*"]}}]}]}
        await place.apply(
            [made("RequestAuthentication", {"jwtRules": [rule]}), made("AuthorizationPolicy", users)]
        )
        told = await first_told(place, settings(issuer_refused_ranges="", startup_limit_s=limit_s))
    assert told.of(AuthorizationPolicy)
    assert told.of(RequestAuthentication)
    (known,) = told.key_sets.values()
    assert (known.keys is not None) == knows, known.trouble


async def test_pods_of_other_clusters_are_where_the_mesh_says_once_all_is_known(place: Installed) -> None:
    pilot = Pilot(settings(), place.admin)
    labels = {"topology.istio.io/network": "hall"}
    root = manifests.made("Namespace", SYSTEM, "", {"labels": labels})
    pilot.builder.apply([manifests.put(ClusterId("west"), root)])
    with pytest.raises(NotReady, match="not heard yet"):
        pilot.there("west")
    async with supervise(pilot.run()):
        async with asyncio.timeout(60):
            await pilot.fanout.shared.published.wait()
        assert pilot.there("west") == There("hall", "cluster.local")
        assert pilot.there("nowhere") == There("", "cluster.local")


async def test_keys_outlive_a_pilot_while_their_issuer_is_away(place: Installed) -> None:
    primary = documents("primary", Installation(cluster="gke", layout="apart"))
    await place.apply([each for each in primary if each["metadata"]["name"] == kept_keys.NAME])
    publisher = Publisher(Key())
    async with publisher.serving():
        rule = {"issuer": publisher.name, "jwksUri": publisher.uri}
        await place.apply([made("RequestAuthentication", {"jwtRules": [rule]})])
        async with supervise(Pilot(settings(issuer_refused_ranges=""), place.admin).run()):

            async def kept() -> bool:
                return bool((await place.find("configmaps", kept_keys.NAME, SYSTEM)).get("data"))

            await eventually(kept)
    told = await first_told(place, settings(issuer_refused_ranges=""))
    (known,) = told.key_sets.values()
    assert known.keys == read_jwks(jwks(*publisher.keys))
    assert "cannot be reached" in known.trouble
    assert known.since
