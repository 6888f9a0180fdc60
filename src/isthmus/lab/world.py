"""The whole lab: its clusters, the line between them, and what the host sees of them."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.tasks import Crew
from isthmus.lab.catalogue import Catalogue
from isthmus.lab.cluster import Cluster
from isthmus.lab.control_plane import API_PORT
from isthmus.lab.door import Way, serve_door
from isthmus.lab.internet import join_internet
from isthmus.lab.sandbox import Sandboxes
from isthmus.lab.spec import LabSpec
from isthmus.lab.state import ClusterRecord, LabRecord, StateFolder
from isthmus.lab.wan import Impairment, Wan

Json = dict[str, Any]


class Lab:
    """Clusters in network namespaces, joined by a line that can be cut."""

    def __init__(self, spec: LabSpec, state: StateFolder, samples: Path, clock: Clock | None = None) -> None:
        self.spec, self.state = spec, state
        self._clock = clock or SystemClock()
        catalogue = Catalogue.read(samples, [Path(path) for path in spec.images])
        self.clusters = {
            each.name: Cluster(each, state.path / "clusters" / each.name, catalogue, self._clock)
            for each in spec.clusters
        }
        self.wan = Wan("internet" if spec.is_separate else "vpn")
        self._sandboxes = Sandboxes(state.rootfs, visible=(str(samples), str(state.path)))
        self._crew = Crew()
        self._doors: dict[str, tuple[str, str, int]] = {}  # published: cluster, address, port

    async def up(self, doors: Mapping[str, socket.socket], started_by: int = 0) -> None:
        """Bring all up. `doors` are listening sockets of the host: `api-CLUSTER`, and any to be published."""
        await asyncio.gather(self._sandboxes.start(), self.wan.start())
        await asyncio.gather(
            *(each.start(self._sandboxes, doors.get(f"api-{name}")) for name, each in self.clusters.items())
        )
        for each in self.clusters.values():
            if self.spec.is_separate:
                api = (each.spec.api_address, API_PORT)
                await join_internet(self.wan, each.fabric, each.spec.public_address, api)
            else:
                await self.wan.join(each.fabric)
        link = self.spec.link
        await self.wan.impair(Impairment(link.delay_ms, link.jitter_ms, link.loss))
        self._write(doors, started_by)

    async def down(self) -> None:
        """Take all down."""
        await self._crew.stop_all()
        await asyncio.gather(*(each.stop() for each in self.clusters.values()))
        await self.wan.stop()
        await self._sandboxes.stop()

    def publish(self, name: str, door: socket.socket) -> None:
        """Carry what comes in through a door of the host to where `route` says."""
        self._crew.start(f"door {name}", serve_door(door, lambda: self._way(name)))

    def route(self, name: str, cluster: str, address: str, port: int) -> None:
        """From now on the door `name` leads to `address:port`, dialled from the cluster's node."""
        if cluster not in self.clusters:
            raise KeyError(f"no cluster is called {cluster!r}")
        self._doors[name] = (cluster, address, port)

    def _write(self, doors: Mapping[str, socket.socket], started_by: int) -> None:
        """The kubeconfigs, for use outside and inside, and the record of the lab."""
        self.state.kubeconfigs.mkdir(exist_ok=True)
        records = {}
        for name, each in self.clusters.items():
            outside = _url(doors.get(f"api-{name}"), each.server_inside)
            for suffix, server in (("", outside), ("-inside", each.server_inside)):
                path = self.state.kubeconfigs / f"{name}{suffix}.yaml"
                path.touch(mode=0o600)
                path.write_text(yaml.safe_dump(each.kubeconfig(server), sort_keys=False))
            records[name] = ClusterRecord(
                server=outside, kubeconfig=str(self.state.kubeconfigs / f"{name}.yaml")
            )
        self.state.write_record(
            LabRecord(
                pid=started_by or os.getpid(),
                started=time.time(),
                version=version("isthmus"),
                doors={name: _url(door, "", "http") for name, door in doors.items() if name != "control"},
                clusters=records,
            )
        )

    def _way(self, name: str) -> Way | None:
        if name not in self._doors:
            return None
        cluster, address, port = self._doors[name]
        return self.clusters[cluster].fabric.router, address, port


def _url(door: socket.socket | None, otherwise: str, scheme: str = "https") -> str:
    if door is None or door.family is not socket.AF_INET:
        return otherwise
    host, port = door.getsockname()[:2]
    return f"{scheme}://{host}:{port}"
