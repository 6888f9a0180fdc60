"""The other clusters that this Citadel serves: a directory with a kubeconfig a file, its name the cluster's.

That is what a mounted Secret looks like whose keys are clusters. Their API servers review the tokens of their
own workloads; for which namespaces they are believed is said elsewhere: without a word for none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from isthmus.ca.review import ClusterReviewer
from isthmus.ca.vouching import Vouched, Voucher, Vouchers
from isthmus.kit.clock import Clock
from isthmus.kit.scopes import ca as log
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError
from isthmus.kube.kubeconfig import from_text
from isthmus.model.identity import is_cluster


class _Neighbour(NamedTuple):
    text: str
    client: Client
    voucher: Voucher


class Neighbours:
    """Keeps `vouchers.others` as the directory says; a file that is wrong leaves the last good one in use."""

    def __init__(
        self, directory: Path, vouched: Vouched, vouchers: Vouchers, clock: Clock, every_s: float
    ) -> None:
        self._directory, self._vouched, self._vouchers = directory, vouched, vouchers
        self._clock, self._every_s = clock, every_s
        self._held: dict[str, _Neighbour] = {}
        self._complaints: dict[str, str] = {}

    async def run(self) -> None:
        """Follow the directory until cancelled."""
        try:
            while True:
                await self._look(await asyncio.to_thread(_read, self._directory))
                await self._clock.sleep(self._every_s)
        finally:
            self._vouchers.others = {}
            for each in self._held.values():
                await each.client.close()

    async def _look(self, texts: Mapping[str, str]) -> None:
        gone = [self._held.pop(name) for name in self._held.keys() - texts.keys()]
        for name, text in texts.items():
            held = self._held.get(name)
            if held is not None and held.text == text:
                continue
            if (opened := await self._open(name, text)) is not None:
                self._held[name] = opened
                gone += [held] if held else []
        self._vouchers.others = {name: each.voucher for name, each in self._held.items()}
        for name in self._vouched.keys() - texts.keys() - {self._vouchers.own.cluster}:
            self._complain(name, f"is not in {self._directory} (hint: Secret istio-citadel-clusters)")
        for each in gone:
            await each.client.close()

    async def _open(self, name: str, text: str) -> _Neighbour | None:
        if name == self._vouchers.own.cluster:
            self._complain(name, "is the cluster that Citadel runs in (hint: take the key out of the Secret)")
            return None
        if not is_cluster(name):
            self._complain(name, "no cluster is called so (hint: letters, digits, -, _ and .)")
            return None
        try:
            client = Client(from_text(text, None), clock=self._clock)
            await client.__aenter__()
        except KubeError as error:
            self._complain(name, str(error))
            return None
        self._complaints.pop(name, None)
        namespaces = self._vouched.get(name, frozenset())
        if namespaces:
            log.info("cluster served", cluster=name, namespaces=sorted(namespaces))
        else:
            log.warning(
                "cluster vouches for no namespace", cluster=name, hint=f"--vouch={name}=* or its namespaces"
            )
        return _Neighbour(text, client, Voucher(name, ClusterReviewer(client), namespaces))

    def _complain(self, name: str, reason: str) -> None:
        if self._complaints.get(name) != reason:
            log.error("kubeconfig cannot be used", cluster=name, reason=reason)
        self._complaints[name] = reason


def _read(directory: Path) -> dict[str, str]:
    """The files by name; none where there is no such directory. Hidden ones are of the kubelet's own."""
    texts = {}
    paths = sorted(directory.iterdir()) if directory.is_dir() else []
    for path in paths:
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            texts[path.name] = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            texts[path.name] = f"# {error}"  # no kubeconfig, so the last good one stays
    return texts
