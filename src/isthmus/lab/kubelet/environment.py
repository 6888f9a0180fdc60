"""A container's environment: values, fields of its pod, keys of ConfigMaps and Secrets, its namespace's services."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any

from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.kubelet.node import Node

Json = dict[str, Any]
_CONFIG_MAPS, _SECRETS, _SERVICES = builtin("configmaps"), builtin("secrets"), builtin("services")
_REFERENCE = re.compile(r"\$(\$|\(([^)]+)\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class Missing(Exception):
    """Something that the container needs is not there (yet); said in Kubernetes' words."""


def environment(node: Node, pod: Json, container: Json) -> dict[str, str]:
    """The variables of a container. Raises `Missing` for a key that is not there and not optional."""
    found = dict(_services(node, pod["metadata"]["namespace"]))
    for source in container.get("envFrom") or []:
        prefix = source.get("prefix", "")
        for each, field in ((_CONFIG_MAPS, "configMapRef"), (_SECRETS, "secretRef")):
            if field in source:
                found |= {
                    prefix + key: value for key, value in _all_of(node, pod, each, source[field]).items()
                }
    for variable in container.get("env") or []:
        if "valueFrom" in variable:
            value = _value_from(node, pod, variable["valueFrom"])
            if value is not None:
                found[variable["name"]] = value
        else:
            found[variable["name"]] = expand(variable.get("value") or "", found)
    return found


def hosts_file(spec: Json, addresses: Sequence[str], hostname: str) -> str:
    """The file `/etc/hosts` of a pod: itself, and its `hostAliases`."""
    aliases = ((each["ip"], *each.get("hostnames", ())) for each in spec.get("hostAliases") or [])
    lines = (("127.0.0.1", "localhost"), *((each, hostname) for each in addresses), *aliases)
    return "".join(f"{' '.join(line)}\n" for line in lines)


def expand(text: str, variables: dict[str, str]) -> str:
    """`text` with `$(NAME)` replaced; unknown names stay, `$$` is one `$`."""

    def replaced(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return variables.get(match[2], match[0])

    return _REFERENCE.sub(replaced, text)


def field_of(pod: Json, path: str) -> str:
    """What a `fieldRef` or a downward API item shows. Raises `Missing` for a path that is none."""
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    if subscript := _SUBSCRIPT.fullmatch(path):
        return str((meta.get(subscript[1]) or {}).get(subscript[2], ""))
    match path:
        case "metadata.name" | "metadata.namespace" | "metadata.uid":
            return str(meta[path.rpartition(".")[2]])
        case "metadata.labels" | "metadata.annotations":
            items = sorted((meta.get(path.rpartition(".")[2]) or {}).items())
            return "\n".join(f'{key}="{_escaped(value)}"' for key, value in items)
        case "spec.nodeName":
            return str(spec.get("nodeName", ""))
        case "spec.serviceAccountName":
            return str(spec.get("serviceAccountName", "default"))
        case "status.podIP" | "status.hostIP":
            return str(status.get(path.rpartition(".")[2], ""))
        case "status.podIPs" | "status.hostIPs":
            return ",".join(each["ip"] for each in status.get(path.rpartition(".")[2]) or [])
    raise Missing(f"unsupported fieldPath: {path}")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _value_from(node: Node, pod: Json, source: Json) -> str | None:
    if "fieldRef" in source:
        return field_of(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        return _resource(pod, source["resourceFieldRef"])
    for each, field in ((_CONFIG_MAPS, "configMapKeyRef"), (_SECRETS, "secretKeyRef")):
        if field in source:
            values = _all_of(node, pod, each, source[field])
            key = source[field]["key"]
            if key not in values and not source[field].get("optional"):
                raise Missing(
                    f"couldn't find key {key} in {each.kind} {pod['metadata']['namespace']}/{source[field]['name']}"
                )
            return values.get(key)
    return None


def _resource(pod: Json, reference: Json) -> str:
    kind, _, name = reference["resource"].partition(".")
    for container in pod["spec"]["containers"]:
        if container["name"] == reference.get("containerName", container["name"]):
            return str(((container.get("resources") or {}).get(kind) or {}).get(name, "0"))
    return "0"


def _all_of(node: Node, pod: Json, each: Any, reference: Json) -> dict[str, str]:
    namespace, name = pod["metadata"]["namespace"], reference["name"]
    found = node.api.find(each, namespace, name)
    if found is None:
        if reference.get("optional"):
            return {}
        raise Missing(f'{each.kind.lower()} "{name}" not found')
    data = found.get("data") or {}
    if each is _SECRETS:
        return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}
    return dict(data)


def _services(node: Node, namespace: str) -> Iterator[tuple[str, str]]:
    """Where the services of the namespace are, as Docker links said it and Kubernetes still does."""
    yield "KUBERNETES_SERVICE_HOST", node.spec.api_service_address
    yield "KUBERNETES_SERVICE_PORT", "443"
    yield "KUBERNETES_SERVICE_PORT_HTTPS", "443"
    for service in node.api.list(_SERVICES, namespace).items:
        address, ports = service["spec"].get("clusterIP"), service["spec"].get("ports")
        name = service["metadata"]["name"].upper().replace("-", "_")
        if name == "KUBERNETES" or not ports or address in {None, "", "None"}:
            continue
        yield f"{name}_SERVICE_HOST", address
        yield f"{name}_SERVICE_PORT", str(ports[0]["port"])
        for port in ports:
            if port.get("name"):
                yield f"{name}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}", str(port["port"])
