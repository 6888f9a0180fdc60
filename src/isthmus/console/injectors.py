"""Who puts sidecars into pods in a cluster: the webhooks that API servers ask about new pods, and what these decide."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from isthmus.admission.bundles import MUTATING
from isthmus.api import kind_named
from isthmus.console.asking import Asking, asking
from isthmus.kube.client import Client
from isthmus.kube.errors import Forbidden, NotFound
from isthmus.model.revision import DEFAULT, LABEL, suffix
from isthmus.sidecar.inject.settings import InjectSettings, InvalidSettings, settings_in

Json = dict[str, Any]
_CONFIG_MAPS = kind_named("ConfigMap")
_APP = "sidecar-injector"


class Injector(Asking, frozen=True, kw_only=True):
    """One configuration of webhooks by which an API server asks about new pods."""

    revision: str
    hooks: tuple[Json, ...]
    """Its webhooks that hear of new pods."""


async def injectors(client: Client) -> list[Injector]:
    """All of the cluster's, in the order in which they are asked. Raises `KubeError`."""
    listing = await client.list_all(MUTATING)
    found = (msgspec.json.decode(each, type=dict[str, Any]) for each in listing.items)
    ours = [each for each in found if _is_injector(each["metadata"].get("labels") or {})]
    made = [_injector(each) for each in sorted(ours, key=lambda each: str(each["metadata"]["name"]))]
    return [each for each in made if each.hooks]


def _is_injector(labels: Mapping[str, str]) -> bool:
    return LABEL in labels or labels.get("app") == _APP


def _injector(configuration: Json) -> Injector:
    hooks = tuple(
        each
        for each in configuration.get("webhooks") or ()
        if any(_hears_of_pods(rule) for rule in each.get("rules") or ())
    )
    revision = (configuration["metadata"].get("labels") or {}).get(LABEL) or DEFAULT
    return Injector(**asking(configuration, hooks), revision=revision, hooks=hooks)


def _hears_of_pods(rule: Json) -> bool:
    wanted = (("operations", "CREATE"), ("apiGroups", ""), ("apiVersions", "v1"), ("resources", "pods"))
    return all({value, "*"} & set(rule.get(key) or ()) for key, value in wanted)


async def settings_of(client: Client, root: str, revisions: set[str]) -> dict[str, InjectSettings]:
    """What injectors of these revisions are told of sidecars, of those that say it in our words and let it be read."""
    said = await asyncio.gather(*(_settings(client, root, each) for each in sorted(revisions)))
    return {name: each for name, each in zip(sorted(revisions), said, strict=True) if each is not None}


async def _settings(client: Client, root: str, revision: str) -> InjectSettings | None:
    try:
        found = await client.get(_CONFIG_MAPS, root, f"istio-sidecar-injector{suffix(revision)}")
        return settings_in(found.get("data"))
    except (Forbidden, NotFound, InvalidSettings):
        return None
