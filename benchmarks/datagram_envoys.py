"""Two real Envoys on loopback, beside a caller and beside a server of datagrams, with just what we translate.

The tests of datagrams have them, too. Each pod has an address of 127.0.0.0/8 of its own, so that ports stay as they
are. Instead of captured, datagrams are sent to the caller's door; endpoints come from a file, certificates with the
bootstrap.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import msgspec
from benchmarks.running_envoy import running
from google.protobuf import json_format

from isthmus.envoy.descriptors import class_of_url, pool
from isthmus.envoy.types import (
    Bootstrap,
    Cluster,
    ClusterLoadAssignment,
    Listener,
    Secret,
    TransportSocket,
)
from isthmus.kit import x509
from isthmus.translate import proto
from isthmus.translate.names import CERTIFICATE_SECRET, ROOT_SECRET, TUNNEL_INBOUND
from isthmus.translate.offline import read_case
from isthmus.translate.types import ENDPOINTS, LISTENER, UPSTREAM

SERVICE = "outbound-udp|7||parrot.default.svc.cluster.local"
_IDENTITY = "spiffe://cluster.local/ns/default/sa/default"
_MESH = """
kind: Case
proxy: {{address: {address}, cluster: gke}}
---
kind: Cluster
metadata: {{name: gke}}
---
apiVersion: v1
kind: Service
metadata: {{name: parrot}}
spec:
  clusterIP: 10.110.0.7
  selector: {{app: parrot}}
  ports: [{{port: 7, targetPort: 7007, name: echo, protocol: UDP}}]
"""
_POD = """
apiVersion: v1
kind: Pod
metadata: {{name: parrot-{index}, labels: {{app: parrot{tls}}}}}
status: {{phase: Running, podIP: {address}}}
"""
_ECHO = """
import socket, sys
near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
near.bind((sys.argv[1], 7007))
name = sys.argv[2].encode()
while True:
    data, sender = near.recvfrom(65535)
    near.sendto(name + data, sender)
"""


class Sessions(NamedTuple):
    """An Envoy's sessions of the service, by its admin page."""

    admin: str

    def counted(self, name: str) -> int:
        """What its statistics of them say of the name; 0 where they do not."""
        with urlopen(f"http://{self.admin}/stats?format=json") as reply:
            found = json.load(reply)["stats"]
        return sum(int(each["value"]) for each in found if each.get("name") == f"udp.{SERVICE};.{name}")


