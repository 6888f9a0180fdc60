"""Denies identities and certificates in all clusters of the mesh.

Citadels sign for them no more, Pilot tells them nothing, and proxies refuse their calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.istio.authorization_policy_keys import CEL
from isthmus.api.resource import Kind, Object
from isthmus.ca.denied import CONFIG_MAP, KEY, Denial, read, written
from isthmus.console.ca_clusters import CaCluster, Reached
from isthmus.console.ca_secret import CONFIG_MAPS
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError, NotFound

_POLICIES = Kind(
    "security.istio.io", ("v1",), "AuthorizationPolicy", "authorizationpolicies", AuthorizationPolicy
)
_WHO_AM_I = Kind(
    "authentication.k8s.io", ("v1",), "SelfSubjectReview", "selfsubjectreviews", Object, namespaced=False
)
_MANAGER = "isthmus-ca-deny"
_DIGEST = "connection.sha256_peer_certificate_digest"
_OF_ONE_RULE = 50
"""Certificates: an expression has 4,096 characters at most, and each takes 68."""


def policy(denials: Sequence[Denial], namespace: str) -> dict[str, Any]:
    """By which no proxy of the mesh lets these in."""
    principals = sorted(each.identity.removeprefix("spiffe://") for each in denials if not each.serial)
    digests = sorted(each.sha256 for each in denials if each.serial)
    rules: list[dict[str, Any]] = [{"from": [{"source": {"principals": principals}}]}] if principals else []
    for at in range(0, len(digests), _OF_ONE_RULE):
        named = ", ".join(f"'{each}'" for each in digests[at : at + _OF_ONE_RULE])
        # A call in plain text has no certificate, and what cannot be told would be refused.
        text = f"has({_DIGEST}) && {_DIGEST} in [{named}]"
        rules.append({"when": [{"key": CEL, "values": [text]}]})
    return {
        "apiVersion": _POLICIES.api_version,
        "kind": _POLICIES.name,
        "metadata": {"name": CONFIG_MAP, "namespace": namespace},
        "spec": {"action": "DENY", "rules": rules},
    }


async def read_denied(client: Client, namespace: str) -> tuple[Denial, ...]:
    """The list of a cluster whose control plane is in `namespace`. Raises `KubeError`, `ValueError`."""
    try:
        found = await client.get(CONFIG_MAPS, namespace, CONFIG_MAP)
    except NotFound:
        return ()
    return read((found.get("data") or {}).get(KEY, ""))


async def denied_in(cluster: CaCluster) -> tuple[Denial, ...]:
    """Who is denied in a cluster. Raises `KubeError`."""
    try:
        return await read_denied(cluster.client, cluster.namespace)
    except ValueError as error:
        raise KubeError(f"configmap {cluster.namespace}/{CONFIG_MAP} of {cluster.name}: {error}") from error


async def deny(reached: Reached, denials: Sequence[Denial], now: float) -> tuple[Denial, ...]:
    """Deny these as well, in all clusters; returns who is denied now. Raises `KubeError`."""
    new = {each.name: each for each in denials}
    kept = [each for each in await denied_in(reached.config) if each.name not in new]
    return await _put(reached, (*kept, *new.values()), now)


async def allow(reached: Reached, names: Sequence[str], now: float) -> tuple[Denial, ...]:
    """Deny these no more; returns who is denied still. Raises `KubeError`, `LookupError` for one that is not."""
    known = await denied_in(reached.config)
    if unknown := set(names) - {each.name for each in known}:
        raise LookupError(f"{min(unknown)} is not denied (hint: isthmus ca denied)")
    return await _put(reached, [each for each in known if each.name not in names], now)


async def user_of(client: Client) -> str:
    """Who we are to an API server; empty where it does not say."""
    asked = {"apiVersion": _WHO_AM_I.api_version, "kind": _WHO_AM_I.name, "metadata": {}}
    try:
        said = await client.create(_WHO_AM_I, asked)
    except KubeError:
        return ""
    return str(((said.get("status") or {}).get("userInfo") or {}).get("username") or "")


async def _put(reached: Reached, wanted: Sequence[Denial], now: float) -> tuple[Denial, ...]:
    """Have these in all clusters, but for those that have ended."""
    denials = tuple(each for each in wanted if each.stands(now))
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
    return denials
