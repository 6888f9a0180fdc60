"""Objects of the cluster registry API are clusters, by a Secret that they name."""

from __future__ import annotations

import base64
import re

import pytest

from fakes.eventually import eventually
from isthmus.api.errors import InvalidConfig
from isthmus.api.registry.cluster import CLUSTERS, ServerEndpoint
from isthmus.discovery.source_objects import ObjectsSource, server_for
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError
from isthmus.kube.watch import WatchSettings

ROOT = "istio-system"
QUICKLY = WatchSettings(first_wait_s=0.02, longest_wait_s=0.05)
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "clusters.clusterregistry.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved, experimental-only"},
    },
    "spec": {
        "group": "clusterregistry.k8s.io",
        "scope": "Namespaced",
        "names": {"kind": "Cluster", "plural": "clusters", "singular": "cluster", "listKind": "ClusterList"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}


def cluster(name, controller=None, cidr="0.0.0.0/0", address="203.0.113.9:6443"):
    return {
        "apiVersion": "clusterregistry.k8s.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": name, "namespace": ROOT},
        "spec": {
            "kubernetesApiEndpoints": {
                "serverEndpoints": [{"clientCIDR": cidr, "serverAddress": address}],
                "caBundle": base64.b64encode(b"ca").decode(),
            },
            "authInfo": {"controller": controller or {"kind": "Secret", "name": f"{name}-token"}},
        },
    }


def secret(name, token="t"):
    data = {"token": base64.b64encode(token.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": ROOT}, "data": data}


async def until(source, holds):
    async def is_so():
        return holds(source.claims.value)

    await eventually(is_so)


async def is_made(client, obj):
    try:
        await client.create(CLUSTERS, obj)
    except KubeError:  # the definition is not served yet
        return False
    return True


async def test_objects_come_change_and_go_and_what_is_wrong_is_told(east):
    source = ObjectsSource(east.access, ROOT, "10.1.2.3", QUICKLY)
    async with supervise(source.run()), Client(east.access) as client:
        await source.looked.wait()
        assert not source.claims.value.specs, "there is no definition yet"
        await east.apply(DEFINITION)
        await east.create("secrets", secret("west-token"))
        await eventually(lambda: is_made(client, cluster("west")))
        await until(source, lambda claims: len(claims.specs) == 1)
        (spec,) = source.claims.value.specs
        assert (spec.id, spec.source, spec.is_config) == ("west", f"cluster {ROOT}/west", False)
        assert (spec.access.server, spec.access.ca) == ("https://203.0.113.9:6443", b"ca")
        assert spec.access.credentials.token == "t"

        await east.delete("secrets", ROOT, "west-token")
        await until(source, lambda claims: len(claims.findings) == 1)
        assert "isthmus install remote-secrets" in source.claims.value.findings[0].message
        assert source.claims.value.specs == (spec,), "nobody said that it left"

        await east.create("secrets", secret("west-token", "new"))
        await until(source, lambda claims: claims.specs[0].access.credentials.token == "new")
        assert not source.claims.value.findings

        await client.create(
            CLUSTERS, cluster("north", {"kind": "Secret", "name": "x", "namespace": "default"})
        )
        await until(source, lambda claims: len(claims.findings) == 1)
        assert "Pilot reads Secrets of istio-system alone" in str(source.claims.value.findings[0])
        await client.delete(CLUSTERS, ROOT, "west")
        await until(source, lambda claims: not claims.specs)


@pytest.mark.parametrize("bundle", ["no base64", "é"])
async def test_a_ca_that_is_not_base64_is_a_finding_and_stops_nobody(east, bundle):
    wrong = cluster("west")
    wrong["spec"]["kubernetesApiEndpoints"]["caBundle"] = bundle
    await east.apply(DEFINITION)
    await east.create("secrets", secret("west-token"))
    source = ObjectsSource(east.access, ROOT, watch=QUICKLY)
    async with supervise(source.run()), Client(east.access) as client:
        await eventually(lambda: is_made(client, wrong))
        await until(source, lambda claims: len(claims.findings) == 1)
        assert "$.spec.kubernetesApiEndpoints.caBundle" in str(source.claims.value.findings[0])
        await client.create(CLUSTERS, cluster("north", {"kind": "Secret", "name": "west-token"}))
        await until(source, lambda claims: [each.id for each in claims.specs] == ["north"])


def endpoints(*pairs):
    return tuple(ServerEndpoint(client_cidr=cidr, server_address=address) for cidr, address in pairs)


def test_the_narrowest_cidr_with_pilots_address_counts():
    some = endpoints(
        ("0.0.0.0/0", "public:443"), ("10.0.0.0/8", "inner:6443"), ("10.1.0.0/16", "inmost:6443")
    )
    assert server_for(some, "10.1.2.3") == "https://inmost:6443"
    assert server_for(some, "10.9.9.9") == "https://inner:6443"
    assert server_for(some, "192.0.2.1") == "https://public:443"
    assert server_for(some, "") == "https://public:443"
    assert server_for(endpoints(("", "http://here:80/")), "") == "http://here:80"


@pytest.mark.parametrize(
    ("some", "path"),
    [
        ((("10.0.0.0/8", "a:1"),), r"\$\.spec\.kubernetesApiEndpoints\.serverEndpoints"),
        ((), r"\$\.spec\.kubernetesApiEndpoints\.serverEndpoints"),
        ((("x", "a:1"),), r"serverEndpoints\[0\]\.clientCIDR"),
        ((("0.0.0.0/0", ""),), r"serverEndpoints\[0\]\.serverAddress"),
    ],
)
def test_what_leads_nowhere_is_said_with_its_path(some, path):
    with pytest.raises(InvalidConfig) as error:
        server_for(endpoints(*some), "192.0.2.1")
    assert re.search(path, error.value.path)
