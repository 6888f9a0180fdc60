"""What AuthorizationPolicies cost a request in Envoy: none, 1, 100 and 1,000 rules.

    python -m benchmarks.policy_cost [rules ...]

The inbound listener of a workload as we translate it, in a real Envoy of one thread that answers by itself. A caller in
mutual TLS asks one thing after the other on one connection, by turns of each number of rules, so that a busy machine
is as busy for all. The last rule by name allows the request. "paths": no other has its path, which is found out
soonest; "callers": all have its path, and callers are told apart by expressions over their identities. Latency is as
the caller sees it; beside it the CPU time of Envoy for each request, and the memory of the Envoy that has the rules.
"""

from __future__ import annotations

import os
import socket
import ssl
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import yaml
from benchmarks.running_envoy import running

from isthmus.envoy.types import (
    Bootstrap,
    DownstreamTlsContext,
    FilterChain,
    HttpConnectionManager,
    Listener,
    RouteConfiguration,
)
from isthmus.kit import x509
from isthmus.translate import proto
from isthmus.translate.names import VIRTUAL_INBOUND
from isthmus.translate.offline import read_case
from isthmus.translate.trace.held import made_for

ROUNDS, REQUESTS, WARM = 20, 250, 200
ADDRESS, PORT = "10.10.0.1", 8080
CALLER = "spiffe://cluster.local/ns/caller/sa/caller"
ASKED = b"GET /wanted/1 HTTP/1.1\r\nhost: shop\r\n\r\n"
_TICK = os.sysconf("SC_CLK_TCK")
_SERVED = f"""
kind: Case
proxy: {{address: {ADDRESS}, namespace: shop, labels: {{app: shop}}, name: shop-1}}
---
apiVersion: v1
kind: Service
metadata: {{name: shop, namespace: shop}}
spec: {{clusterIP: 10.110.0.1, selector: {{app: shop}}, ports: [{{name: http, port: 80, targetPort: {PORT}}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: shop-1, namespace: shop, labels: {{app: shop}}}}
spec: {{serviceAccountName: shop}}
status: {{phase: Running, podIP: {ADDRESS}}}
---
"""


class Pki(NamedTuple):
    """Certificates of a caller and of the workload, in a folder."""

    folder: Path
    roots: bytes
    shown: tuple[bytes, bytes]

    @classmethod
    def made_in(cls, folder: Path) -> Pki:
        span = x509.Life.at(time.time(), 3600)
        key = x509.new_key()
        issuer = x509.Issuer(x509.root(key, "benchmark", span), key)
        own = x509.new_key()
        leaf = x509.leaf(issuer, own.public_key(), x509.Names(uris=(CALLER,)), span)
        shown = x509.bundle_pem([leaf]), x509.key_pem(own)
        (folder / "caller.pem").write_bytes(shown[0] + shown[1])
        return cls(folder, x509.bundle_pem([issuer.certificate]), shown)

    def client(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self.folder / "caller.pem")
        return context


def policy(kind: str, rules: int) -> str:
    """One that allows what is asked, by its last rule; none where there are no rules."""
    if not rules:
        return ""

    def rule(number: int) -> object:
        # Envoy looks at rules by name: of 1,000 the last is 999, of 100 it is 99.
        is_last = number == rules - 1
        caller = "caller" if is_last else f"other-{number}"
        path = "/wanted/*" if is_last or kind == "callers" else f"/path-{number}/*"
        operation = {"methods": ["GET"], "paths": [path]}
        return {"from": [{"source": {"namespaces": [caller]}}], "to": [{"operation": operation}]}

    body = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "who", "namespace": "shop"},
        "spec": {"rules": [rule(number) for number in range(rules)]},
    }
    return yaml.safe_dump(body)


