"""Which of its endpoints a Kubernetes Service wants callers to take, and who serves it besides them.

Sources: Kubernetes' "Traffic distribution", "Topology aware routing" and "Internal traffic policy"; Istio's
annotations reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.api.core.service import Service
from isthmus.api.istio.load_balancer import LocalityLbSetting
from isthmus.model.identity import SpiffeId

_DISTRIBUTION = "networking.istio.io/traffic-distribution"
_TOPOLOGY = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")
_ACCOUNTS = ("alpha.istio.io/kubernetes-serviceaccounts", "alpha.istio.io/canonical-serviceaccounts")

NODE_LABEL = "kubernetes.io/hostname"
_ZONE = ("topology.istio.io/network", "topology.kubernetes.io/region", "topology.kubernetes.io/zone")
_SETTINGS = {
    "preferclose": LocalityLbSetting(failover_priority=_ZONE),
    "prefersamezone": LocalityLbSetting(failover_priority=_ZONE),
    "prefersamenode": LocalityLbSetting(failover_priority=(*_ZONE, "topology.istio.io/subzone", NODE_LABEL)),
    "any": LocalityLbSetting(enabled=False),
}


def distribution_of(found: Service) -> str:
    """What the Service says of near and far endpoints, its annotations before its field; empty: nothing.

    Topology aware routing keeps calls in their zone. Kubernetes lets it count before the field.
    """
    annotations = found.metadata.annotations
    aware = any(annotations.get(name, "").lower() == "auto" for name in _TOPOLOGY)
    said = annotations.get(_DISTRIBUTION) or ("PreferSameZone" if aware else found.spec.traffic_distribution)
    return said.lower() if said.lower() in _SETTINGS else ""


def setting_for(distribution: str) -> LocalityLbSetting | None:
    """The same as a setting; None where nothing is said."""
    return _SETTINGS.get(distribution)


def accounts_of(found: Service) -> tuple[str, ...]:
    """Accounts that serve the Service besides those of its pods: names in its namespace, or identities."""
    said = (found.metadata.annotations.get(name, "") for name in _ACCOUNTS)
    return tuple(sorted({each.strip() for text in said for each in text.split(",")} - {""}))


def identities_of(accounts: Iterable[str], namespace: str, trust_domain: str) -> Iterator[SpiffeId]:
    """The identities of these accounts; what has another form than ours is left out."""
    for each in accounts:
        if "://" not in each:
            yield SpiffeId(trust_domain, namespace, each)
            continue
        try:
            yield SpiffeId.parse(each)
        except ValueError:
            continue
