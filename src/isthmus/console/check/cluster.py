"""What was read of a cluster, for checks to judge: its objects as they came, and what the mesh's parts in it say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from isthmus.model.revision import DEFAULT, LABEL, suffix

Json = dict[str, Any]
Range = IPv4Network | IPv6Network

NETWORK, CLUSTER = "topology.istio.io/network", "topology.istio.io/cluster"
SIDECAR = "istio-proxy"
INJECTED = "istio-injection"
CONFIG, SETTINGS = "istio", "istio-sidecar-injector"
"""ConfigMaps of the control plane: settings of the mesh, and of sidecars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What the Pilot in a pod says; `error` where it says nothing."""

    pod: str
    version: str = ""
    clusters: tuple[Json, ...] = ()
    """As `/debug/clusters` has them."""
    findings: tuple[str, ...] = ()
    """What is wrong in the registry of clusters."""
    proxies: tuple[Json, ...] = ()
    """As `/debug/proxies` has them."""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Something that an account may or may not do; `account` is empty for whoever asks."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""
    account: str = ""

    def __str__(self) -> str:
        of = f"{self.resource}.{self.group}" if self.group else self.resource
        named = f" {self.name}" if self.name else ""
        return f"{self.verb} {of}{named}" + (f" in {self.namespace}" if self.namespace else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a node says of itself through a sidecar on it."""

    node: str
    mtu: int = 0
    """Of the interface by which pods reach others; 0: it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What became of a pod that the API server was asked to make in a namespace, without making it."""

    namespace: str
    has_sidecar: bool = False
    error: str = ""
    """Why it would not be made; empty where it would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One cluster, as it was when it was read. Times are seconds since the epoch."""

    name: str
    """As the mesh calls it; else its context."""
    context: str = ""
    server: str = ""
    root: str = "istio-system"
    """The namespace of the control plane."""
    error: str = ""
    """Why nothing could be read at all."""
    version: str = ""
    """Of Kubernetes: `v1.34.1`."""
    now: float = 0.0
    """By the API server's clock."""
    ahead_s: float = 0.0
    """How far that clock is before the one of this machine."""
    objects: Mapping[str, tuple[Json, ...]] = field(default_factory=dict)
    """By their plurals; those of the control plane's namespace alone where `read.WANTED` says so."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Why objects of a plural could not be read."""
    may: Mapping[Right, bool] = field(default_factory=dict)
    pilots: tuple[Pilot, ...] = ()
    machines: tuple[Machine, ...] = ()
    tries: tuple[Tried, ...] = ()

    def all(self, plural: str, namespace: str | None = None) -> Iterator[Json]:
        """The objects of a plural, of one namespace or of all."""
        for each in self.objects.get(plural, ()):
            if namespace is None or each["metadata"].get("namespace", "") == namespace:
                yield each

    def one(self, plural: str, name: str, namespace: str = "") -> Json | None:
        """The object of this name, if it is there."""
        return next((each for each in self.all(plural, namespace) if named(each) == name), None)

    def kubectl(self, words: str) -> str:
        """A kubectl command for this cluster."""
        return f"kubectl --context {self.context} {words}" if self.context else f"kubectl {words}"

    def install(self, role: str, more: str = "") -> str:
        """The command that installs a role into this cluster."""
        context = f" --context {self.context}" if self.context else ""
        return f"isthmus install {role} --cluster {self.name}{more}{context} --apply"

    @property
    def network(self) -> str:
        """The network that all of the cluster is in; empty: the one flat network, or its pods say theirs."""
        namespace = self.one("namespaces", self.root)
        return str(labels(namespace).get(NETWORK, "")) if namespace else ""

    @property
    def is_installed(self) -> bool:
        """Whether a part of the control plane is here."""
        return any(True for _ in self.of_mesh())

    def of_mesh(self, part: str = "") -> Iterator[Json]:
        """Pods of the control plane (`part`: of `pilot`, `citadel` alone) that are not about to end."""
        wanted = (part,) if part else ("pilot", "citadel")
        for pod in self.all("pods", self.root):
            if any(_runs(pod, each) for each in wanted) and "deletionTimestamp" not in pod["metadata"]:
                yield pod

    def revisions(self) -> list[str]:
        """Those whose Pilots are here; where there is none, those whose Citadels are."""
        for part in ("pilot", "citadel"):
            if found := {labels(pod).get(LABEL) or DEFAULT for pod in self.of_mesh(part)}:
                return sorted(found)
        return [DEFAULT]

    def of_revisions(self, plural: str, name: str) -> Iterator[tuple[str, Json | None]]:
        """What the control plane calls `name`, by the whole name that it has with each revision that is here."""
        for revision in self.revisions():
            whole = name + suffix(revision)
            yield whole, self.one(plural, whole, self.root)

    def injected_namespaces(self) -> Iterator[str]:
        """Namespaces whose pods get sidecars."""
        for each in self.all("namespaces"):
            said = labels(each)
            if said.get(INJECTED) == "enabled" or (INJECTED not in said and LABEL in said):
                yield named(each)

    def meshed(self) -> Iterator[Json]:
        """Pods that run beside an Envoy of the mesh, or are one."""
        for pod in self.all("pods"):
            if SIDECAR in container_names(pod) and phase(pod) == "Running":
                yield pod

    def pod_ranges(self) -> Iterator[Range]:
        """From which pods of the cluster get their addresses, by the word of its nodes."""
        for node in self.all("nodes"):
            spec = node.get("spec", {})
            for text in spec.get("podCIDRs") or filter(None, [spec.get("podCIDR")]):
                yield ip_network(text, strict=False)


def named(each: Json) -> str:
    """An object's name."""
    return str(each["metadata"]["name"])


def placed(each: Json) -> str:
    """`namespace/name`."""
    return f"{each['metadata'].get('namespace', '')}/{named(each)}"


def labels(each: Json) -> dict[str, str]:
    return each["metadata"].get("labels") or {}


def phase(pod: Json) -> str:
    return str(pod.get("status", {}).get("phase", ""))


def containers(pod: Json) -> list[Json]:
    """All that stay: also containers that start first and go on."""
    spec = pod.get("spec", {})
    stays = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    return [*(spec.get("containers") or ()), *stays]


def container_names(pod: Json) -> set[str]:
    return {str(each["name"]) for each in containers(pod)}


def is_true(each: Json, condition: str) -> bool:
    """Whether the object says so of itself."""
    said = each.get("status", {}).get("conditions") or ()
    return any(one.get("type") == condition and one.get("status") == "True" for one in said)


def moment(text: str) -> float:
    """When that was: RFC 3339, as Kubernetes writes it."""
    return datetime.fromisoformat(text).timestamp()


def few(names: list[str], most: int = 5) -> str:
    """The names, or the first of them and how many there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _runs(pod: Json, part: str) -> bool:
    """Whether a pod of the control plane runs that part: one may run both."""
    said = labels(pod)
    return said.get("istio") == part or (part == "citadel" and said.get("isthmus.io/citadel") == "true")