def listener(kind: str, rules: int, pki: Pki) -> Listener:
    """The chain for callers in mutual TLS, as a listener of loopback that answers."""
    case = read_case(_SERVED + policy(kind, rules))
    (found,) = (
        each
        for each in made_for(case.generation(), case.proxy).listeners[VIRTUAL_INBOUND].filter_chains
        if each.filter_chain_match.destination_port.value == PORT and each.HasField("transport_socket")
    )
    made = Listener(name=f"{kind}-{rules}")
    made.address.CopyFrom(proto.address("127.0.0.1", free_port()))
    made.filter_chains.append(_answering(found, pki))
    return made


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _answering(found: FilterChain, pki: Pki) -> FilterChain:
    chain = FilterChain()
    chain.CopyFrom(found)
    chain.ClearField("filter_chain_match")
    asked = DownstreamTlsContext.FromString(chain.transport_socket.typed_config.value)
    made = DownstreamTlsContext(require_client_certificate=asked.require_client_certificate)
    shown = made.common_tls_context.tls_certificates.add()
    shown.certificate_chain.inline_bytes, shown.private_key.inline_bytes = pki.shown
    made.common_tls_context.validation_context.trusted_ca.inline_bytes = pki.roots
    chain.transport_socket.typed_config.CopyFrom(proto.any_of(made))
    for each in chain.filters:
        if each.typed_config.type_url.endswith("HttpConnectionManager"):
            manager = HttpConnectionManager.FromString(each.typed_config.value)
            del manager.access_log[:]
            manager.ClearField("tracing")
            manager.route_config.CopyFrom(_answers())
            each.typed_config.CopyFrom(proto.any_of(manager))
    return chain


def _answers() -> RouteConfiguration:
    made = RouteConfiguration(name="answers")
    route = made.virtual_hosts.add(name="all", domains=["*"]).routes.add()
    route.match.prefix = "/"
    route.direct_response.status = 200
    return made


class Told(NamedTuple):
    """Of some requests: seconds of each, and CPU seconds of Envoy for all of them."""

    seconds: list[float]
    cpu: float


class Subject:
    """A running Envoy with so many rules, and a connection to it."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection, self._pid = connection, pid
        self.told: list[Told] = []

    def ask(self, requests: int) -> Told:
        seconds, before = [], self._cpu()
        for _ in range(requests):
            start = time.perf_counter()
            self._connection.sendall(ASKED)
            answer = self._connection.recv(65536)
            seconds.append(time.perf_counter() - start)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"the request is not let in: {answer[:200]!r}")
        return Told(seconds, self._cpu() - before)

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def resident_mb(self) -> float:
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def subject(kind: str, rules: int, pki: Pki) -> Iterator[Subject]:
    """An Envoy of its own, warm."""
    bootstrap = Bootstrap()
    made = listener(kind, rules, pki)
    bootstrap.static_resources.listeners.append(made)
    known = _children()
    with running(pki.folder, bootstrap, f"{kind}-{rules}"):
        (pid,) = _children() - known
        place = ("127.0.0.1", made.address.socket_address.port_value)
        with socket.create_connection(place) as plain, pki.client().wrap_socket(plain) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            found = Subject(connection, pid)
            found.ask(WARM)
            yield found


def _children() -> set[int]:
    own = os.getpid()
    return {int(each) for each in Path(f"/proc/{own}/task/{own}/children").read_text().split()}


def measure(kind: str, numbers: list[int]) -> None:
    """Prints a row for each number of rules."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        pki = Pki.made_in(Path(folder))
        subjects = {each: stack.enter_context(subject(kind, each, pki)) for each in numbers}
        for _ in range(ROUNDS):
            for found in subjects.values():
                found.told.append(found.ask(REQUESTS))
        for rules, found in subjects.items():
            print(row(kind, rules, found))


def row(kind: str, rules: int, found: Subject) -> str:
    """The medians over the rounds."""
    p50 = statistics.median(statistics.median(each.seconds) for each in found.told)
    p99 = statistics.median(statistics.quantiles(each.seconds, n=100)[-1] for each in found.told)
    cpu = sum(each.cpu for each in found.told) / (ROUNDS * REQUESTS)
    cells = (f"{p50 * 1e6:6.0f}", f"{p99 * 1e6:6.0f}", f"{cpu * 1e6:6.0f}", f"{found.resident_mb():6.0f}")
    return f"| {kind:7} | {rules:5,} | {' | '.join(cells)} |"


def main() -> None:
    numbers = [int(each) for each in sys.argv[1:]] or [0, 1, 100, 1_000]
    print("| rules by | of them | p50 us | p99 us | CPU us | MB |")
    print("|---|---|---|---|---|---|")
    for kind in ("paths", "callers"):
        measure(kind, numbers)


if __name__ == "__main__":
    main()
