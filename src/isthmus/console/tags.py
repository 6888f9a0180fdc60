"""Tags of revisions in a cluster: set, removed and listed, and what of the cluster speaks against it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from isthmus.admission.bundles import MUTATING, VALIDATING
from isthmus.admission.configurations import injector_name, validator_name
from isthmus.admission.tags import Tag, is_silenced, silenced, tag_objects
from isthmus.api.resource import Kind, Object
from isthmus.console.control_plane import PODS
from isthmus.console.revisions import asked_by, namespaces_in
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import NotFound
from isthmus.model.revision import DEFAULT, LABEL, TAG_LABEL

Json = dict[str, Any]

MANAGER = "isthmus-revision"
_RBAC = "rbac.authorization.k8s.io"
_KINDS = {
    each.name: each
    for each in (
        MUTATING,
        VALIDATING,
        Kind(_RBAC, ("v1",), "ClusterRole", "clusterroles", Object, namespaced=False),
        Kind(_RBAC, ("v1",), "ClusterRoleBinding", "clusterrolebindings", Object, namespaced=False),
    )
}


class CannotTag(Exception):
    """The tag cannot be so; the message says why and what to do."""


class SetTag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag as it is in the cluster."""

    tag: str
    revision: str
    namespaces: tuple[str, ...] = ()
    """Those that ask for it."""


async def tags(client: Client, root: str) -> list[SetTag]:
    """All tags of the control plane in namespace `root`, by name. Raises `KubeError`."""
    asking: dict[str, list[str]] = {}
    for each in await namespaces_in(client):
        if asked := asked_by(each.metadata.labels):
            asking.setdefault(asked, []).append(each.metadata.name)
    found = [each["metadata"]["labels"] for each in await _webhooks(client, MUTATING, TAG_LABEL, root)]
    return [
        SetTag(tag=name, revision=revision, namespaces=tuple(sorted(asking.get(name, ()))))
        for name, revision in sorted((each[TAG_LABEL], each.get(LABEL, DEFAULT)) for each in found)
    ]


async def objects_of(client: Client, tag: Tag) -> list[Json]:
    """What makes the tag, from the webhooks of its revision. Raises `CannotTag`, `KubeError`."""
    injectors = await _own(client, MUTATING, tag.revision, tag.namespace)
    if not injectors:
        raise CannotTag(
            f'revision "{tag.revision}" has no webhook of its own in this cluster '
            "(hint: isthmus revision list shows those that are there; install it first)"
        )
    validators = await _own(client, VALIDATING, tag.revision, tag.namespace)
    first = _preferred(injectors, injector_name(tag.revision, tag.namespace))
    validator = _preferred(validators, validator_name(tag.revision, tag.namespace)) if validators else None
    return tag_objects(tag, first, validator)


async def must_be_free(client: Client, tag: Tag, *, overwrite: bool) -> None:
    """Raises `CannotTag` where the name is a revision's, or is set already and is not to be moved."""
    if tag.name != DEFAULT and await _own(client, MUTATING, tag.name, tag.namespace):
        raise CannotTag(
            f'"{tag.name}" is a revision of its own in this cluster (hint: a tag needs another name)'
        )
    now = {each.tag: each.revision for each in await tags(client, tag.namespace)}
    if now.get(tag.name, tag.revision) != tag.revision and not overwrite:
        raise CannotTag(
            f'tag "{tag.name}" is set, to revision "{now[tag.name]}" (hint: --overwrite moves it)'
        )


async def left_by_setting(client: Client, tag: Tag, objects: Iterable[Json]) -> tuple[str, ...]:
    """The namespaces about whose new pods nobody would answer, with the tag made of `objects`."""
    called = [hook["clientConfig"] for each in objects for hook in each.get("webhooks", ())]
    if all("service" not in each for each in called):
        return ()  # who answers elsewhere is not for us to see
    labels = f"{LABEL}={tag.revision},istio in (pilot,sidecar-injector)"
    scope = Scope(tag.namespace, labels=labels, fields="status.phase=Running")
    if (await client.list_all(PODS, scope)).items:
        return ()
    return await _asking(client, tag.name)


