"""ExternalName Services that name a host of the mesh: they are other names of it, as they are to DNS.

Callers get the address of what is meant, and only the host of a request says that they used another name.
Source: Istio's treatment of ExternalName Services as aliases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from isthmus.model.names import Hostname, ServiceKey, service_named
from isthmus.model.service import Service

_NONE = Hostname("")


class Aliases:
    """Says which host of the mesh an ExternalName stands for, and who must be looked at again."""

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self._named: dict[ServiceKey, Hostname] = {}  # by ExternalName, the host that it names
        self._naming: dict[Hostname, set[ServiceKey]] = defaultdict(set)  # the other way round
        self._hosts: dict[Hostname, set[ServiceKey]] = defaultdict(set)  # of all other services

    def settle(self, services: Mapping[ServiceKey, Service | None]) -> set[ServiceKey]:
        """Take services as they are now (None: gone); the ExternalNames that may stand for another host than before."""
        moved: set[ServiceKey] = set()
        for key, service in services.items():
            named = named_by(service) if service is not None else _NONE
            before = self._named.pop(key, _NONE)
            if named:
                self._named[key] = named
            is_host = service is not None and not named
            if named == before and is_host == (key in self._hosts.get(key.hostname, ())):
                continue
            _keep(self._naming, before, key, is_kept=False)
            _keep(self._naming, named, key, is_kept=bool(named))
            _keep(self._hosts, key.hostname, key, is_kept=is_host)
            moved |= {key} | self._leading_to(key.hostname)
        return moved & self._named.keys()

    def meant(self, service: Service) -> Hostname:
        """The host of the mesh that the service stands for; empty where it stands for itself, or for none of these."""
        host, seen = named_by(service), {service.key.hostname}
        while host not in seen and (key := service_named(host, self._domain)) in self._named:
            seen.add(host)
            host = self._named[key]
        return host if host in self._hosts else _NONE

    def _leading_to(self, host: Hostname) -> set[ServiceKey]:
        """The ExternalNames that name the host, or another one that does."""
        found: set[ServiceKey] = set()
        hosts = [host]
        while hosts:
            new = self._naming.get(hosts.pop(), set()) - found
            found |= new
            hosts += [key.hostname for key in new]
        return found


def named_by(service: Service) -> Hostname:
    """The host that an ExternalName Service names, as hosts are written here; empty for other services."""
    return Hostname(service.external_name.rstrip(".").lower())


def _keep(held: dict[Hostname, set[ServiceKey]], host: Hostname, key: ServiceKey, *, is_kept: bool) -> None:
    if is_kept:
        held[host].add(key)
    elif host in held:
        held[host].discard(key)
        if not held[host]:
            del held[host]
