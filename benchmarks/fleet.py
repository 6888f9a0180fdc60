"""A fleet of simulated proxies in a process of its own: each subscribes over delta ADS as Envoy does.

Run by itself: `python -m benchmarks.fleet 127.0.0.1:15010 --proxies 500`. It reads commands from standard
input and answers each with one line of JSON:

    count TYPE NUMBER ...       when every proxy holds so many resources of each type
    follow TYPE NAME VERSION    at once; from now on this version is waited for
    wait                        when every proxy holds it: when each received it (monotonic seconds)
    digest                      what the proxies hold, as a hash of names, versions and bodies, per type
    quit
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b

from isthmus.envoy.types import DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node
from isthmus.kit.polling import until
from isthmus.kit.protobuf import field
from isthmus.wire.call import CallStream, Channel
from isthmus.xds.server import DELTA_PATH
from isthmus.xds.type_urls import CLUSTER, ENDPOINTS, LISTENER, ROUTES


class Proxy:
    """One delta-ADS stream. Holds hashes of bodies."""

    def __init__(
        self,
        number: int,
        stream: CallStream,
        routes: Sequence[str],
        received: Callable[[str, str, str], None],
    ) -> None:
        self._number, self._stream, self._routes, self._received = number, stream, routes, received
        self.held: dict[str, dict[str, tuple[str, bytes]]] = {}
        self._asked: set[str] = set()

    async def run(self) -> None:
        """Ask for upstreams and listeners, then for what they name; accept everything."""
        node = Node(
            id=f"sidecar~10.{self._number >> 8}.{self._number & 255}.1~p{self._number}.n~n.svc.cluster.local"
        )
        node.metadata.update({"CLUSTER_ID": "gke", "NAMESPACE": "n"})
        await self._ask(CLUSTER, "*", node=node)
        while (message := await self._stream.receive()) is not None:
            response = DeltaDiscoveryResponse.FromString(message)
            self._hold(response)
            await self._follow(response.type_url)
            await self._stream.send(acknowledgement(response.type_url, response.nonce))

    def _hold(self, response: DeltaDiscoveryResponse) -> None:
        held = self.held.setdefault(response.type_url, {})
        for each in response.resources:
            pair = (each.version, blake2b(each.resource.value, digest_size=8).digest())
            # Equal ones are one object, or a fleet would not fit beside what it measures.
            held[sys.intern(each.name)] = _PAIRS.setdefault(pair, pair)
            self._received(response.type_url, each.name, each.version)
        for name in response.removed_resources:
            held.pop(name, None)

    async def _follow(self, type_url: str) -> None:
        """As Envoy: endpoints of all upstreams, then listeners, then their routes."""
        if type_url == CLUSTER and ENDPOINTS not in self._asked:
            names = sorted(name for name in self.held[CLUSTER] if name.startswith("outbound|"))
            await self._ask(ENDPOINTS, *names)
        elif type_url == ENDPOINTS and LISTENER not in self._asked:
            await self._ask(LISTENER, "*")
        elif type_url == LISTENER and ROUTES not in self._asked:
            await self._ask(ROUTES, *self._routes)

    async def _ask(self, type_url: str, *names: str, node: Node | None = None) -> None:
        self._asked.add(type_url)
        request = DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=names, node=node)
        await self._stream.send(request.SerializeToString())

    def digest(self, type_url: str) -> str:
        """One hash over all names, versions and bodies of a type."""
        return digest(self.held.get(type_url, {}))


_PAIRS: dict[tuple[str, bytes], tuple[str, bytes]] = {}


def acknowledgement(type_url: str, nonce: str) -> bytes:
    """A serialised DeltaDiscoveryRequest that accepts `nonce`."""
    return field(_TYPE_URL, type_url.encode()) + field(_NONCE, nonce.encode())


_FIELDS = DeltaDiscoveryRequest.DESCRIPTOR.fields_by_name
_TYPE_URL, _NONCE = _FIELDS["type_url"].number, _FIELDS["response_nonce"].number


def digest(resources: dict[str, tuple[str, bytes]]) -> str:
    """One hash over names, versions and hashes of bodies."""
    total = blake2b(digest_size=8)
    for name, (version, body) in sorted(resources.items()):
        total.update(f"{name}\0{version}\0".encode() + body)
    return total.hexdigest()


class Fleet:
    """All proxies, and the commands on standard input."""

    def __init__(self, target: str, count: int, routes: Sequence[str]) -> None:
        self._target, self._count, self._routes = target, count, routes
        self._proxies: list[Proxy] = []
        self._followed: tuple[str, ...] = ()
        self._received_at: list[float] = []
        self._all_received = asyncio.Event()

    async def run(self) -> None:
        """Connect all, then obey until told to quit."""
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self._one(number)) for number in range(self._count)]
            reader = asyncio.StreamReader()
            await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
            )
            while line := (await reader.readline()).decode().split():
                if line[0] == "quit":
                    break
                print(json.dumps(await self._obey(*line)), flush=True)
            for task in running:
                task.cancel()

    async def _one(self, number: int) -> None:
        async with Channel(self._target) as channel:
            proxy = Proxy(number, channel.bidi(DELTA_PATH), self._routes, self._received)
            self._proxies.append(proxy)
            await proxy.run()

    def _received(self, *what: str) -> None:
        if what == self._followed:
            self._received_at.append(time.monotonic())
            if len(self._received_at) == self._count:
                self._all_received.set()

    async def _obey(self, command: str, *words: str) -> object:
        match command:
            case "count":
                gc.disable()  # What follows is measured by its time as well, and holds millions of objects.
                await self._counted({t: int(count) for t, count in zip(words[::2], words[1::2], strict=True)})
                return len(self._proxies)
            case "follow":
                self._followed, self._received_at = words, []
                self._all_received.clear()
                return "following"
            case "wait":
                await self._all_received.wait()
                return self._received_at
            case _:
                types = (CLUSTER, ENDPOINTS, LISTENER, ROUTES)
                return {t: Counter(proxy.digest(t) for proxy in self._proxies) for t in types}

    async def _counted(self, wanted: dict[str, int]) -> None:
        def holds(proxy: Proxy) -> bool:
            return all(len(proxy.held.get(t, ())) >= count for t, count in wanted.items())

        await until(lambda: len(self._proxies) >= self._count and all(map(holds, self._proxies)))


def main() -> None:
    """Run the fleet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", help="host:port of an ADS server in plain text")
    parser.add_argument("--proxies", type=int, default=500)
    parser.add_argument("--routes", default="80", help="route configurations to ask for, by comma")
    asked = parser.parse_args()
    asyncio.run(Fleet(asked.target, asked.proxies, asked.routes.split(",")).run())


if __name__ == "__main__":
    main()
