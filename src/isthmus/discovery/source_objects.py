"""Objects of the cluster registry API beside Pilot: each is a cluster, its credential in a Secret that it names.

Only Secrets of Pilot's own namespace are read, each by its name. What becomes wrong leaves its cluster as it was; an
object that goes takes its cluster with it.
"""

from __future__ import annotations

import asyncio
import base64
import re
from functools import partial
from ipaddress import ip_address, ip_network

from isthmus.api import kind_named
from isthmus.api.core.secret import Secret
from isthmus.api.errors import InvalidConfig
from isthmus.api.registry.cluster import CLUSTERS, Cluster, ServerEndpoint
from isthmus.api.resource import Object, Ref
from isthmus.discovery.registry import Claims, ClusterSpec
from isthmus.kit.redacted import Redacted
from isthmus.kit.tasks import Crew, keep_trying, supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import Refused
from isthmus.kube.informer import Informer
from isthmus.kube.kubeconfig import Access, Token
from isthmus.kube.watch import Watch, WatchSettings
from isthmus.model.findings import Code, Finding
from isthmus.model.names import ClusterId

_SECRET = kind_named("Secret")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_CREDENTIAL = "$.spec.authInfo.controller"
_SERVERS = "$.spec.kubernetesApiEndpoints.serverEndpoints"
_EVERYBODY = {"", "0.0.0.0/0", "::/0"}


class ObjectsSource:
    """The `Cluster` objects of one namespace, in the cluster that `access` reaches. `address`: Pilot's own there."""

    def __init__(
        self, access: Access, namespace: str, address: str = "", watch: WatchSettings | None = None
    ) -> None:
        self.claims: Watchable[Claims] = Watchable(Claims())
        self.looked = asyncio.Event()
        self._access, self._namespace, self._address = access, namespace, address
        self._watch = watch
        self._objects: dict[Ref, Cluster | InvalidConfig] = {}
        self._secrets: dict[str, Secret | None] = {}
        self._good: dict[Ref, ClusterSpec] = {}
        self._wanted: Watchable[frozenset[str]] = Watchable(frozenset[str]())
        self._has_listed = False

    async def run(self) -> None:
        scope = Scope(self._namespace)
        async with Client(self._access) as client:
            informer = Informer(CLUSTERS, Watch(client, CLUSTERS, scope, self._watch), self._changed)
            async with supervise(informer.run(), self._follow(client)):
                async for health in informer.health.changes():
                    # Without the definition, or the right to read them, there are none.
                    if health.synced or isinstance(health.error, Refused):
                        self._has_listed = True
                        self._say()

    async def _follow(self, client: Client) -> None:
        """Follow the Secrets that objects name, each by itself."""
        crew = Crew()
        following: frozenset[str] = frozenset()
        try:
            async for wanted in self._wanted.changes():
                for name in following - wanted:
                    await crew.stop(name)
                    self._secrets.pop(name, None)
                for name in sorted(wanted - following):
                    crew.start(name, keep_trying(f"follow {name}", partial(self._follow_one, client, name)))
                following = wanted
        finally:
            await crew.stop_all()

    async def _follow_one(self, client: Client, name: str) -> None:
        scope = Scope(self._namespace, fields=f"metadata.name={name}")
        watch = Watch(client, _SECRET, scope, self._watch)
        informer = Informer(_SECRET, watch, partial(self._heard, name))
        async with supervise(informer.run()):
            async for health in informer.health.changes():
                if name not in self._secrets and (health.synced or isinstance(health.error, Refused)):
                    self._heard(name, None, None)

    def _changed(self, ref: Ref, value: Object | InvalidConfig | None) -> None:
        if isinstance(value, Cluster | InvalidConfig):
            self._objects[ref] = value
        else:
            self._objects.pop(ref, None)
            self._good.pop(ref, None)
        self._wanted.set(frozenset(filter(None, map(self._secret_of, self._objects.values()))))
        self._say()

    def _heard(self, name: str, _: Ref | None, value: Object | InvalidConfig | None) -> None:
        self._secrets[name] = value if isinstance(value, Secret) else None
        self._say()

    def _secret_of(self, cluster: Cluster | InvalidConfig) -> str:
        """The Secret that an object names, where it is one that may be read for it."""
        if isinstance(cluster, InvalidConfig) or _wrong_reference(cluster, self._namespace):
            return ""
        controller = cluster.spec.auth_info.controller
        return controller.name if controller is not None else ""

    def _say(self) -> None:
        findings = []
        for ref, cluster in self._objects.items():
            secret = self._secret_of(cluster)
            if secret and secret not in self._secrets:
                continue  # it is being looked for
            try:
                self._good[ref] = self._read(cluster, self._secrets.get(secret))
            except InvalidConfig as error:
                finding = Finding(ref=ref, path=error.path, message=error.message, code=Code.CLUSTER)
                findings.append(finding)
        self.claims.set(Claims(tuple(spec for _, spec in sorted(self._good.items())), tuple(findings)))
        if self._has_listed and self._wanted.value <= self._secrets.keys():
            self.looked.set()

    def _read(self, cluster: Cluster | InvalidConfig, secret: Secret | None) -> ClusterSpec:
        if isinstance(cluster, InvalidConfig):
            raise cluster
        name = cluster.metadata.name
        if not _NAME.fullmatch(name):
            raise InvalidConfig("$.metadata.name", "is no name for a cluster")
        if wrong := _wrong_reference(cluster, self._namespace):
            raise InvalidConfig(_CREDENTIAL, wrong)
        endpoints = cluster.spec.kubernetes_api_endpoints
        server = server_for(endpoints.server_endpoints, self._address)
        ca = _decoded("$.spec.kubernetesApiEndpoints.caBundle", endpoints.ca_bundle)
        if secret is None or not secret.data.get("token"):
            named = self._secret_of(cluster)
            raise InvalidConfig(
                _CREDENTIAL,
                f"secret {self._namespace}/{named} has no key token, is not there, or may not be read by Pilot "
                "(hint: isthmus install remote-secrets gives the right)",
            )
        token = _decoded(f"{_CREDENTIAL} → token", secret.data["token"]).decode(errors="replace").strip()
        ca = ca or _decoded(f"{_CREDENTIAL} → ca.crt", secret.data.get("ca.crt", ""))
        access = Access(server=server, ca=ca or None, name=name, credentials=Token(Redacted(token)))
        source = f"cluster {self._namespace}/{name}"
        return ClusterSpec(id=ClusterId(name), access=access, source=source)


