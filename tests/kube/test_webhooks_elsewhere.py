"""Webhooks of a cluster that asks an injector elsewhere by a URL, as `isthmus install` has them."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from fakes.eventually import eventually
from fakes.pki import Pki
from fakes.served_webhooks import (
    GROUP,
    PLURALS,
    config_map,
    containers_of,
    held_of,
    make_namespaces,
    namespace,
    pod,
    served_webhooks,
)
from fakes.two_clusters import two_clusters
from isthmus.admission.bundles import bundle_patch
from isthmus.admission.injection import There
from isthmus.console.install.settings import Installation, Webhooks
from isthmus.console.installation import documents
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.kube.errors import Refused

SHOP = namespace("shop", **{"istio-injection": "enabled"})
NAME, READER = "istio-sidecar-injector", "istio-reader-service-account"
WEST = {"west": There("west-net", "west.example", "v1.33.0")}
WORKS = {"Deployment", "Service"}
NEEDED = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration"}


class Elsewhere:
    """Cluster `west`, which asks the webhooks of `east`."""

    def __init__(self, west, served):
        self.west, self.served = west, served

    async def install(self, **said):
        """What `isthmus install remote` has of webhooks, and of the rights of who serves them."""
        choice = Installation(cluster="west", injection_url=self.served.url, **said)
        made = documents("remote", choice)
        assert not [each for each in made if each["metadata"]["name"] == NAME and each["kind"] in WORKS]
        await self.west.apply(*(each for each in made if each["kind"] in NEEDED))

    async def believes(self, *roots):
        """Whether its API server believes exactly these."""
        found = await self.west.find(PLURALS["Mutating"], "", NAME, GROUP)
        return bool(found) and not bundle_patch(found, b"".join(roots))

    @asynccontextmanager
    async def followed(self):
        """While Pilot in `east` follows it, by no other account than the one that was installed."""
        access = await self.west.served.access_of("istio-system", READER)
        async with Client(access) as client, supervise(self.served.webhooks.follow(self.west.spec(), client)):
            yield


@asynccontextmanager
async def asked_from_west(folder):
    async with (
        two_clusters(folder) as (east, west),
        served_webhooks(east.served, elsewhere=lambda name: WEST[name]) as served,
    ):
        await make_namespaces(west, SHOP)
        yield Elsewhere(west, served)


async def made_once_believed(west, name, holds):
    """A pod that API servers take, once they have heard of their webhooks."""
    made = []

    async def is_made():
        try:
            made.append(await west.create("pods", pod(f"{name}-{len(made)}", "shop")))
        except Refused:
            made.append(None)
        return made[-1] is not None and holds(made[-1])

    await eventually(is_made)
    return made[-1]


def is_injected(made):
    return "istio-proxy" in containers_of(made)


@pytest.mark.parametrize("network", ["", "other-net"])
async def test_a_pod_is_injected_elsewhere_for_its_own_cluster_and_network(tmp_path, api_server, network):
    async with asked_from_west(tmp_path) as there:
        await there.install(network=network)
        async with there.followed():
            await eventually(lambda: there.believes(there.served.pki.roots))
            await eventually(there.served.are_ready)
            made = await made_once_believed(there.west, "web", is_injected)
            containers = [*made["spec"]["initContainers"], *made["spec"]["containers"]]
            (proxy,) = [each for each in containers if each["name"] == "istio-proxy"]
            said = {each["name"]: each.get("value") for each in proxy["env"]}
            assert said["ISTIO_META_CLUSTER_ID"] == "west"
            assert said["ISTIO_META_NETWORK"] == (network or "west-net")
            assert said["ISTHMUS_PILOT_TRUST_DOMAIN"] == "cluster.local"
            assert "west.example" in json.dumps(said)

            new = Pki("next root")
            both = there.served.pki.roots + new.roots
            await there.served.cluster.apply(
                config_map("istio-ca-root-cert", **{"root-cert.pem": both.decode()})
            )
            await eventually(lambda: there.believes(both))
            there.served.held.set(held_of(new, roots=both))
            assert is_injected(await there.west.create("pods", pod("later", "shop")))


async def test_by_other_roots_pods_are_refused_or_go_without_as_the_policy_says(tmp_path, api_server):
    async with asked_from_west(tmp_path) as there:
        await eventually(there.served.are_ready)
        strangers = Pki("strangers").roots
        await there.install(injection_roots=strangers.decode())
        assert re.search("failed calling webhook .*certificate", await refusal(there.west))
        async with there.followed():  # roots that somebody says are not kept by whoever is asked
            ignoring = Webhooks(failure_policy="Ignore")
            await there.install(injection_roots=strangers.decode(), webhooks=ignoring)
            made = await made_once_believed(there.west, "web", lambda _: True)
            assert containers_of(made) == ["web"]
            assert await there.believes(strangers)
        await there.install(injection_roots=there.served.pki.roots.decode())
        await made_once_believed(there.west, "own", is_injected)


async def refusal(cluster):
    """Why a pod is refused, once API servers have heard of their webhooks."""
    said = []

    async def is_refused():
        try:
            await cluster.create("pods", pod(f"early-{uuid4()}", "shop"))
        except Refused as error:
            said.append(str(error))
        return bool(said)

    await eventually(is_refused)
    return said[-1]
