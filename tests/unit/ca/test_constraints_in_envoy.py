"""A cluster's CA that is held to its names: what it signs beyond them no real Envoy believes."""

import ssl
import time
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from google.protobuf import json_format

from fakes.ports import free_ports
from fakes.running_envoy import running_envoy
from isthmus.ca import founding, store
from isthmus.ca.founding import Constraint, Founding
from isthmus.envoy.descriptors import pool
from isthmus.envoy.types import Listener
from isthmus.kit import x509

pytestmark = pytest.mark.lab

REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews"
TYPE = "type.googleapis.com/envoy.extensions"


def listener(port: int, certificate: bytes, key: bytes, roots: bytes) -> Listener:
    """Answers 200 to whoever shows a certificate that `roots` sign."""
    tls = {
        "@type": f"{TYPE}.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": True,
        "common_tls_context": {
            "tls_certificates": [
                {
                    "certificate_chain": {"inline_string": certificate.decode()},
                    "private_key": {"inline_string": key.decode()},
                }
            ],
            "validation_context": {"trusted_ca": {"inline_string": roots.decode()}},
        },
    }
    host = {
        "name": "all",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
    }
    router = {"@type": f"{TYPE}.filters.http.router.v3.Router"}
    manager = {
        "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "route_config": {"virtual_hosts": [host]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    chain = {
        "filters": [{"name": "http", "typed_config": manager}],
        "transport_socket": {"name": "tls", "typed_config": tls},
    }
    where = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    body = {"name": "held", "address": where, "filter_chains": [chain]}
    return json_format.ParseDict(body, Listener(), descriptor_pool=pool())


class Cluster:
    """A cluster's CA files, and whoever has its key: it signs whatever it is asked to."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._material = store.verify(store.read(folder / name), time.time())
        self.roots = x509.bundle_pem(self._material.roots)

    def pair(self, names: x509.Names) -> tuple[bytes, bytes]:
        key = x509.new_key()
        issuer = x509.Issuer(self._material.chain[0], self._material.key)
        leaf = x509.leaf(issuer, key.public_key(), names, x509.Life.at(time.time(), 600))
        return x509.bundle_pem([leaf, self._material.chain[0]]), x509.key_pem(key)

    def call(self, port: int, names: x509.Names) -> int:
        """The status that a caller with these names gets. Raises `OSError` where it is not believed."""
        certificate, key = self.pair(names)
        path = self.folder / "caller.pem"
        path.write_bytes(certificate + key)
        context = ssl.create_default_context(cadata=self.roots.decode())
        context.check_hostname = False
        context.load_cert_chain(path)
        connection = HTTPSConnection("127.0.0.1", port, context=context, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status
        finally:
            connection.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """CA files of a held cluster and of one that is not, and an Envoy that trusts their root."""
    folder = tmp_path_factory.mktemp("held")
    founding.found(folder, Founding(clusters=("free",)))
    founding.found(folder, Founding(clusters=("onprem",), constraint=Constraint()))
    free = Cluster(folder, "free")
    certificate, key = free.pair(x509.Names(uris=(REVIEWS,)))
    (port,) = free_ports(1)
    with running_envoy(folder, [listener(port, certificate, key, free.roots)], []):
        yield folder, port


def test_within_its_names_a_held_ca_is_believed(place: tuple[Path, int]):
    folder, port = place
    own = ("onprem.clusters.cluster.local", "istio-pilot.istio-system.svc", "istio-pilot.istio-system")
    assert Cluster(folder, "onprem").call(port, x509.Names(uris=(REVIEWS,), dns=own)) == 200


FORGED = [
    x509.Names(uris=("spiffe://other.example/ns/default/sa/reviews",)),
    x509.Names(uris=(REVIEWS,), dns=("gke.clusters.cluster.local",)),
    x509.Names(uris=(REVIEWS,), dns=("onprem.clusters.cluster.local", "gke.clusters.cluster.local")),
    x509.Names(uris=(REVIEWS,), dns=("bank.example",)),
    x509.Names(uris=(REVIEWS,), addresses=("10.0.0.1",)),
]


@pytest.mark.parametrize("names", FORGED)
def test_beyond_its_names_a_held_ca_is_believed_by_no_envoy(place: tuple[Path, int], names: x509.Names):
    folder, port = place
    assert Cluster(folder, "free").call(port, names) == 200, "the names themselves are good"
    with pytest.raises(OSError, match=r"EOF|ALERT|reset"):
        Cluster(folder, "onprem").call(port, names)
