"""Names of clusters, networks, services and hosts."""

from __future__ import annotations

from typing import NamedTuple, NewType

ClusterId = NewType("ClusterId", str)
"""A Kubernetes cluster, as the registry names it."""

ALONE = ClusterId("cluster")
"""The name of a cluster where nobody names one."""

NO_CLUSTER = ClusterId("-")
"""Where endpoints are that a ServiceEntry or WorkloadEntry tells of, and no cluster has."""

NetworkId = NewType("NetworkId", str)
"""A set of endpoints that reach each other without a gateway; empty for the one flat network."""

FLAT = NetworkId("")
"""The network of all that do not say another."""

Hostname = NewType("Hostname", str)
"""A service's full name: `reviews.default.svc.cluster.local`."""


class ServiceKey(NamedTuple):
    """A service, the same in all clusters: where namespace and host name are equal, it is one service."""

    namespace: str
    hostname: Hostname

    @property
    def name(self) -> str:
        """The first label of the host name."""
        return self.hostname.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.hostname}"


def kubernetes_hostname(name: str, namespace: str, domain: str) -> Hostname:
    """The host name of a Kubernetes Service: `name.namespace.svc.domain`."""
    return Hostname(f"{name}.{namespace}.svc.{domain}")


def service_named(hostname: str, domain: str) -> ServiceKey | None:
    """The Kubernetes Service that has a host name; None for names that none has."""
    name, _, rest = hostname.partition(".")
    namespace, _, zone = rest.partition(".")
    if not name or not namespace or zone != f"svc.{domain}":
        return None
    return ServiceKey(namespace, Hostname(hostname))


def resolve(host: str, namespace: str, domain: str) -> Hostname:
    """The host name that `host` means in an object of `namespace`.

    A name without a dot is a Service of that namespace; `name.ns` and `name.ns.svc` are filled up as well.
    Source: Istio's VirtualService reference, `hosts`; two-label names are taken as `name.namespace` only
    where they end in `.svc`, since `example.com` is a host of its own.
    """
    if host == "*" or host.startswith("*."):
        return Hostname(host)
    if "." not in host:
        return kubernetes_hostname(host, namespace, domain)
    if host.endswith(".svc"):
        return Hostname(f"{host}.{domain}")
    return Hostname(host.rstrip("."))


def host_matches(pattern: str, host: str) -> bool:
    """Whether `host` is `pattern`, or falls under it where it is a wildcard (`*`, `*.example.com`)."""
    if pattern.startswith("*"):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return pattern == host
