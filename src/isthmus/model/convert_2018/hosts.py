"""Services as the kinds of 2018 name them, and the versions of each that were spoken of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from isthmus.api.istio.destination_rule import Subset
from isthmus.api.istio_2018.service import IstioService

_DOMAIN = "svc.cluster.local"
_NOT_IN_NAMES = re.compile(r"[^a-z0-9-]+")


class Host(NamedTuple):
    """A service: by name and namespace, or by a host name that is not of the cluster (then `name` is all of it)."""

    namespace: str  # empty: that of whoever applies the file
    name: str
    is_foreign: bool = False

    def seen_from(self, namespace: str) -> str:
        """How an object of `namespace` says it: short, where it is of the same namespace."""
        if self.is_foreign or self.namespace == namespace:
            return self.name
        return f"{self.name}.{self.namespace}.{_DOMAIN}"

    @property
    def object_name(self) -> str:
        """A name for the object that is made for it."""
        return self.name.replace("*", "any").strip(".")


def host_of(service: IstioService, namespace: str) -> Host:
    """The service that an object of `namespace` means."""
    if service.service:
        whole = service.service.removesuffix(".")
        name, _, rest = whole.partition(".")
        own, _, domain = rest.partition(".")
        if domain == _DOMAIN:
            return Host(own, name)
        return Host(namespace, name) if not rest else Host("", whole, is_foreign=True)
    if service.domain and service.domain != _DOMAIN:
        own = service.namespace or namespace
        whole = ".".join(part for part in (service.name, own, service.domain) if part)
        return Host("", whole, is_foreign=True)
    return Host(service.namespace or namespace, service.name)


@dataclass(slots=True)
class Subsets:
    """Names for the versions of services: `version: v1` is `v1`, other labels are spelt out."""

    _names: dict[Host, dict[tuple[tuple[str, str], ...], str]] = field(default_factory=dict)

    def name(self, host: Host, labels: Mapping[str, str]) -> str:
        """The name of the subset with `labels`; empty for no labels. No two of one host share a name."""
        if not labels:
            return ""
        key = tuple(sorted(labels.items()))
        known = self._names.setdefault(host, {})
        if key not in known:
            wanted = _plain(labels)
            taken, number = set(known.values()), 2
            name = wanted
            while name in taken:
                name, number = f"{wanted}-{number}", number + 1
            known[key] = name
        return known[key]

    def of(self, host: Host) -> tuple[Subset, ...]:
        """All subsets of a host, by name."""
        known = self._names.get(host, {})
        found = (Subset(name=name, labels=dict(labels)) for labels, name in known.items())
        return tuple(sorted(found, key=lambda each: each.name))

    @property
    def hosts(self) -> list[Host]:
        """The hosts that have any."""
        return sorted(self._names)


def _plain(labels: Mapping[str, str]) -> str:
    if set(labels) == {"version"}:
        text = labels["version"]
    else:
        text = "-".join(f"{name}-{value}" for name, value in sorted(labels.items()))
    return _NOT_IN_NAMES.sub("-", text.lower()).strip("-") or "subset"
