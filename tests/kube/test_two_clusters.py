"""The clusters of the tests themselves: strangers to each other, and as new for each test."""

from __future__ import annotations

import pytest

from fakes.live_cluster import live_cluster
from fakes.two_clusters import two_clusters
from isthmus.api import kind_named
from isthmus.api.crd import definition
from isthmus.kube.client import Client
from isthmus.kube.errors import Unauthorized

SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"clusterIP": "10.96.7.7", "ports": [{"port": 80, "nodePort": 30123}], "type": "NodePort"},
}


async def test_who_is_known_in_one_cluster_is_a_stranger_in_the_other(tmp_path, api_server):
    async with two_clusters(tmp_path) as (east, west):
        theirs = (await west.served.access_of("default", "default")).credentials
        async with Client(east.spec(credentials=theirs).access) as client:
            with pytest.raises(Unauthorized):
                await client.list_all(kind_named("Service"))


@pytest.mark.parametrize("time", ["first", "second"])
async def test_a_cluster_holds_nothing_of_another_test(tmp_path, api_server, time):
    async with live_cluster(tmp_path) as cluster:
        assert not await cluster.serves("virtualservices", "networking.istio.io")
        assert await cluster.find("namespaces", "", "shop") is None
        await cluster.apply(definition(kind_named("VirtualService")))
        await cluster.create("namespaces", {"metadata": {"name": "shop"}})
        await cluster.create("services", SERVICE)  # whose address and port would be taken
