"""The clusters that a membership command works with: the one that comes or goes, and those whose Pilots are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from isthmus.api.resource import Kind, Object
from isthmus.console.ca_clusters import running
from isthmus.console.check.cluster import CLUSTER
from isthmus.console.control_plane import FIRST, PODS, access_to
from isthmus.console.membership.entries import Entries
from isthmus.console.membership.told import CannotGoOn
from isthmus.console.programs import MONITORING_PORT
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.client import Client
from isthmus.kube.errors import Forbidden, KubeError, NotFound
from isthmus.kube.pods import fetch

Json = dict[str, Any]
PILOT_LABELS = "istio=pilot"
_NAMESPACES = Kind("", ("v1",), "Namespace", "namespaces", Object, namespaced=False)
PILOT_ACCOUNT = "istio-pilot-service-account"
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_AGREED = ("trust-domain", "domain")
_LOOK_S = 0.5


class Primary(NamedTuple):
    """A cluster that Pilot runs in, by its name in the mesh."""

    name: str
    context: str
    client: Client
    namespace: str
    entries: Entries
    is_secret: bool  # whether the entries are in Secrets, which Pilot must be allowed to read

    async def pages(self, path: str) -> list[Any]:
        """What each of its Pilots answers to `GET path`, decoded. Raises `KubeError`."""
        return await ask_all(self.client, self.namespace, path)

    async def has_pilot(self) -> bool:
        """Whether a Pilot runs there, who could be asked. Raises `KubeError`."""
        return bool(await running(self.client, self.namespace, PILOT_LABELS))

    async def choices(self) -> dict[str, str]:
        """What Pilot there was told that parts elsewhere must agree on, and its image. Raises `KubeError`."""
        found: dict[str, str] = {}
        for name in await running(self.client, self.namespace, PILOT_LABELS):
            pod = await self.client.get(PODS, self.namespace, name)
            for container in pod["spec"]["containers"]:
                words = [str(word) for word in container.get("args") or ()]
                if "pilot" in words:
                    said = (word.removeprefix("--").partition("=") for word in words)
                    flags = {flag.replace("-", "_"): value for flag, _, value in said if flag in _AGREED}
                    found |= flags | {"image": str(container["image"])}
        return found

    async def may_read_secrets(self) -> bool | None:
        """Whether Pilot's account may read entries in Secrets; None: we may not ask. Raises `KubeError`."""
        account = f"system:serviceaccount:{self.namespace}:{PILOT_ACCOUNT}"
        groups = [f"system:serviceaccounts:{self.namespace}", "system:serviceaccounts"]
        spec = {
            "resourceAttributes": {"verb": "list", "resource": "secrets", "namespace": self.namespace},
            "user": account,
            "groups": [*groups, "system:authenticated"],
        }
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        try:
            answer = await self.client.request("POST", _REVIEWS, body=body)
        except Forbidden:
            return None
        return bool(msgspec.json.decode(answer)["status"]["allowed"])

    async def of(self, cluster: str) -> list[Json | None]:
        """What each of its Pilots says of a cluster; None: that it does not know it. Raises `KubeError`."""
        said = [page["clusters"] for page in await self.pages("/debug/clusters")]
        return [next((each for each in found if each["id"] == cluster), None) for found in said]


class Member(NamedTuple):
    """The cluster that comes or goes. `context` is empty where there is no way to it."""

    name: str
    context: str
    client: Client
    namespace: str

    async def answers(self) -> str:
        """Why its API server does not answer; empty where it does."""
        try:
            await self.client.request("GET", "/version")
        except KubeError as error:
            return str(error)
        return ""

    async def has_pilot(self) -> bool:
        """Whether a Pilot runs there. Raises `KubeError`."""
        return bool(await running(self.client, self.namespace, PILOT_LABELS))


async def ask_all(client: Client, namespace: str, path: str) -> list[Any]:
    """What each Pilot of a cluster answers, decoded. Raises `KubeError`, also where there is none."""
    names = await running(client, namespace, PILOT_LABELS)
    if not names:
        where = f"no Pilot runs in namespace {namespace!r} of {client.access.server}"
        raise KubeError(f"{where} (hint: choose Pilot's cluster by --primary; {FIRST})")
    bodies = await asyncio.gather(*(fetch(client, namespace, each, MONITORING_PORT, path) for each in names))
    try:
        return [msgspec.json.decode(body) for body in bodies]
    except UNREADABLE as error:
        raise KubeError(f"Pilot's answer to {path} cannot be read: {error}") from error


class Places(NamedTuple):
    """Where clusters that Pilot runs in are found."""

    kubeconfig: Path | None
    contexts: Sequence[str]
    namespace: str


MakeEntries = Callable[[Client], tuple[Entries, bool]]
"""The entries of a cluster, given access to a primary; and whether these are in Secrets."""


@asynccontextmanager
async def primaries(
    places: Places, entries: MakeEntries, *, need_pilot: bool = True
) -> AsyncIterator[tuple[Primary, ...]]:
    """The clusters of these contexts, called as their Pilots call them. Raises `KubeError`."""
    async with AsyncExitStack() as stack:
        found = []
        for context in places.contexts:
            client = await stack.enter_async_context(Client(access_to(places.kubeconfig, context or None)))
            if need_pilot or await running(client, places.namespace, PILOT_LABELS):
                said = (await ask_all(client, places.namespace, "/debug/clusters"))[0]["clusters"]
                own = next((str(each["id"]) for each in said if each["is_config"]), context)
            else:
                own = await _labelled(client, places.namespace) or context
            made, is_secret = entries(client)
            found.append(Primary(own, context, client, places.namespace, made, is_secret))
        yield tuple(found)


async def _labelled(client: Client, namespace: str) -> str:
    """The name of a cluster by the label of its control plane's namespace, which needs no Pilot; empty without one."""
    try:
        held = await client.get(_NAMESPACES, "", namespace)
    except NotFound:
        return ""
    return str((held["metadata"].get("labels") or {}).get(CLUSTER, ""))


async def until(holds: Callable[[], Any], limit_s: float, clock: Clock | None = None) -> bool:
    """Whether the coroutine function `holds` was true within so many seconds. What cannot be asked is asked again."""
    clock = clock or SystemClock()
    end = clock.monotonic() + limit_s
    while True:
        try:
            if await holds():
                return True
        except KubeError as error:
            if clock.monotonic() >= end:
                raise CannotGoOn(str(error)) from error
        if clock.monotonic() >= end:
            return False
        await clock.sleep(_LOOK_S)
