"""A gateway at the edge: its proxy, its servers as text, and a real Envoy that is told of them."""

from __future__ import annotations

from contextlib import asynccontextmanager

from fakes.ads_envoy import envoy
from fakes.translation import Translation
from isthmus.kit.clock import SystemClock
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.sidecar import sds
from isthmus.translate.types import TYPES
from isthmus.wire.listeners import Plaintext
from isthmus.wire.serve import GrpcServer, Limits
from isthmus.xds.fanout import Fanout
from isthmus.xds.server import AdsServer

GKE = ClusterId("gke")
INGRESS = Proxy(
    kind=ProxyKind.ROUTER,
    address="10.10.0.9",
    name="ingress",
    namespace="istio-system",
    cluster=GKE,
    labels=(("istio", "ingress"),),
    proven=True,
)


def tls_gateway(name, *servers):
    """A Gateway whose servers are given as flow YAML."""
    listed = "".join(f"    - {each}\n" for each in servers)
    return f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  selector: {{istio: ingress}}
  servers:
{listed}"""


def https(host, tls, port=443, bind="0.0.0.0"):
    """A server for a host, with TLS as flow YAML says."""
    name = f"https-{host.partition('.')[0].strip('*')}"
    at = f"port: {{number: {port}, name: {name}, protocol: HTTPS}}"
    return f'{{{at}, hosts: ["{host}"], bind: {bind}, tls: {{{tls}}}}}'


def originating(host, credential, selecting="reviews"):
    """A DestinationRule by which the selected workloads speak TLS with a certificate of their own."""
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: origination}}
spec:
  host: {host}
  workloadSelector: {{matchLabels: {{app: {selecting}}}}}
  trafficPolicy: {{tls: {{mode: MUTUAL, credentialName: {credential}}}}}
"""


class Pilot:
    """Tells a proxy of a mesh, and its Envoy of the workload's own certificate as its agent would."""

    def __init__(self, subject=INGRESS, own=None):
        self.mesh = Translation()
        self.fanout = Fanout(TYPES)
        self.subject = subject
        self._own = Watchable(own)

    def step(self, *changes):
        """The next state of the mesh."""
        self.mesh.take(*changes)
        if self.mesh.delta:
            self.fanout.publish(self.mesh.now)

    @property
    def findings(self):
        """What is wrong with the mesh, and what its proxies asked for in vain."""
        return [*self.mesh.builder.mesh.findings, *self.mesh.now.findings]

    @asynccontextmanager
    async def envoy(self, folder):
        """The Envoy, for as long as the block lasts."""
        ads = AdsServer(self.fanout, lambda _: self.subject).services()
        table = {**ads, **sds.services(self._own, SystemClock())}
        server = GrpcServer(table, [Plaintext("127.0.0.1", 0)], Limits(stop_grace_s=0.1))
        async with supervise(server.run(), self.fanout.run()):
            [address] = await server.addresses()
            async with envoy(address, "delta", folder) as running:
                yield running
