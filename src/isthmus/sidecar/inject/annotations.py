"""What a pod's annotations say, read as what they mean; whatever is wrong with them is told at once.

Source: Istio's "Resource Annotations". `traffic.sidecar.istio.io/*` are read by `capture`, `proxy.istio.io/config` by
`pod_config`, those of statistics by `stats_annotations`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from isthmus.kit.ip import host_and_port
from isthmus.kit.quantity import quantity
from isthmus.kit.whole import whole
from isthmus.model.interception import MODES
from isthmus.sidecar.inject.pod import Json, Pod
from isthmus.sidecar.stats_annotations import READERS as STATS
from isthmus.sidecar.stats_annotations import InvalidStats

SIDECAR = "sidecar.istio.io/"
READY = "readiness.status.sidecar.istio.io/"
IMAGE, IMAGE_TYPE = SIDECAR + "proxyImage", SIDECAR + "proxyImageType"
LOG_LEVEL, COMPONENT_LOG_LEVEL = SIDECAR + "logLevel", SIDECAR + "componentLogLevel"
AGENT_LOG_LEVEL = SIDECAR + "agentLogLevel"
NATIVE = SIDECAR + "nativeSidecar"
REWRITE_PROBES = SIDECAR + "rewriteAppHTTPProbers"
"""Whether kubelets ask the agent for the application's probes."""
INTERCEPTION = SIDECAR + "interceptionMode"
BOOTSTRAP = SIDECAR + "bootstrapOverride"
DISCOVERY = SIDECAR + "discoveryAddress"
VOLUMES, MOUNTS = SIDECAR + "userVolume", SIDECAR + "userVolumeMount"
STATUS_PORT = "status.sidecar.istio.io/port"
"""Where the agent answers; 0: it is not asked, neither for its own readiness nor for the application's probes."""
MERGE_METRICS = "prometheus.istio.io/merge-metrics"
TEMPLATES = "inject.istio.io/templates"
READINESS = {READY + name: name for name in ("initialDelaySeconds", "periodSeconds", "failureThreshold")}
"""Of the proxy's own readiness probe."""
RESOURCES = {
    SIDECAR + "proxyCPU": ("requests", "cpu"),
    SIDECAR + "proxyMemory": ("requests", "memory"),
    SIDECAR + "proxyCPULimit": ("limits", "cpu"),
    SIDECAR + "proxyMemoryLimit": ("limits", "memory"),
}
_LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")
_YES, _NO = frozenset({"true", "1", "t", "yes", "y", "on"}), frozenset({"false", "0", "f", "no", "n", "off"})
_LAST_PORT, _LONGEST_S = 65535, 2**31 - 1
_COMPONENTS = re.compile(rf"[a-z0-9_]+:({'|'.join(_LEVELS)})(,[a-z0-9_]+:({'|'.join(_LEVELS)}))*")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,60}")
_Read = TypeVar("_Read")


class InvalidAnnotation(ValueError):
    """A pod's annotations that cannot be understood; the message names each."""


def flag(text: str) -> bool:
    if text.lower() not in {*_YES, *_NO}:
        raise InvalidAnnotation(f'{text!r} is neither true nor false (hint: "true" or "false", in quotes)')
    return text.lower() in _YES


def names(text: str) -> tuple[str, ...]:
    """Names in a comma-separated list."""
    return tuple(each.strip() for each in text.split(",") if each.strip())


def objects(text: str) -> list[Json]:
    """The entries of a JSON object, each with its key as its name."""
    hint = 'hint: {"NAME": {…}}'
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidAnnotation(f"not JSON: {error} ({hint})") from error
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise InvalidAnnotation(f"not an object of objects ({hint})")
    for name in found:
        _named(name)
    return [{"name": name, **each} for name, each in found.items()]


def _port_or_none(text: str) -> int:
    found = whole(text, _LAST_PORT)
    if found is None:
        raise InvalidAnnotation(f"not a port: {text!r} (hint: a number to {_LAST_PORT})")
    return found


def _number(text: str) -> int:
    found = whole(text, _LONGEST_S)
    if found is None:
        raise InvalidAnnotation(f"{text!r} is no number (hint: 0 to {_LONGEST_S})")
    return found


def _count(text: str) -> int:
    found = whole(text, _LONGEST_S)
    if not found:
        raise InvalidAnnotation(f"{text!r} is no number (hint: 1 to {_LONGEST_S})")
    return found


def _quantity(text: str) -> str:
    found = quantity(text)
    if found is None or found < 0:
        raise InvalidAnnotation(f"{text!r} is no quantity (hint: 100m, 128Mi)")
    return text


def _level(text: str) -> str:
    found = "warning" if text.lower() == "warn" else text.lower()
    if found not in _LEVELS:
        raise InvalidAnnotation(f"{text!r} is no level (hint: {', '.join(_LEVELS)})")
    return found


def _agent_level(text: str) -> str:
    """Istio's agent has a level for each scope: `default:debug`."""
    return _level(text.rpartition("default:")[2].partition(",")[0])


def _components(text: str) -> str:
    found = text.replace(" ", "").lower()
    if not _COMPONENTS.fullmatch(found):
        raise InvalidAnnotation(f"{text!r} does not name levels (hint: upstream:debug,http:trace)")
    return found


def _mode(text: str) -> str:
    if text not in MODES:
        raise InvalidAnnotation(f"{text!r} is no way of capture (hint: {', '.join(MODES)})")
    return text


def _named(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise InvalidAnnotation(f"{text!r} is no name of an object (hint: small letters, digits, - and .)")
    return text


def _image(text: str) -> str:
    if any(character.isspace() for character in text):
        raise InvalidAnnotation(f"{text!r} is no image (hint: registry/name:tag)")
    return text


def _image_type(text: str) -> str:
    if not _TAG.fullmatch(text):
        raise InvalidAnnotation(f"{text!r} is no part of a tag (hint: debug, distroless, default)")
    return text


def _address(text: str) -> str:
    if host_and_port(text) is None:
        raise InvalidAnnotation(f"{text!r} is no address (hint: host:port)")
    return text


READERS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys((NATIVE, REWRITE_PROBES, MERGE_METRICS), flag),
    **dict.fromkeys(RESOURCES, _quantity),
    **{name: _number if field == "initialDelaySeconds" else _count for name, field in READINESS.items()},
    **STATS,
    STATUS_PORT: _port_or_none,
    LOG_LEVEL: _level,
    AGENT_LOG_LEVEL: _agent_level,
    COMPONENT_LOG_LEVEL: _components,
    IMAGE: _image,
    IMAGE_TYPE: _image_type,
    INTERCEPTION: _mode,
    BOOTSTRAP: _named,
    DISCOVERY: _address,
    VOLUMES: objects,
    MOUNTS: objects,
    TEMPLATES: names,
}


def read(pod: Pod, name: str, usual: _Read) -> _Read:
    """What the annotation says; `usual` without it. Raises `InvalidAnnotation`."""
    text = pod.annotations.get(name, "").strip()
    try:
        found: _Read = READERS[name](text) if text else usual
    except (InvalidAnnotation, InvalidStats) as error:
        raise InvalidAnnotation(f"{name}: {error}") from error
    return found


def wrong(pod: Pod) -> Iterator[str]:
    """All that is wrong with the annotations that are read here."""
    for name in READERS:
        try:
            read(pod, name, None)
        except InvalidAnnotation as error:
            yield str(error)
