"""Where datagrams go, row by row, and what names mean: from files, by what `isthmus explain` does."""

from __future__ import annotations

import pytest

from fakes.bookinfo import pod, service
from fakes.ruled_manifests import cluster
from isthmus.console.calls import WrongCall
from isthmus.console.explain import Explainer
from isthmus.console.explain_dns import text_of
from isthmus.console.explain_files import FromFiles
from simulate import _drawn, assert_goes


def rule(host: str, policy: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {host}}}
spec: {{host: {host}, trafficPolicy: {policy}}}
"""


UDP = "{port: 53, name: dns, protocol: UDP, targetPort: %d}"
BOTH = (
    cluster("gke"),
    pod("caller", "10.10.0.9", app="caller"),
    service("caller", "10.110.0.9", "{port: 80, name: http}"),
    service("names", "10.110.0.1", UDP % 5353, "{port: 53, name: tcp}"),
    pod("names-a", "10.10.0.1", app="names"),
    service("mixed", "10.110.0.2", UDP % 53),
    pod("mixed-a", "10.10.0.2", app="mixed"),
    pod("mixed-b", "10.10.0.3", app="mixed", sidecar=False),
    service("none", "10.110.0.3", UDP % 53),
    service("headless", "None", UDP % 53),
    pod("headless-a", "10.10.0.4", app="headless"),
    cluster("onprem"),
    service("names", "10.120.0.1", UDP % 1053, "{port: 53, name: tcp}"),
    pod("names-b", "10.20.0.1", app="names"),
    service("far", "10.110.0.1", UDP % 8053),
    pod("far-a", "10.20.0.2", app="far"),
)
ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: time}
spec:
  hosts: [time.example.com]
  ports: [{number: 123, name: ntp, protocol: UDP}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.1}]
"""
NARROW = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default}
spec: {egress: [{hosts: ["./caller.default.svc.cluster.local"]}]}
"""


def files(*more: str) -> str:
    """The mesh of both clusters; further objects are of the first one."""
    here = BOTH.index(cluster("onprem"))
    return "---\n".join((*BOTH[:here], *more, *BOTH[here:]))


ROWS = [
    ("udp://names:53", {"names-a": 50.0, "names-b": 50.0}, "mutual", ()),
    ("udp://names.default.svc.cluster.local", {"names-a": 50.0, "names-b": 50.0}, "mutual", ()),
    ("udp://10.110.0.1:53", {"names-a": 50.0, "names-b": 50.0}, "mutual", ()),
    ("udp://far:53", "far-a", "mutual", ()),
    ("tcp://names:53", {"names-a": 50.0, "names-b": 50.0}, "mutual", ()),
    ("udp://mixed:53", {"mixed-a": 50.0, "mixed-b": 50.0}, "plain", ()),
    ("udp://mixed:53", "mixed-a", "mutual", (rule("mixed", "{tls: {mode: ISTIO_MUTUAL}}"),)),
    ("udp://far:53", "far-a", "plain", (rule("far", "{tls: {mode: DISABLE}}"),)),
    ("udp://none:53", "503", None, ()),
    ("udp://headless:53", "headless-a", "plain", ()),
    ("udp://names:54", "10.110.0.1:54", "plain", ()),
    ("udp://203.0.113.7:9", "203.0.113.7:9", "plain", ()),
    ("udp://time.example.com:123", "time", "plain", (ENTRY,)),
    ("udp://names:53", "10.110.0.1:53", "plain", (NARROW,)),
]


@pytest.mark.parametrize(("call", "lands_on", "tls", "more"), ROWS)
def test_a_datagram_goes(call: str, lands_on: object, tls: str | None, more: tuple[str, ...]) -> None:
    assert_goes(files(*more), "caller", call, lands_on, tls)


def test_a_tunnel_to_a_cluster_that_is_lost_goes_elsewhere() -> None:
    assert_goes(files(), "caller", "udp://names:53", "names-a", "mutual", without="onprem")


NAMES = [
    ("names", "10.110.0.1", 'this is its own address in cluster "gke"'),
    ("far", "240.240.", "its Service is in onprem only"),
    ("far.default", "240.240.", "asked of the pod's own DNS servers"),
    ("headless", "10.10.0.4", "it is headless"),
    ("time.example.com", "240.240.", "ServiceEntry default/time names no addresses"),
    ("time.example.com.", "240.240.", "its full name"),
    ("www.example.org", "asked of the pod's own DNS servers", "no service that this pod may see"),
]


@pytest.mark.parametrize(("name", "said", "why"), NAMES)
def test_a_name_means(name: str, said: str, why: str) -> None:
    found = text_of(Explainer(FromFiles(_drawn(files(ENTRY)))).explain_name("caller", name))
    assert said in found
    assert why in found


def test_what_is_no_name_is_refused() -> None:
    with pytest.raises(WrongCall, match="is no name"):
        Explainer(FromFiles(_drawn(files()))).explain_name("caller", ".")
