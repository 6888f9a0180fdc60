"""What clusters hold, read through their API servers, by the contexts of a kubeconfig."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import yaml

from fakes.held_mesh import pod, service
from fakes.live_cluster import live_cluster
from isthmus.console.control_plane import contexts_of
from isthmus.console.live_objects import clusters_of
from isthmus.discovery.selection import FOLLOWS
from isthmus.kube.errors import KubeError


def merged(*served):
    """One kubeconfig with a context for each of `(context, cluster)`."""
    found = {"apiVersion": "v1", "kind": "Config", "contexts": [], "clusters": [], "users": []}
    for context, cluster in served:
        own = yaml.safe_load(cluster.kubeconfig.read_text())
        found["clusters"].append({"name": context, "cluster": own["clusters"][0]["cluster"]})
        found["users"].append({"name": context, "user": own["users"][0]["user"]})
        found["contexts"].append({"name": context, "context": {"cluster": context, "user": context}})
    return found


@asynccontextmanager
async def two_clusters(folder: Path):
    async with AsyncExitStack() as stack:
        found = []
        for name in ("east", "west"):
            (folder / name).mkdir()
            cluster = await stack.enter_async_context(live_cluster(folder / name))
            found.append(cluster)
            await cluster.create("services", service(f"of-{name}", f"10.96.0.{len(found)}0"))
            web = pod("web", f"10.{len(found)}.0.1", "web", cluster=name)
            del web["metadata"]["ownerReferences"]  # without its owner it would be collected
            await cluster.create("pods", web)
        yield found


async def test_clusters_are_called_as_their_proxies_call_them(tmp_path, api_server):
    file = tmp_path / "config"
    async with two_clusters(tmp_path) as (east, west):
        content = merged(("admin@one", west), ("admin@two", east), ("reader@two", east))
        file.write_text(yaml.safe_dump({**content, "current-context": "admin@two"}))
        contexts = contexts_of(file)
        assert contexts == ("admin@two", "admin@one", "reader@two")
        found = await clusters_of(file, contexts, "istio-system")
        assert list(found) == ["east", "west"]
        services = {
            name: [each["metadata"]["name"] for each in cluster.objects if each["kind"] == "Service"]
            for name, cluster in found.items()
        }
        assert "of-east" in services["east"]
        assert "of-west" in services["west"]
        assert found["east"].access.server == east.url
        assert list(await clusters_of(file, (), "istio-system")) == ["east"]


async def test_a_cluster_without_proxies_is_called_as_its_context(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster:
        file = tmp_path / "config"
        content = {**merged(("mine", cluster)), "current-context": "mine"}
        file.write_text(yaml.safe_dump(content))
        assert list(await clusters_of(file, ("mine",), "istio-system")) == ["mine"]
        assert list(await clusters_of(file, (), "istio-system")) == ["cluster"]


async def test_of_a_cluster_is_read_what_pilot_reads(tmp_path, api_server):
    """Names that stand for another cluster's Pilot are no services of the mesh, and pods that ended are nowhere."""
    async with live_cluster(tmp_path) as cluster:
        stands_in = service("istiod", "None")
        stands_in["metadata"]["labels"] = {FOLLOWS: "control-plane"}
        ended = pod("ended", "10.1.0.1", "web")
        del ended["metadata"]["ownerReferences"]
        await cluster.create("services", stands_in)
        await cluster.create("services", service("web", "10.96.0.20"))
        await cluster.create("pods", ended)
        await cluster.set_status("pods", ended, {"phase": "Succeeded"})
        file = tmp_path / "config"
        file.write_text(yaml.safe_dump({**merged(("mine", cluster)), "current-context": "mine"}))
        (found,) = (await clusters_of(file, (), "istio-system")).values()
        names = {(each["kind"], each["metadata"]["name"]) for each in found.objects}
        assert ("Service", "web") in names
        assert names.isdisjoint({("Service", "istiod"), ("Pod", "ended")})


async def test_a_context_that_leads_nowhere_is_named(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster:
        content = merged(("mine", cluster), ("gone", cluster))
        content["clusters"][1]["cluster"] = {
            **content["clusters"][1]["cluster"],
            "server": "https://127.0.0.1:1",
        }
        file = tmp_path / "config"
        file.write_text(yaml.safe_dump(content))
        with pytest.raises(KubeError, match='context "gone": '):
            await clusters_of(file, contexts_of(file), "istio-system")


def test_a_file_without_contexts_has_none(tmp_path):
    file = tmp_path / "config"
    file.write_text("{}")
    assert contexts_of(file) == ()
