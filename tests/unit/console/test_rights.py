"""What the accounts of the mesh may do at an API server, and what not: asked of one that enforces it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from isthmus.api import KINDS, kind_named
from isthmus.api.resource import Ref
from isthmus.console.installation import Installation, documents
from isthmus.discovery.cluster_watcher import ClusterState, ClusterWatcher, WatcherSettings
from isthmus.discovery.registry import ClusterSpec
from isthmus.kit.polling import until
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import Forbidden, NotFound
from isthmus.kube.watch import WatchSettings
from isthmus.model.credential_key import CredentialKey
from unit.ca.installed import SYSTEM, Installed, installed

PILOT, READER, CITADEL = (f"istio-{part}-service-account" for part in ("pilot", "reader", "citadel"))
FILES = Installation(cluster="gke", layout="apart", clusters_dir="/etc/clusters")
SECRETS = kind_named("Secret")
RIGHTS = {"Role", "RoleBinding"}


@asynccontextmanager
async def cluster(folder: Path, *more: tuple[str, Installation]) -> AsyncIterator[Installed]:
    """A primary with its registry in files, and what else is installed."""
    async with installed(folder, FILES) as place:
        for role, choice in more:
            own = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": choice.place}}
            await place.apply([own] if choice.place else [])
            await place.apply([each for each in documents(role, choice) if each["kind"] in RIGHTS])
        for namespace in ("default", SYSTEM, *(choice.place for _, choice in more if choice.place)):
            for name in ("cacerts", "web", "web-cacert", "other"):
                await place.make("secrets", "Secret", name, namespace, data={})
        yield place


async def readable(place: Installed, account: str, namespace: str) -> set[str]:
    """The Secrets of a namespace that an account may read, by name; `*` where it may list them."""
    found = set()
    async with Client(await place.access(SYSTEM, account)) as client:
        for name in ("cacerts", "web", "web-cacert", "other"):
            with suppress(Forbidden):
                await client.get(SECRETS, namespace, name)
                found.add(name)
        with suppress(Forbidden):
            await client.list_all(SECRETS, Scope(namespace))
            found.add("*")
    return found


@pytest.mark.parametrize("account", [PILOT, READER])
async def test_pilot_reads_no_secret_where_it_needs_none(
    tmp_path: Path, account: str, api_server: str
) -> None:
    async with cluster(tmp_path) as place:
        for namespace in ("default", SYSTEM):
            assert not await readable(place, account, namespace)


@pytest.mark.parametrize("account", [PILOT, READER])
async def test_pilot_reads_the_secrets_of_a_gateway_and_those_that_are_named_and_no_others(
    tmp_path: Path, account: str, api_server: str
) -> None:
    edge = Installation(cluster="gke", layout="apart", place="edge")
    shop = Installation(cluster="gke", layout="apart", place="shop", secrets=("web",))
    own = Installation(cluster="gke", layout="apart", secrets=("web",))
    async with cluster(tmp_path, ("gateway", edge), ("secret-reader", shop), ("secret-reader", own)) as place:
        assert await readable(place, account, "edge") == {"cacerts", "web", "web-cacert", "other", "*"}
        assert await readable(place, account, "shop") == {"web", "web-cacert"}
        assert await readable(place, account, SYSTEM) == {"web", "web-cacert"}
        assert not await readable(place, account, "default")


async def test_a_gateway_beside_the_control_plane_opens_no_secret_by_itself(
    tmp_path: Path, api_server: str
) -> None:
    async with cluster(tmp_path, ("gateway", Installation(cluster="gke", layout="apart"))) as place:
        assert not await readable(place, PILOT, SYSTEM)
        assert not await readable(place, READER, SYSTEM)


async def test_only_pilot_reads_clusters_in_secrets_and_only_where_that_was_installed(
    tmp_path: Path, api_server: str
) -> None:
    async with cluster(tmp_path, ("remote-secrets", Installation(cluster="gke", layout="apart"))) as place:
        assert "*" in await readable(place, PILOT, SYSTEM)
        assert not await readable(place, READER, SYSTEM)
        assert not await readable(place, PILOT, "default")


WAYS_TO_THE_KEY = (
    "pods create", "pods/exec create", "pods/attach create", "pods/ephemeralcontainers patch", "pods patch",
    "deployments create", "deployments patch", "serviceaccounts/token create",
    "users impersonate", "serviceaccounts impersonate",
    "roles escalate", "roles bind", "rolebindings create", "clusterrolebindings create", "nodes/proxy get",
)  # fmt: skip
KEYS = ("cacerts", "cacerts-before-rotation", "istio-ca-secret", "istio-citadel-clusters")


async def test_no_account_of_the_mesh_can_read_the_key_of_the_ca_but_citadel_its_own(tmp_path: Path) -> None:
    roles = ("remote", "gateway", "egress-gateway", "eastwest", "secret-reader")
    edge = Installation(cluster="gke", layout="apart", network="cloud", place="edge")
    here = Installation(cluster="gke", layout="apart", network="cloud", clusters_dir="/etc/clusters")
    everything = [each for role in roles for one in (edge, here) for each in documents(role, one)]
    ours = RIGHTS | {"ServiceAccount", "ClusterRole", "ClusterRoleBinding"}
    reads, ways = set(), set()
    async with installed(tmp_path, here) as place:
        await place.make("namespaces", "Namespace", "edge", "")
        await place.apply([each for each in everything if each["kind"] in ours])
        for name in KEYS:
            await place.make("secrets", "Secret", name, SYSTEM, data={})
        made = [*documents("primary", here), *everything]
        for namespace, account in {
            (each["metadata"]["namespace"], each["metadata"]["name"])
            for each in made
            if each["kind"] == "ServiceAccount"
        }:
            async with Client(await place.access(namespace, account)) as client:
                for name in KEYS:
                    with suppress(Forbidden):
                        await client.get(SECRETS, SYSTEM, name)
                        reads.add((account, name))
                with suppress(Forbidden):
                    await client.list_all(SECRETS, Scope(SYSTEM))
                    reads.add((account, "all"))
            ways |= {(account, way) for way in WAYS_TO_THE_KEY if await may(place, namespace, account, way)}
    assert reads == {(CITADEL, "istio-ca-secret")}
    # Told in the threat model: --no-managed-gateways takes it away.
    assert ways == {(PILOT, "deployments create"), (PILOT, "deployments patch")}


@pytest.mark.parametrize("account", [PILOT, READER])
async def test_a_cluster_is_followed_by_these_rights_and_a_named_secret_too(
    tmp_path: Path, account: str, api_server: str
) -> None:
    own = Installation(cluster="gke", layout="apart", secrets=("web",))
    heard: dict[Ref, object] = {}
    keys = [CredentialKey("gke", Ref("Secret", SYSTEM, name)) for name in ("web", "cacerts")]
    async with cluster(tmp_path, ("secret-reader", own)) as place:
        await place.apply([each for each in documents("primary", FILES) if "CustomResource" in each["kind"]])
        spec = ClusterSpec(id="gke", access=await place.access(SYSTEM, account), source="test")
        settings = WatcherSettings(credentials=Watchable(frozenset(keys)), watch=WatchSettings())
        watcher = ClusterWatcher(spec, lambda change: heard.update({change.key.ref: change.value}), settings)
        watcher.speak()
        async with supervise(watcher.run()), asyncio.timeout(30):
            await watcher.synced()
            await until(lambda: {key.ref for key in keys} <= heard.keys(), 0.02)
            assert watcher.health().state is ClusterState.SYNCED
    assert "pilot may not read it (hint: isthmus install secret-reader" in str(heard[keys[1].ref])
    assert "pilot may not read it" not in str(heard[keys[0].ref])


async def test_each_kind_that_the_mesh_reads_is_in_the_rights_of_who_follows_clusters(
    tmp_path: Path, api_server: str
) -> None:
    unread = {"Cluster", "Secret", "Endpoints", "ConfigMap"}
    async with cluster(tmp_path) as place:
        await place.apply([each for each in documents("primary", FILES) if "CustomResource" in each["kind"]])
        for account in (PILOT, READER):
            async with Client(await place.access(SYSTEM, account)) as client:
                for kind in KINDS:
                    if kind.name not in unread and (kind.name, account) != ("ServiceAccount", READER):
                        with suppress(NotFound):  # kinds of the Gateway API are installed apart
                            await client.list_all(kind)


async def test_without_managed_gateways_pilot_runs_nothing_anywhere(tmp_path: Path) -> None:
    choice = Installation(cluster="gke", layout="apart", clusters_dir="/etc/clusters", managed_gateways=False)
    verbs = {"create", "patch", "delete", "update", "*"}
    ours = {"deployments", "serviceaccounts", "services", "pods"}
    for each in documents("primary", choice):
        for rule in each.get("rules", ()):
            assert not (verbs & set(rule["verbs"]) and ours & set(rule["resources"])), each["metadata"]


_GROUPS = {
    **dict.fromkeys(("roles", "rolebindings", "clusterrolebindings"), "rbac.authorization.k8s.io"),
    "deployments": "apps",
}


async def may(place: Installed, namespace: str, account: str, way: str, of: str = SYSTEM) -> bool:
    """Whether an account may do this (`pods/exec create`) in the namespace `of`, as the API server says."""
    resource, verb = way.split()
    plural, _, part = resource.partition("/")
    asked = {"verb": verb, "resource": plural, "subresource": part, "group": _GROUPS.get(plural, "")}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{namespace}:{account}",
            "resourceAttributes": {**asked, "namespace": of},
        },
    }
    async with Client(place.admin) as client:
        answer = await client.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=body)
    return bool(json.loads(answer)["status"]["allowed"])


FORBIDDEN = {
    PILOT: (
        "pods/exec create",
        "pods create",
        "roles create",
        "clusterrolebindings create",
        "namespaces delete",
    ),
    READER: (
        "pods create",
        "services create",
        "deployments create",
        "serviceaccounts create",
        "endpoints delete",
    ),
    CITADEL: ("pods get", "services get", "secrets list", "nodes get", "deployments create"),
}


@pytest.mark.parametrize("account", FORBIDDEN)
async def test_what_no_part_needs_it_may_not(tmp_path: Path, account: str, api_server: str) -> None:
    async with cluster(tmp_path) as place:
        for each in FORBIDDEN[account]:
            assert not await may(place, SYSTEM, account, each, of="default"), each
