"""For which names a CA may sign at all: X.509's name constraints, which peers check by themselves.

Sources: RFC 5280 4.2.1.10; of URIs the host counts, of DNS names a name and all below it.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

from cryptography import x509

from isthmus.kit.x509 import Certificate, Names, extension

_ALL_ADDRESSES = tuple(x509.IPAddress(ipaddress.ip_network(each)) for each in ("0.0.0.0/0", "::/0"))


class NameLimits(NamedTuple):
    """The hosts of URIs and the DNS domains that a CA may sign for; no addresses at all."""

    hosts: tuple[str, ...]
    domains: tuple[str, ...]

    def extension(self) -> x509.NameConstraints:
        """These limits in a certificate."""
        permitted = [*map(x509.UniformResourceIdentifier, self.hosts), *map(x509.DNSName, self.domains)]
        return x509.NameConstraints(permitted, _ALL_ADDRESSES)


def limits_of(certificate: Certificate) -> NameLimits | None:
    """For what the certificate's holder may sign; None where it may for everything."""
    found = extension(certificate, x509.NameConstraints)
    if found is None or found.permitted_subtrees is None:
        return None
    permitted = found.permitted_subtrees
    return NameLimits(
        tuple(each.value for each in permitted if isinstance(each, x509.UniformResourceIdentifier)),
        tuple(each.value for each in permitted if isinstance(each, x509.DNSName)),
    )


def beyond(limits: NameLimits, names: Names) -> str:
    """The first of `names` that a CA with these limits may not sign; empty where it may sign all."""
    for uri in names.uris:
        host = urlsplit(uri).hostname or ""
        if limits.hosts and not any(_covers(each, host) for each in limits.hosts):
            return uri
    domains = [each.lower() for each in limits.domains]
    for name in names.dns:
        if domains and not any(f".{name.lower()}".endswith(f".{each}") for each in domains):
            return name
    return ""


def _covers(limit: str, host: str) -> bool:
    """A host stands for itself alone; one with a dot before it for all that are below."""
    return host.endswith(limit) if limit.startswith(".") else host == limit
