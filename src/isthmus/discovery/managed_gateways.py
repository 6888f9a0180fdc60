"""Keeps the objects of managed Gateways as they should be, in the cluster that holds the configuration.

What stands there under such a name and is somebody else's stays as it is: an account with rights of its own serves
the pods as well. Source: Istio's "Kubernetes Gateway API", for what is not labelled as managed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from isthmus.api.errors import InvalidConfig
from isthmus.api.gateway_api.gateway import Gateway, GatewayClass
from isthmus.api.gateway_api.kinds import KINDS
from isthmus.api.resource import Kind, Object, Ref
from isthmus.kit.backoff import Backoff
from isthmus.kit.scopes import discovery as log
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import Conflict, KubeError, NotFound
from isthmus.kube.informer import Informer
from isthmus.kube.watch import Watch
from isthmus.model.from_gateway_api.infrastructure import MANAGED, MANAGED_BY, infrastructure
from isthmus.model.from_gateway_api.objects import CLASS, CONTROLLER
from isthmus.model.from_gateway_api.reach import deployed_name
from isthmus.model.revision import LABEL
from isthmus.model.rules import age

Json = dict[str, Any]
Containers = Callable[[Json], Awaitable[Json]]
"""Gives the spec of a Deployment's pod its Envoy: the containers and volumes. Raises `KubeError`."""

MANAGER = "isthmus-gateways"
_AGAIN_S = 60.0


class Managed(Object, frozen=True, kw_only=True):
    """An object of ours, whole: whoever changes it is overruled."""

    spec: dict[str, Any] = {}


_OWN = {
    kind.name: kind
    for kind in (
        Kind("", ("v1",), "ServiceAccount", "serviceaccounts", Managed),
        Kind("apps", ("v1",), "Deployment", "deployments", Managed),
        Kind("", ("v1",), "Service", "services", Managed),
    )
}
_CLASSES = next(kind for kind in KINDS if kind.type is GatewayClass)
_GATEWAYS = next(kind for kind in KINDS if kind.type is Gateway)


