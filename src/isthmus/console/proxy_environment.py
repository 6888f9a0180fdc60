"""What the proxies of a cluster are told of their mesh, as their containers' environments have it in the pods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.console.drawn_pods import Tree, part, parts

_PROXY = "istio-proxy"
_CLUSTER = "ISTIO_META_CLUSTER_ID"
_SETTINGS = {
    "ISTHMUS_DOMAIN": "domain",
    "TRUST_DOMAIN": "trust_domain",
    "ISTHMUS_CONTROL_PLANE_NAMESPACE": "root_namespace",
}


def cluster_told(objects: Iterable[Tree]) -> str:
    """How the mesh calls the cluster that holds these; empty where no proxy of it says so."""
    return next((env[_CLUSTER] for env in _environments(objects) if env.get(_CLUSTER)), "")


def settings_told(objects: Iterable[Tree]) -> dict[str, object]:
    """The settings of the mesh that its proxies know, by the fields of `MeshSettings`."""
    found: dict[str, object] = {}
    for env in _environments(objects):
        for name, field in _SETTINGS.items():
            if env.get(name):
                found.setdefault(field, env[name])
        if len(found) == len(_SETTINGS):
            break
    return found


def _environments(objects: Iterable[Tree]) -> Iterator[dict[str, str]]:
    for each in objects:
        if each.get("kind") != "Pod":
            continue
        spec = part(each, "spec")
        for container in (*parts(spec, "containers"), *parts(spec, "initContainers")):
            if container.get("name") == _PROXY:
                yield {str(env.get("name")): str(env.get("value") or "") for env in parts(container, "env")}
