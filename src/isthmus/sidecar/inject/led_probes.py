"""Probes and hooks of a pod's containers, led to the agent: kubelets have no certificate, and know no mutual TLS.

Those over HTTP, HTTPS, TCP and gRPC; commands run in the container itself. What names a host of its own asks another
than this pod, and stays. Source: Istio's documentation "Health Checking of Istio Services"; ADR 0031.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from isthmus.api.istio.workload_group import ReadinessProbe
from isthmus.kit.whole import whole
from isthmus.model import proxy_config
from isthmus.sidecar.inject.pod import Json, Pod
from isthmus.sidecar.probe_paths import HOOKS, PROBES

_PLACES = {
    "readinessProbe": PROBES + "{}/readyz",
    "livenessProbe": PROBES + "{}/livez",
    "startupProbe": PROBES + "{}/startupz",
    "preStop": HOOKS + "{}/prestopz",
    "postStart": HOOKS + "{}/poststartz",
}
"""The path at the agent of each; Istio's names."""
_HOOKS = ("preStop", "postStart")
_WAYS = ("httpGet", "tcpSocket", "grpc")
_HOOK_LIMIT_S = 3600
"""A kubelet waits for a hook as long as the pod may take to end."""
_EARLY = frozenset({"startupProbe", "postStart"})
"""What of an init container is asked before anything that comes after it is started: the agent, too."""


class Led(NamedTuple):
    """One that the kubelet asks of the agent."""

    path: str
    before: Json
    """The handler that stood there: `{"httpGet": …}`."""
    asked: ReadinessProbe


def led_probes(pod: Pod) -> tuple[Led, ...]:
    """What of the pod's containers is to be led.

    By the name that a container has alone: an API server refuses the others.
    """
    early = _list(pod.spec, "initContainers")
    names = Counter(map(_name, (*pod.containers, *early)))
    found: list[Led] = []
    for container in pod.containers:
        if names[_name(container)] == 1:
            found += _of(container, frozenset())
    for container in early:
        if names[_name(container)] == 1 and container.get("restartPolicy") == "Always":
            found += _of(container, _EARLY)
    return tuple(found)


def needs_agent_first(found: tuple[Led, ...]) -> bool:
    """Whether a container's start waits for a hook, and with it whatever comes after that container."""
    return any(each.path.endswith("/poststartz") for each in found)


def probers(found: tuple[Led, ...]) -> str:
    """What the agent is told, as the value of a variable of a container, in which `$(NAME)` would mean another."""
    told = {each.path: proxy_config.said(each.asked) for each in found}
    return msgspec.json.encode(told, order="sorted").decode().replace("$", "$$")


def replaced(containers: list[Json], handlers: Mapping[str, Json]) -> list[Json]:
    """The containers with each probe and hook whose path at the agent is in `handlers` asked so."""
    return [_replaced(each, handlers) for each in containers]


def at_agent(found: tuple[Led, ...], port: int) -> dict[str, Json]:
    """How the kubelet asks instead, by path."""
    return {each.path: {"httpGet": {"path": each.path, "port": port}} for each in found}


def restored(containers: list[Json], before: Mapping[str, Json]) -> list[Json]:
    """The containers as they were; what somebody changed since stays as it is now."""
    return [
        _replaced(each, {path: handler for path, handler in before.items() if path == _path_now(each, path)})
        for each in containers
    ]


def _name(container: Json) -> str:
    found = container.get("name")
    return found if isinstance(found, str) else ""


def _of(container: Json, without: frozenset[str]) -> Iterator[Led]:
    if not _name(container):
        return
    for place, path in _PLACES.items():
        found = _at(container, place)
        if place in without or found is None:
            continue
        handler = {way: found[way] for way in _WAYS if way in found}
        limit_s = _HOOK_LIMIT_S if place in _HOOKS else found.get("timeoutSeconds")
        asked = _asked(handler, limit_s, _list(container, "ports"))
        if asked is not None:
            yield Led(path.format(_name(container)), handler, asked)


def _asked(handler: Json, limit_s: object, ports: list[Json]) -> ReadinessProbe | None:
    """What the agent asks; None where it is no probe that it can ask, and the API server or the kubelet says why."""
    ways = [(way, action) for way, action in handler.items() if action is not None]
    if len(ways) != 1 or not isinstance(ways[0][1], dict):
        return None
    ((way, action),) = ways
    written = {key: value for key, value in action.items() if value is not None}
    written["port"] = _number(written.get("port"), ports)
    if written.get("host") or not written["port"]:
        return None
    try:
        # By way of JSON: strings of people's files are of a type of their own.
        said = json.dumps({way: written, "timeoutSeconds": limit_s or 1})
        return msgspec.json.decode(said, type=ReadinessProbe)
    except (msgspec.DecodeError, TypeError):
        return None


def _number(port: object, ports: list[Json]) -> object:
    """The number of a port that may be called by its name; None where no port has it."""
    if not isinstance(port, str):
        return port
    named = (each.get("containerPort") for each in ports if each.get("name") == port)
    return next(named, whole(port))


def _at(container: Json, place: str) -> Json | None:
    holder = container.get("lifecycle") if place in _HOOKS else container
    found = holder.get(place) if isinstance(holder, dict) else None
    return found if isinstance(found, dict) else None


def _replaced(container: Json, handlers: Mapping[str, Json]) -> Json:
    changed = dict(container)
    for place, path in _PLACES.items():
        found, handler = _at(changed, place), handlers.get(path.format(_name(container)))
        if found is None or handler is None:
            continue
        new = _instead(found, handler)
        if place in _HOOKS:
            changed["lifecycle"] = {**changed["lifecycle"], place: new}
        else:
            changed[place] = new
    return changed


def _instead(found: Json, handler: Json) -> Json:
    """The probe with `handler` where its own stood."""
    new: Json = {}
    for key, value in found.items():
        new |= handler if key in _WAYS else {key: value}
    return new


def _path_now(container: Json, path: str) -> str:
    """`path`, where the container's probe or hook that belongs there is asked of the agent."""
    for place, usual in _PLACES.items():
        found = _at(container, place)
        if usual.format(_name(container)) == path and found is not None:
            action = found.get("httpGet")
            return str(action.get("path")) if isinstance(action, dict) else ""
    return ""


def _list(holder: Json, key: str) -> list[Json]:
    found = holder.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