class Sidecars:
    """The caller's sidecar, and pods that echo, each with its own sidecar where `tunnels`."""

    def __init__(self, folder: Path, pods: int = 1, config: str = "", *, tunnels: bool = True) -> None:
        net = f"127.{random.randrange(1, 250)}.{random.randrange(1, 250)}"
        self._address, self._folder, self._tunnels = f"{net}.1", folder, tunnels
        self.pods = tuple(f"{net}.{10 + index}" for index in range(pods))
        tls = ", security.istio.io/tlsMode: istio" if tunnels else ""
        written = [_POD.format(index=index, address=each, tls=tls) for index, each in enumerate(self.pods)]
        case = read_case("---".join((_MESH.format(address=self._address), *written, config or "\n")))
        self._generation, self._proxy = case.generation(), case.proxy
        self._secrets = _secrets()
        self._told, self._door = folder / "endpoints.json", 0
        self.tell(self.pods)

    def tell(self, pods: Sequence[str]) -> None:
        """Let these pods be the endpoints of the service, as the caller's Envoy learns."""
        assignment = ClusterLoadAssignment.FromString(self._one(self._address, ENDPOINTS, SERVICE))
        tree = _tree(assignment)
        for group in tree["endpoints"]:
            several = group["lb_endpoints"]
            group["lb_endpoints"] = [
                each for each in several if each["endpoint"]["address"]["socket_address"]["address"] in pods
            ]
        kind = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
        new = self._told.with_suffix(".new")
        new.write_text(json.dumps({"resources": [{"@type": kind, **tree}]}))
        new.rename(self._told)

    def client(self) -> socket.socket:
        """A caller's socket, connected to where its datagrams are led."""
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.settimeout(5)
        made.connect((self._address, self._door))
        return made

    @contextmanager
    def near(self) -> Iterator[Sessions]:
        """The caller's Envoy."""
        listener = Listener.FromString(self._one(self._address, LISTENER, SERVICE))
        upstream = Cluster.FromString(self._one(self._address, UPSTREAM, SERVICE))
        self._door = listener.address.socket_address.port_value
        listener.address.socket_address.address = self._address
        del listener.additional_addresses[:]
        source = upstream.eds_cluster_config.eds_config
        source.Clear()
        source.path_config_source.path = str(self._told)
        _name_secrets(upstream.transport_socket)
        with self._running("near", listener, upstream) as found:
            yield found

    @contextmanager
    def beside(self, pod: str) -> Iterator[Sessions]:
        """The Envoy of a pod, which ends tunnels."""
        listener = Listener.FromString(self._one(pod, LISTENER, TUNNEL_INBOUND))
        listener.address.socket_address.address = pod
        del listener.additional_addresses[:]
        _name_secrets(listener.filter_chains[0].transport_socket)
        upstream = Cluster.FromString(self._one(pod, UPSTREAM, "inbound-udp|7007||"))
        with self._running(pod, listener, upstream) as found:
            yield found

    @contextmanager
    def everything(self) -> Iterator[Sessions]:
        """All Envoys and applications, each of these named by its index; the caller's Envoy is had."""
        with ExitStack() as stack:
            for index, pod in enumerate(self.pods):
                stack.enter_context(echo(pod, f"{index}:"))
                if self._tunnels:
                    stack.enter_context(self.beside(pod))
            yield stack.enter_context(self.near())

    def _one(self, address: str, type_url: str, name: str) -> bytes:
        proxy = msgspec.structs.replace(self._proxy, address=address)
        (found,) = self._generation.resources(proxy, type_url, frozenset({name}))
        return found.body

    @contextmanager
    def _running(self, name: str, listener: Listener, upstream: Cluster) -> Iterator[Sessions]:
        bootstrap = Bootstrap()
        static = bootstrap.static_resources
        static.listeners.append(listener)
        static.clusters.append(upstream)
        static.secrets.extend(self._secrets)
        with running(self._folder, bootstrap, name) as admin:
            yield Sessions(admin)


@contextmanager
def echo(pod: str, name: str = "") -> Iterator[None]:
    """The pod's application: it sends back what it is sent, behind `name`."""
    process = subprocess.Popen([sys.executable, "-c", _ECHO, pod, name])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _tree(assignment: ClusterLoadAssignment) -> Any:
    return json_format.MessageToDict(assignment, preserving_proto_field_name=True, descriptor_pool=pool())


def _secrets() -> list[Secret]:
    """The certificate that all pods show, and the root that they believe."""
    span, key, own = x509.Life.at(time.time(), 3600), x509.new_key(), x509.new_key()
    issuer = x509.Issuer(x509.root(key, "root", span), key)
    shown = x509.leaf(issuer, own.public_key(), x509.Names(uris=(_IDENTITY,)), span)
    pair, roots = Secret(name=CERTIFICATE_SECRET), Secret(name=ROOT_SECRET)
    pair.tls_certificate.certificate_chain.inline_bytes = x509.bundle_pem([shown])
    pair.tls_certificate.private_key.inline_bytes = x509.key_pem(own)
    roots.validation_context.trusted_ca.inline_bytes = x509.bundle_pem([issuer.certificate])
    return [pair, roots]


def _name_secrets(transport: TransportSocket) -> None:
    """Lets certificates be those of the bootstrap, of the same names."""
    if not transport.HasField("typed_config"):
        return
    tls: Any = class_of_url(transport.typed_config.type_url).FromString(transport.typed_config.value)
    common = tls.common_tls_context
    for each in common.tls_certificate_sds_secret_configs:
        each.ClearField("sds_config")
    common.combined_validation_context.validation_context_sds_secret_config.ClearField("sds_config")
    transport.typed_config.CopyFrom(proto.any_of(tls))
