"""The DNS names in certificates: the cluster that vouched, and those of the control plane's own servers.

The latter are for clients that know a server by its name alone, as webhooks' are. Only Citadel's own cluster
can vouch for their accounts: another cluster's account of the same name is not that server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from isthmus.ca.attest import Caller
from isthmus.model.identity import cluster_name

_SERVERS = {
    "istio-pilot-service-account": ("istio-pilot", "istiod"),
    "istio-sidecar-injector-service-account": ("istio-sidecar-injector",),
}
_NAME = re.compile(r"(\*\.)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


class DnsNames(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts' certificates bear which names."""

    cluster: str
    namespace: str = "istio-system"
    append: bool = True
    """Whether the control plane's servers get the names of their Services."""
    custom: Mapping[str, tuple[str, ...]] = {}
    """Further names by `account.namespace`."""

    def of(self, caller: Caller) -> tuple[str, ...]:
        """The names in the certificate of `caller`, that of its cluster first."""
        names = [cluster_name(caller.cluster, caller.identity.trust_domain)]
        if caller.cluster == self.cluster:
            _, namespace, account = caller.identity
            if self.append and namespace == self.namespace and account in _SERVERS:
                for server in _SERVERS[account]:
                    names += [f"{server}.{namespace}.svc", f"{server}.{namespace}"]
            names += self.custom.get(f"{account}.{namespace}", ())
        return tuple(dict.fromkeys(names))


def parse_custom(text: str) -> Mapping[str, tuple[str, ...]]:
    """Names by account in `account.namespace:name,…`. Raises `ValueError`."""
    custom: dict[str, tuple[str, ...]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        account, _, name = part.partition(":")
        if "." not in account or not _NAME.fullmatch(name):
            raise ValueError(
                f"not an account and a DNS name: {part!r} (hint: account.namespace:name.example)"
            )
        custom[account] = (*custom.get(account, ()), name)
    return custom