async def left_by_removing(client: Client, tag: str, root: str) -> tuple[str, ...]:
    """The namespaces whose new pods would have no sidecar without the tag.

    Those that name no revision have one yet where the revision `default` runs.
    """
    if tag == DEFAULT and await _own(client, MUTATING, DEFAULT, root):
        return ()
    return await _asking(client, tag)


async def set_tag(client: Client, tag: Tag, objects: Iterable[Json]) -> None:
    """Make the tag, or move it. Raises `KubeError`.

    Rights come first, so that roots are never kept by nobody; and the tag is there before others fall silent.
    """
    for each in sorted(objects, key=lambda each: each["kind"] in {MUTATING.name, VALIDATING.name}):
        await client.apply(_KINDS[each["kind"]], _with_roots(each), MANAGER)
    if tag.name == DEFAULT:
        await _silence(client, tag.namespace, silent=tag.revision != DEFAULT)


async def remove_tag(client: Client, tag: str, root: str) -> None:
    """Take the tag away, and all that came with it. Raises `CannotTag` where there is none, `KubeError`."""
    if tag not in {each.tag for each in await tags(client, root)}:
        raise CannotTag(f'there is no tag "{tag}" (hint: isthmus revision tag list)')
    made = Tag(name=tag, revision="", namespace=root)
    if tag == DEFAULT:
        await _silence(client, root, silent=False)
    gone = [
        (MUTATING, made.injector),
        *((_KINDS[f"ClusterRole{end}"], made.injector) for end in ("Binding", "")),
    ]
    if tag == DEFAULT:
        gone.append((VALIDATING, made.validator))
    for kind, name in gone:
        try:
            await client.delete(kind, "", name)
        except NotFound:
            continue


async def _silence(client: Client, root: str, *, silent: bool) -> None:
    """Let the webhook of revision `default` ask about no pod while another one is the default, or ask again.

    Both would be asked otherwise, and pods would be of the one that is asked last.
    """
    for found in await _own(client, MUTATING, DEFAULT, root):
        if is_silenced(found) != silent:
            wanted = silenced(found, silent=silent)
            patch = {
                "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
                "webhooks": wanted["webhooks"],
            }
            await client.merge(MUTATING, "", found["metadata"]["name"], patch)


def _with_roots(made: Json) -> Json:
    """Without roots where the revision's have none yet: whoever answers writes them."""
    hooks = [
        each | {"clientConfig": {key: value for key, value in each["clientConfig"].items() if value}}
        for each in made.get("webhooks", ())
    ]
    return made | ({"webhooks": hooks} if hooks else {})


async def _asking(client: Client, tag: str) -> tuple[str, ...]:
    asked = await namespaces_in(client)
    return tuple(sorted(each.metadata.name for each in asked if asked_by(each.metadata.labels) == tag))


def _preferred(found: list[Json], name: str) -> Json:
    return next((each for each in found if each["metadata"]["name"] == name), found[0])


async def _own(client: Client, kind: Kind, revision: str, root: str) -> list[Json]:
    """The webhooks of a revision, and not those of tags. Raises `KubeError`."""
    return await _webhooks(client, kind, f"{LABEL}={revision},!{TAG_LABEL}", root)


async def _webhooks(client: Client, kind: Kind, labels: str, root: str) -> list[Json]:
    listing = await client.list_all(kind, Scope(labels=labels))
    found = [msgspec.json.decode(each, type=dict[str, Any]) for each in listing.items]
    return [each for each in found if each.get("webhooks") and _is_in(each, root)]


def _is_in(configuration: Json, root: str) -> bool:
    """Whether the control plane in namespace `root` answers."""
    called = [(each.get("clientConfig") or {}).get("service") or {} for each in configuration["webhooks"]]
    return all(each.get("namespace", root) == root for each in called)
