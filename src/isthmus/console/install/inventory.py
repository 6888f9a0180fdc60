"""What an installation put into a cluster, by a ConfigMap there: so that the next one knows what it has no more.

It is written before the first object, with the old and the new ones: whoever is interrupted leaves nothing unknown
(ADR 0043).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from isthmus.console.install.cluster import InstalledCluster, Key
from isthmus.console.install.labels import KEEPS, REVISION, ROLE
from isthmus.console.install.settings import Installation
from isthmus.kube.client import Scope

Json = dict[str, Any]
_IN_ITS_PLACE = {"gateway", "egress-gateway", "secret-reader"}
"""Roles that may be installed into several namespaces, each by itself."""


def place_of(role: str, installation: Installation) -> str:
    """The namespace where the inventory is."""
    return (role in _IN_ITS_PLACE and installation.place) or installation.namespace


def inventory_key(role: str, installation: Installation) -> Key:
    """The ConfigMap of an installation."""
    return Key(
        "v1", "ConfigMap", place_of(role, installation), f"isthmus-installation-{role}{installation.suffix}"
    )


def inventory(role: str, installation: Installation, keys: Iterable[Key]) -> Json:
    """The ConfigMap that says `keys`."""
    key = inventory_key(role, installation)
    labels = {KEEPS: "inventory", ROLE: role, REVISION: installation.label}
    text = "".join(f"{' '.join(each)}\n" for each in sorted(set(keys)))
    return {
        "apiVersion": key.api_version,
        "kind": key.kind,
        "metadata": {"name": key.name, "namespace": key.namespace, "labels": labels},
        "data": {"objects": text},
    }


def keys_in(found: Json | None) -> set[Key]:
    """What an inventory says; nothing where there is none."""
    text = ((found or {}).get("data") or {}).get("objects", "")
    return {Key(*words) for line in text.splitlines() if len(words := line.split(" ")) == len(Key._fields)}


async def kept_by_others(cluster: InstalledCluster, own: Key) -> set[Key]:
    """What other installations of the cluster have as well, so that it must stay. Raises `KubeError`."""
    found = await cluster.each(own, Scope(labels=f"{KEEPS}=inventory"))
    return {
        key
        for each in found
        if (each["metadata"]["namespace"], each["metadata"]["name"]) != (own.namespace, own.name)
        for key in keys_in(each)
    }