def server_for(endpoints: tuple[ServerEndpoint, ...], address: str) -> str:
    """The API server for a client of this address: that of the narrowest CIDR with it. Raises `InvalidConfig`."""
    best: tuple[int, str] | None = None
    for number, each in enumerate(endpoints):
        at = f"{_SERVERS}[{number}]"
        try:
            cidr = None if each.client_cidr in _EVERYBODY else ip_network(each.client_cidr, strict=False)
        except ValueError as error:
            raise InvalidConfig(f"{at}.clientCIDR", f"{error} (hint: such as 0.0.0.0/0)") from error
        if not each.server_address:
            raise InvalidConfig(f"{at}.serverAddress", "is missing (hint: host:port of the API server)")
        if cidr is None or (address and ip_address(address) in cidr):
            length = -1 if cidr is None else cidr.prefixlen
            if best is None or length > best[0]:
                best = length, each.server_address
    if best is None:
        hint = "hint: clientCIDR: 0.0.0.0/0 is for all"
        raise InvalidConfig(_SERVERS, f"has none for clients such as Pilot, {address or 'anywhere'} ({hint})")
    server = best[1].rstrip("/")
    return server if server.startswith(("https://", "http://")) else f"https://{server}"


def _wrong_reference(cluster: Cluster, namespace: str) -> str:
    controller = cluster.spec.auth_info.controller
    if controller is None or not controller.name:
        return f"is missing (hint: kind: Secret, name: a Secret of {namespace} with the key token)"
    if controller.kind != "Secret":
        return f"is of kind {controller.kind!r} (hint: Secret)"
    if controller.namespace not in {"", namespace}:
        return f"is in {controller.namespace} (hint: Pilot reads Secrets of {namespace} alone)"
    return ""


def _decoded(path: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:  # also of text beyond ASCII
        raise InvalidConfig(path, "is not base64") from error
