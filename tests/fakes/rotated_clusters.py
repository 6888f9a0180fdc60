"""Clusters of dictionaries with Citadels that follow their Secrets, and a Pilot that tells of proxies."""

from __future__ import annotations

from base64 import b64encode
from types import SimpleNamespace

import msgspec

from fakes.forwarded import ForwardedPort
from isthmus.ca import store
from isthmus.ca.rotation import signer
from isthmus.console.ca_clusters import CaCluster, Reached
from isthmus.console.ca_secret import CaSecret
from isthmus.discovery.holders import Holder
from isthmus.kit.certified import certified_pem
from isthmus.kube.client import Listing
from isthmus.kube.errors import Conflict, KubeError, NotFound
from isthmus.model.holdings import CitadelHolding
from isthmus.model.trust_held import TrustHeld

SYSTEM = "istio-system"


class CutOff(KubeError):
    """The command was killed here."""


class Writes:
    """Counts the writes to all clusters, and cuts off at one of them."""

    def __init__(self):
        self.done, self.cut_at = 0, None

    def note(self):
        if self.done == self.cut_at:
            self.cut_at = None
            raise CutOff("killed")
        self.done += 1


class FakeCluster:
    """Satisfies what is used of `Client`; its Citadel and its proxies follow when `follow` is called."""

    def __init__(self, name, files, writes):
        self.name, self.access, self._writes = name, SimpleNamespace(server=f"https://{name}"), writes
        self.objects = {}
        self.proxies, self.paused, self.pilot, self.trust_domain = {}, set(), None, "cluster.local"
        self._put(
            "Secret", SYSTEM, store.SECRET, {key: b64encode(each).decode() for key, each in files.items()}
        )
        for namespace in (SYSTEM, "default"):
            self._put("Namespace", "", namespace, {})
        self._put("Pod", SYSTEM, "citadel", {}, {"istio": "citadel", "isthmus.io/citadel": "true"})
        self.follow("web")

    def _put(self, kind, namespace, name, data, labels=None):
        before = self.objects.get((kind, namespace, name))
        version = str(int(before["metadata"]["resourceVersion"]) + 1) if before else "1"
        meta = {"name": name, "namespace": namespace, "resourceVersion": version, "labels": labels or {}}
        self.objects[kind, namespace, name] = {"metadata": meta, "data": data}

    @property
    def files(self):
        return dict(self._decoded(store.SECRET))

    def _decoded(self, name):
        return {
            key: msgspec.json.decode(f'"{value}"', type=bytes)
            for key, value in self.objects["Secret", SYSTEM, name]["data"].items()
        }

    def follow(self, *proxies):
        """What Citadel, kubelets and agents do: all that do not stand still hold what the Secret says."""
        files = self.files
        held = TrustHeld(
            tuple(each.sha256 for each in certified_pem(files[store.ROOT_CERT])), signer(files), "1", 9.0
        )
        data = {store.ROOT_CERT: files[store.ROOT_CERT].decode(), "issuer": signer(files)}
        for namespace in (SYSTEM, "default"):
            self._put("ConfigMap", namespace, "istio-ca-root-cert", data)
        self.proxies |= dict.fromkeys(({*self.proxies, *proxies}) - self.paused, held)
        self.pilot = held

    async def get(self, kind, namespace, name):
        try:
            return self.objects[kind.name, namespace, name]
        except KeyError:
            raise NotFound(404, "NotFound", name) from None

    async def create(self, kind, obj):
        meta = obj["metadata"]
        key = (kind.name, meta["namespace"], meta["name"])
        self._writes.note()
        if key in self.objects:
            raise Conflict(409, "AlreadyExists", meta["name"])
        self._put(*key, obj["data"])
        return self.objects[key]

    async def merge(self, kind, namespace, name, patch):
        found = await self.get(kind, namespace, name)
        self._check(found, patch)
        data = {**found["data"], **patch["data"]}
        self._put(kind.name, namespace, name, {key: each for key, each in data.items() if each is not None})

    async def apply(self, kind, obj, manager):
        meta = obj["metadata"]
        self._put(kind.name, meta["namespace"], meta["name"], obj.get("data") or obj["spec"])

    async def delete(self, kind, namespace, name):
        await self.get(kind, namespace, name)
        self._writes.note()
        del self.objects[kind.name, namespace, name]

    def _check(self, found, sent):
        self._writes.note()
        version = found["metadata"]["resourceVersion"]
        if sent.get("metadata", {}).get("resourceVersion", version) != version:
            raise Conflict(409, "Conflict", "it was changed")

    async def list_all(self, kind, scope=None):
        label = scope.labels.partition("=") if scope and scope.labels else None
        wanted = scope.fields.removeprefix("metadata.name=") if scope and "name=" in scope.fields else None
        found = [
            each
            for (kind_name, _, name), each in self.objects.items()
            if kind_name == kind.name
            and wanted in {None, name}
            and (label is None or each["metadata"]["labels"].get(label[0]) == label[2])
        ]
        return Listing([msgspec.Raw(msgspec.json.encode(each)) for each in found], "1")

    async def request(self, method, path, body=None):
        if method == "PUT":
            key = ("ConfigMap", SYSTEM, body["metadata"]["name"])
            self._check(self.objects[key], body)
            self._put(*key, body["data"])
            return msgspec.json.encode(self.objects[key])
        raise NotFound(404, "NotFound", path)

    async def websocket(self, path, query, protocols):
        pod = path.split("/")[-2]

        def page(asked):
            if pod == "citadel":
                return msgspec.json.encode(self._citadel())
            if asked == "/debug/trust":
                return msgspec.json.encode({"pilot": self.pilot, "proxies": self.holders()})
            return None

        return ForwardedPort(int(dict(query)["ports"]), page)

    def _citadel(self):
        files = self.files
        return CitadelHolding(
            cluster=self.name,
            trust_domain=self.trust_domain,
            issuer="own",
            roots=certified_pem(files[store.ROOT_CERT]),
            chain=certified_pem(files[store.CA_CERT]),
        )

    def holders(self):
        return [
            Holder(name=name, namespace="default", cluster=self.name, connected=held is not None, held=held)
            for name, held in self.proxies.items()
        ]


class FakeClusters:
    """`east`, with Pilot, and `west`; their files are in directories of their names."""

    def __init__(self, directory):
        self.writes = Writes()
        self.all = [FakeCluster(name, store.read(directory / name), self.writes) for name in ("east", "west")]
        self.east, self.west = self.all
        self.east._put("Pod", SYSTEM, "pilot", {}, {"istio": "pilot"})
        others = self.west.holders
        own = self.east.holders
        self.east.holders = lambda: [*own(), *others()]

    def reached(self, *names):
        return Reached(
            tuple(
                CaCluster(each.name, each, CaSecret(each, SYSTEM), SYSTEM)
                for each in self.all
                if not names or each.name in names
            )
        )

    def follow(self):
        for each in self.all:
            each.follow()

    def secrets(self):
        """All Secrets of all clusters."""
        return {
            (each.name, name): each._decoded(name)
            for each in self.all
            for kind, _, name in each.objects
            if kind == "Secret"
        }
