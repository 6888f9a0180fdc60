"""Denies identities in all clusters of the mesh: Citadels sign for them no more, and proxies refuse their calls."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.resource import Kind
from isthmus.ca.denied import CONFIG_MAP, KEY, Denial, read, written
from isthmus.console.ca_clusters import CaCluster, Reached
from isthmus.console.ca_secret import CONFIG_MAPS
from isthmus.kube.errors import KubeError, NotFound

_POLICIES = Kind(
    "security.istio.io", ("v1",), "AuthorizationPolicy", "authorizationpolicies", AuthorizationPolicy
)
_MANAGER = "isthmus-ca-deny"


def policy(denials: Sequence[Denial], namespace: str) -> dict[str, Any]:
    """By which no proxy of the mesh lets these in."""
    principals = sorted(each.identity.removeprefix("spiffe://") for each in denials)
    rules = [{"from": [{"source": {"principals": principals}}]}]
    return {
        "apiVersion": _POLICIES.api_version,
        "kind": _POLICIES.name,
        "metadata": {"name": CONFIG_MAP, "namespace": namespace},
        "spec": {"action": "DENY", "rules": rules},
    }


async def denied_in(cluster: CaCluster) -> tuple[Denial, ...]:
    """Who is denied in a cluster. Raises `KubeError`."""
    try:
        found = await cluster.client.get(CONFIG_MAPS, cluster.namespace, CONFIG_MAP)
    except NotFound:
        return ()
    try:
        return read((found.get("data") or {}).get(KEY, ""))
    except ValueError as error:
        raise KubeError(f"configmap {cluster.namespace}/{CONFIG_MAP} of {cluster.name}: {error}") from error


async def deny(reached: Reached, denials: Sequence[Denial]) -> tuple[Denial, ...]:
    """Deny these as well, in all clusters; returns who is denied now. Raises `KubeError`."""
    new = {each.identity: each for each in denials}
    kept = [each for each in await denied_in(reached.config) if each.identity not in new]
    return await _put(reached, (*kept, *new.values()))


async def allow(reached: Reached, identities: Sequence[str]) -> tuple[Denial, ...]:
    """Deny these no more; returns who is denied still. Raises `KubeError`, `LookupError` for one that is not."""
    known = await denied_in(reached.config)
    if unknown := set(identities) - {each.identity for each in known}:
        raise LookupError(f"{min(unknown)} is not denied (hint: isthmus ca denied)")
    return await _put(reached, [each for each in known if each.identity not in identities])


async def _put(reached: Reached, denials: Sequence[Denial]) -> tuple[Denial, ...]:
    for cluster in reached.clusters:
        metadata = {"name": CONFIG_MAP, "namespace": cluster.namespace}
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {KEY: written(denials)},
        }
        await cluster.client.apply(CONFIG_MAPS, body, _MANAGER)
    config = reached.config
    if denials:
        await config.client.apply(_POLICIES, policy(denials, config.namespace), _MANAGER)
    else:
        with suppress(NotFound):
            await config.client.delete(_POLICIES, config.namespace, CONFIG_MAP)
    return tuple(denials)
