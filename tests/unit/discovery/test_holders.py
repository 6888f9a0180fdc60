"""Who holds what: as agents say over streams that show a certificate, and the pods that say nothing."""

from types import SimpleNamespace

from fakes.manifests import EAST, SETTINGS, pod, put
from isthmus.discovery.holders import Holder, holders
from isthmus.model.build import MeshBuilder
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.trust_held import TRUST_TYPE, TrustHeld, written
from isthmus.wire.stream import Peer

OLD, NEW = TrustHeld(("a",), "ca", "1", 10.0), TrustHeld(("a", "b"), "ca", "2", 20.0)
URI = "spiffe://cluster.local/ns/default/sa/default"


def session(name: str, said: str | None, uris: tuple[str, ...] = (URI,)) -> SimpleNamespace:
    proxy = Proxy(kind=ProxyKind.SIDECAR, address="1.1.1.1", name=name, namespace="default", cluster=EAST)
    return SimpleNamespace(
        conversation=SimpleNamespace(subject=proxy),
        said={} if said is None else {TRUST_TYPE: said},
        peer=Peer("1.1.1.1:1", uris),
        node=SimpleNamespace(id=name),
    )


def holder(name: str, *, connected: bool = True, held: TrustHeld | None = None) -> Holder:
    return Holder(name=name, namespace="default", cluster=EAST, connected=connected, held=held)


def test_the_newest_stream_counts_and_pods_with_a_sidecar_are_missed():
    builder = MeshBuilder(SETTINGS)
    for name, address in (("a", "10.0.0.1"), ("silent", "10.0.0.2")):
        builder.apply([put(EAST, pod(name, address, labels={"security.istio.io/tlsMode": "istio"}))])
    builder.apply([put(EAST, pod("plain", "10.0.0.3"))])
    streams = [session("a", None), session("a", written(OLD)), session("a", written(NEW)), session("a", None)]
    assert holders(streams, builder.mesh) == [holder("a", held=NEW), holder("silent", connected=False)]


def test_what_is_said_without_a_certificate_or_is_none_is_not_believed():
    mesh = MeshBuilder(SETTINGS).mesh
    streams = [session("a", written(NEW), ()), session("b", "no JSON"), session("c", '{"roots": 1}')]
    assert holders(streams, mesh) == [holder("a"), holder("b"), holder("c")]
