"""Two clusters with real API servers, their workloads' tokens, and a Citadel's service in front of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from fakes.live_cluster import live_cluster
from isthmus.ca.attest import Attester
from isthmus.ca.audit import Audit
from isthmus.ca.authority import Authority
from isthmus.ca.callers import Callers
from isthmus.ca.citadel import CitadelSettings, load_authority
from isthmus.ca.founding import found
from isthmus.ca.holders import Holders
from isthmus.ca.issuers.own import OwnIssuer
from isthmus.ca.rates import Limits
from isthmus.ca.review import ClusterReviewer
from isthmus.ca.server import CertificateService
from isthmus.ca.vouching import ALL, Voucher, Vouchers
from isthmus.kit import x509
from isthmus.kit.clock import Clock, ManualClock, SystemClock
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client
from isthmus.lab.apiserver.storage import Store
from isthmus.lab.apiserver.tokens import Grant, Tokens
from isthmus.model.signing import AUDIENCE, SigningAnswer, SigningRequest
from isthmus.wire.stream import Call, Peer

OURS = (AUDIENCE,)
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "reviews-0", "namespace": "default"},
    "spec": {"serviceAccountName": "reviews", "containers": [{"name": "app", "image": "reviews"}]},
}


class Served:
    """One cluster whose workload is `default/reviews` in pod `reviews-0`."""

    def __init__(self, cluster: Any, pod: dict[str, Any], account: dict[str, Any]) -> None:
        self.cluster, self.pod, self.account = cluster, pod, account
        self.access = cluster.access

    def token(self, audiences: tuple[str, ...] = OURS, ago_s: float = 0.0) -> str:
        """A token bound to the pod, for an hour from `ago_s` seconds ago."""
        tokens = Tokens(self.cluster.credentials.token_key, Store(), ManualClock(time.time() - ago_s))
        return tokens.issue(Grant(self.account, audiences, bound=(("pod", self.pod),)))[0]

    async def delete_pod(self) -> None:
        await self.cluster.delete("pods", "default", "reviews-0", grace_s=0)


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Served]:
    """A cluster with its workload."""
    async with live_cluster(_fresh(folder)) as cluster:
        meta = {"name": "reviews", "namespace": "default"}
        kind = {"apiVersion": "v1", "kind": "ServiceAccount"}
        account = await cluster.create("serviceaccounts", {**kind, "metadata": meta})
        pod = await cluster.create("pods", POD)
        yield Served(cluster, pod, account)


def _fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


class Desk:
    """The certificate service as callers meet it, without a socket."""

    def __init__(self, vouchers: Vouchers, folder: Path, limits: Limits, clock: Clock) -> None:
        found(folder / "ca", now=clock.now())
        settings = CitadelSettings(cluster="gke", ca_directory=folder / "ca")
        self.vouchers, self.audit_file = vouchers, folder / "audit.jsonl"
        self.authority: Watchable[Authority] = Watchable(load_authority(settings, clock))
        terms = msgspec.structs.replace(settings.terms, limits=limits)
        holders = Holders(lambda: self.authority.value.roots_pem, vouchers, "cluster.local", clock)
        callers = Callers(Attester(vouchers, "cluster.local", clock), holders)
        audit = Audit(self.audit_file, clock)
        self.service = CertificateService(OwnIssuer(self.authority), callers, audit, terms, clock)

    async def ask(self, token: str, clusterid: str = "gke", request: bytes = b"") -> x509.Certificate:
        """The certificate for a new key. Raises `Refused`."""
        body = request or SigningRequest(x509.new_csr(x509.new_key())).encode()
        metadata = {"authorization": f"Bearer {token}", "clusterid": clusterid}
        answer = await self.service.create_certificate(body, Call(Peer("ipv4:10.0.0.1:5000"), metadata))
        return x509.load_certificate(SigningAnswer.decode(answer).chain[0])


class World:
    """Cluster `gke`, in which Citadel runs, and `onprem`, which it serves as well."""

    def __init__(self, gke: Served, onprem: Served, desk: Desk) -> None:
        self.gke, self.onprem, self.desk = gke, onprem, desk


@asynccontextmanager
async def world(
    folder: Path, namespaces: frozenset[str] = frozenset({ALL}), limits: Limits | None = None
) -> AsyncIterator[World]:
    """Both clusters; for `namespaces` the word of `onprem` counts."""
    async with AsyncExitStack() as stack:
        gke = await stack.enter_async_context(served(folder / "gke"))
        onprem = await stack.enter_async_context(served(folder / "onprem"))
        near = ClusterReviewer(await stack.enter_async_context(Client(gke.access)))
        far = ClusterReviewer(await stack.enter_async_context(Client(onprem.access)))
        vouchers = Vouchers(Voucher("gke", near))
        vouchers.others = {"onprem": Voucher("onprem", far, namespaces)}
        yield World(gke, onprem, Desk(vouchers, folder, limits or Limits(), SystemClock()))
