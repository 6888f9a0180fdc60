"""The defaults of pods: of their containers, probes and volumes."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_MODE = 0o644
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_WITH_MODE = ("configMap", "secret", "projected", "downwardAPI")


def fill(target: Json, values: Json) -> None:
    """Set in `target` what is absent or null there."""
    for name, value in values.items():
        if target.get(name) is None:
            target[name] = value


def part(target: Json, name: str) -> Json:
    """The mapping at `name`, made where there is none; a lost one where something else is there."""
    if target.get(name) is None:
        target[name] = {}
    value = target[name]
    return value if isinstance(value, dict) else {}


def default_pod_spec(spec: Json) -> None:
    """Fill in what a pod's author may leave out."""
    fill(
        spec,
        {
            "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst",
            "terminationGracePeriodSeconds": 30,
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "enableServiceLinks": True,
        },
    )
    _default_account(spec)
    for container in [*_dicts(spec.get("containers")), *_dicts(spec.get("initContainers"))]:
        _default_container(container, bool(spec.get("hostNetwork")))
    for volume in _dicts(spec.get("volumes")):
        _default_volume(volume)


def _default_account(spec: Json) -> None:
    """`serviceAccount` is the old name of `serviceAccountName`; both are always shown."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def _default_container(container: Json, on_host: bool) -> None:
    fill(
        container,
        {
            "imagePullPolicy": _pull_policy(str(container.get("image", ""))),
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        },
    )
    for port in _dicts(container.get("ports")):
        fill(port, {"protocol": "TCP"})
        if on_host and "containerPort" in port:
            fill(port, {"hostPort": port["containerPort"]})
    for variable in _dicts(container.get("env")):
        field = _within(variable, "valueFrom").get("fieldRef")
        if isinstance(field, dict):
            fill(field, {"apiVersion": "v1"})
    _default_limits(part(container, "resources"))
    for name in _PROBES:
        if isinstance(container.get(name), dict):
            _default_probe(container[name])
    for handler in _dicts(list(_within(container, "lifecycle").values())):
        _default_handler(handler)


def _default_limits(resources: Json) -> None:
    """What is limited is also requested, if the request is not said."""
    limits = resources.get("limits")
    if isinstance(limits, dict):
        fill(part(resources, "requests"), limits)


def _default_probe(probe: Json) -> None:
    fill(probe, {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3})
    _default_handler(probe)


def _default_handler(handler: Json) -> None:
    if isinstance(handler.get("httpGet"), dict):
        fill(handler["httpGet"], {"path": "/", "scheme": "HTTP"})
    if isinstance(handler.get("grpc"), dict):
        fill(handler["grpc"], {"service": ""})


def _default_volume(volume: Json) -> None:
    for name in _WITH_MODE:
        if isinstance(volume.get(name), dict):
            fill(volume[name], {"defaultMode": _MODE})
    if isinstance(volume.get("hostPath"), dict):
        fill(volume["hostPath"], {"type": ""})
    sources = _within(volume, "projected").get("sources")
    for source in _dicts(sources):
        if isinstance(source.get("serviceAccountToken"), dict):
            fill(source["serviceAccountToken"], {"expirationSeconds": 3600})
    for item in _downward_items(volume):
        if isinstance(item.get("fieldRef"), dict):
            fill(item["fieldRef"], {"apiVersion": "v1"})
    if not any(isinstance(value, dict) for name, value in volume.items() if name != "name"):
        volume["emptyDir"] = {}


def _downward_items(volume: Json) -> list[Json]:
    projected = _dicts(_within(volume, "projected").get("sources"))
    owners = [volume.get("downwardAPI"), *(source.get("downwardAPI") for source in projected)]
    return [item for owner in owners if isinstance(owner, dict) for item in _dicts(owner.get("items"))]


def _pull_policy(image: str) -> str:
    name = image.rpartition("/")[2]
    tag = name.rpartition(":")[2] if ":" in name else "latest"
    return "Always" if tag == "latest" and "@" not in name else "IfNotPresent"


def _dicts(value: object) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _within(owner: Json, name: str) -> Json:
    value = owner.get(name)
    return value if isinstance(value, dict) else {}
