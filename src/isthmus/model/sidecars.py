"""Which Sidecar holds for a proxy, and what of the mesh it lets that proxy see.

Source: Istio's Sidecar reference: one with a selector before the namespace's, that before the root
namespace's; of several the oldest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from isthmus.api.istio.destination import Destination
from isthmus.api.istio.sidecar import IstioEgressListener, Sidecar
from isthmus.model.names import Hostname, ServiceKey, host_matches, resolve
from isthmus.model.rules import Labels, age
from isthmus.model.visibility import EVERYWHERE, HERE


class Sidecars:
    """All Sidecars, by the namespaces that they are for."""

    def __init__(self, found: Iterable[Sidecar], root: str) -> None:
        self._root = root
        self._selecting: dict[str, list[Sidecar]] = {}
        self._whole: dict[str, Sidecar] = {}
        for each in sorted(found, key=age):
            if selected(each):
                self._selecting.setdefault(each.metadata.namespace, []).append(each)
            else:
                self._whole.setdefault(each.metadata.namespace, each)
        self.labels = frozenset(
            label for each in self._selecting.values() for one in each for label in selected(one)
        )

    def holding(self, namespace: str, labels: Labels) -> Sidecar | None:
        """The one for a proxy of a namespace with these labels; None where it sees everything."""
        mine = dict(labels).items()
        for each in self._selecting.get(namespace, ()):
            if selected(each).items() <= mine:
                return each
        return self._whole.get(namespace) or self._whole.get(self._root)


def selected(found: Sidecar) -> dict[str, str]:
    """The labels of the workloads that it is for; empty: all of its namespace."""
    selector = found.spec.workload_selector
    return selector.labels if selector is not None else {}


class Horizon:
    """What a Sidecar lets proxies of a namespace see; without one, everything."""

    def __init__(self, found: Sidecar | None, namespace: str) -> None:
        self._listeners: Sequence[IstioEgressListener] | None = found.spec.egress if found else None
        self.sidecar = found
        self.namespace = namespace
        policy = found.spec.outbound_traffic_policy if found else None
        self.allows_unknown = None if policy is None else policy.mode == "ALLOW_ANY"

    @property
    def is_everything(self) -> bool:
        # Without any egress a Sidecar is about ingress alone.
        return not self._listeners or any(map(_shows_everything, self._listeners))

    def egress_proxy(self, domain: str) -> Destination | None:
        """Where calls are sent to whom nobody knows, its host in full; None: where they meant to go."""
        policy = self.sidecar.spec.outbound_traffic_policy if self.sidecar else None
        if self.sidecar is None or policy is None or policy.egress_proxy is None or not self.allows_unknown:
            return None
        host = resolve(policy.egress_proxy.host, self.sidecar.metadata.namespace, domain)
        return msgspec.structs.replace(policy.egress_proxy, host=host)

    def sees(self, namespace: str, host: Hostname | str) -> bool:
        """Whether it shows what `namespace` says of `host`: a service, or rules."""
        if not self._listeners:
            return True
        return any(
            self._names(pattern, namespace, host) for each in self._listeners for pattern in each.hosts
        )

    def ports(self, service: ServiceKey) -> frozenset[int] | None:
        """The ports on which it shows the service; None: all that it has."""
        found = [
            each.port.number if each.port else 0
            for each in self._listeners or ()
            if self.shows(each, service)
        ]
        return None if not found or 0 in found else frozenset(found)

    def shows(self, listener: IstioEgressListener, service: ServiceKey) -> bool:
        """Whether one of its listeners shows the service."""
        return any(self._names(pattern, service.namespace, service.hostname) for pattern in listener.hosts)

    def _names(self, pattern: str, namespace: str, host: str) -> bool:
        where, slash, name = pattern.rpartition("/")
        if slash and where != EVERYWHERE and (self.namespace if where == HERE else where) != namespace:
            return False
        return name == "*" or host_matches(name, host)


def _shows_everything(listener: IstioEgressListener) -> bool:
    """Whether one listener of a Sidecar shows all services at all of their ports."""
    return listener.port is None and not {"*", "*/*"}.isdisjoint(listener.hosts)