class ManagedGateways:
    """Makes, changes and removes what Gateways need; one that fails holds up no other."""

    def __init__(
        self,
        client: Client,
        wanted: Watchable[tuple[Gateway, ...]],
        containers: Containers,
        revision: str = "",
    ) -> None:
        """`revision`: of which Gateways, by their label; empty: of those that have none."""
        self._revision = revision
        self._client, self._wanted, self._containers = client, wanted, containers
        self._seen: dict[Ref, Object] = {}
        self._applied: dict[tuple[str, str], tuple[Json, ...]] = {}  # by namespace and name of the objects
        self._again = asyncio.Event()

    async def run(self, leads: Watchable[bool]) -> None:
        """Keep them until cancelled, whenever `leads`."""
        whose = f"{LABEL}={self._revision}" if self._revision else f"!{LABEL}"
        scope = Scope(labels=f"{MANAGED}={MANAGED_BY},{whose}")
        informers = [Informer(kind, Watch(self._client, kind, scope), self._heard) for kind in _OWN.values()]
        async with asyncio.TaskGroup() as group:
            for informer in informers:
                group.create_task(informer.run())
            group.create_task(self._follow())
            for informer in informers:
                await informer.synced.wait()
            await self._keep(leads)

    def _heard(self, ref: Ref, value: Object | InvalidConfig | None) -> None:
        self._seen.pop(ref, None)
        if isinstance(value, Object):
            self._seen[ref] = value
        self._applied.pop((ref.namespace, ref.name), None)
        self._again.set()

    async def _follow(self) -> None:
        async for _ in self._wanted.changes():
            self._again.set()

    async def _keep(self, leads: Watchable[bool]) -> None:
        backoff = Backoff()
        async for is_ours in leads.changes():
            self._applied.clear()
            while is_ours and leads.value:
                self._again.clear()
                if await self._reconcile():
                    backoff.reset()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_AGAIN_S):
                            await self._again.wait()
                else:
                    await asyncio.sleep(backoff.next_s())

    async def _reconcile(self) -> bool:
        """Whether everything is as it should be now."""
        wanted: dict[tuple[str, str], list[Gateway]] = defaultdict(list)
        ours = (each for each in self._wanted.value if each.metadata.labels.get(LABEL, "") == self._revision)
        for gateway in sorted(ours, key=age):
            wanted[gateway.metadata.namespace, deployed_name(gateway)].append(gateway)
        done = [await self._tried("gateway class not made", CLASS, self._make_class())]
        for place, gateways in wanted.items():
            done.append(await self._tried("gateway not made", "/".join(place), self._make(place, gateways)))
        for ref in [ref for ref in self._seen if (ref.namespace, ref.name) not in wanted]:
            done.append(await self._tried("gateway not removed", str(ref), self._remove(ref)))
        return all(done)

    @staticmethod
    async def _tried(event: str, about: str, work: Awaitable[None]) -> bool:
        try:
            await work
        except KubeError as error:
            log.warning(event, object=about, error=str(error))
            return False
        return True

    async def _make(self, place: tuple[str, str], gateways: Collection[Gateway]) -> None:
        """Of several that want one name the older comes first to what nobody has."""
        objects = tuple(obj for gateway in gateways for obj in infrastructure(gateway))
        if self._applied.get(place) == objects:
            return
        if not all(_ref(obj) in self._seen for obj in objects):
            gateways = [gateway for gateway in gateways if await self._lives(gateway)]
            objects = tuple(obj for gateway in gateways for obj in infrastructure(gateway))
        if not objects:
            return
        self._applied[place] = objects  # first: what is heard meanwhile takes it away again
        whole = False
        try:
            whole = all([await self._put(obj) for obj in objects])
        finally:
            if not whole:
                self._applied.pop(place, None)  # nobody tells when what is another's goes: look again
        log.info(
            "gateway made", gateways=[each.metadata.name for each in gateways], deployment="/".join(place)
        )

    async def _lives(self, gateway: Gateway) -> bool:
        """Whether the cluster has the Gateway still: what is made for one that went is taken away at once, for ever."""
        meta = gateway.metadata
        for version in _GATEWAYS.versions:
            with suppress(NotFound):
                found = await self._client.get(_GATEWAYS.in_version(version), meta.namespace, meta.name)
                return bool(found["metadata"]["uid"] == meta.uid)
        return False

    async def _put(self, obj: Json) -> bool:
        """Whether it is there as it should be; False: another's is there."""
        if await self._is_others(obj):
            return False
        if obj["kind"] == "Deployment":
            obj = with_pod(obj, await self._containers(obj))
        await self._client.apply(_OWN[obj["kind"]], obj, MANAGER)
        return True

    async def _is_others(self, wanted: Json) -> bool:
        """Whether an object of that name is there which is something else's, or nobody's and was not made here."""
        kind, meta = _OWN[wanted["kind"]], wanted["metadata"]
        try:
            found = (await self._client.get(kind, meta["namespace"], meta["name"]))["metadata"]
        except NotFound:
            return False
        owners = {each["uid"] for each in found.get("ownerReferences", ())}
        ours = {each["uid"] for each in meta["ownerReferences"]}
        if owners & ours or (not owners and found.get("labels", {}).get(MANAGED) == MANAGED_BY):
            return False
        hint = "give the Gateway another name, or its annotation gateway.istio.io/name-override"
        about = f"{kind.name} {meta['namespace']}/{meta['name']}"
        log.warning("object of another left as it is", object=about, hint=hint)
        return True

    async def _remove(self, ref: Ref) -> None:
        with suppress(NotFound):
            await self._client.delete(_OWN[ref.kind], ref.namespace, ref.name)
        log.info("removed with its gateway", object=str(ref))

    async def _make_class(self) -> None:
        """Our class, where the cluster knows of classes and has none of that name."""
        try:
            await self._client.get(_CLASSES, "", CLASS)
        except NotFound:
            body = {
                "apiVersion": _CLASSES.api_version,
                "kind": _CLASSES.name,
                "metadata": {"name": CLASS},
                "spec": {"controllerName": CONTROLLER, "description": "The mesh's own gateways"},
            }
            with suppress(NotFound, Conflict):
                await self._client.create(_CLASSES, body)


def _ref(obj: Json) -> Ref:
    return Ref(obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"])


def with_pod(deployment: Mapping[str, Any], pod: Mapping[str, Any]) -> Json:
    """The Deployment with more in the spec of its pod."""
    spec = deployment["spec"]
    template = {**spec["template"], "spec": {**spec["template"]["spec"], **pod}}
    return {**deployment, "spec": {**spec, "template": template}}
