"""Ways for the API server into a cluster's pods: by a pod's name, or by a service's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.lookup import Lookup
from isthmus.lab.apiserver.nodes import NodeError, Nodes

Json = dict[str, Any]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NoEndpoint(Exception):
    """No pod behind the service's port is ready."""


class Doors:
    """Opens connections into the pods of one cluster, over whoever runs them at the time."""

    def __init__(self, objects: Lookup, nodes: Callable[[], Nodes | None]) -> None:
        self._objects = objects
        self._nodes = nodes

    async def to_pod(self, namespace: str, name: str, port: str) -> Streams:
        """A connection to a pod's port, given by number, by name, or as empty: its first one.

        Raises `NodeError` where there is no such port or nobody runs pods, `OSError` as connecting does.
        """
        pod = self._objects.get(builtin("pods"), namespace, name)
        number = _number(_pod_ports(pod or {}), port)
        nodes = self._nodes()
        if nodes is None:
            raise NodeError("no node runs pods here")
        if number is None:
            raise NodeError(f'pod "{name}" has no port {port!r} (hint: name one as NAME:PORT)')
        return await nodes.connect(namespace, name, number)

    async def to_service(self, namespace: str, name: str, port: str) -> Streams:
        """A connection to a ready pod behind a service's port: by number, name, or as empty: its first.

        Raises `NoEndpoint`, and what `to_pod` raises.
        """
        for pod, target in self._backends(namespace, name, port):
            return await self.to_pod(namespace, pod, str(target))
        raise NoEndpoint(f'no endpoints available for service "{name}"')

    def _backends(self, namespace: str, name: str, port: str) -> Iterator[tuple[str, int]]:
        service = self._objects.get(builtin("services"), namespace, name) or {}
        ports = (service.get("spec") or {}).get("ports") or []
        wanted = [each for each in ports if not port or port in {str(each.get("port")), each.get("name")}]
        endpoints = self._objects.get(builtin("endpoints"), namespace, name) or {}
        for subset in endpoints.get("subsets") or ():
            for each in subset.get("ports") or ():
                if not wanted or (each.get("name") or "") != (wanted[0].get("name") or ""):
                    continue
                for address in subset.get("addresses") or ():
                    if (address.get("targetRef") or {}).get("kind") == "Pod":
                        yield address["targetRef"]["name"], each["port"]


def _pod_ports(pod: Json) -> list[Json]:
    containers = (pod.get("spec") or {}).get("containers") or ()
    return [port for container in containers for port in container.get("ports") or ()]


def _number(ports: list[Json], wanted: str) -> int | None:
    if wanted.isdigit():
        return int(wanted)
    found = (each["containerPort"] for each in ports if not wanted or each.get("name") == wanted)
    return next(found, None)
