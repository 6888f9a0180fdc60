"""What a proxy holds, made as far as somebody asks for it."""

from __future__ import annotations

from isthmus.translate.offline import read_case
from isthmus.translate.trace.held import made_for
from isthmus.translate.types import ENDPOINTS, UPSTREAM

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {clusterIP: 10.0.0.IP, ports: [{port: 80, name: http}]}
"""
CASE = read_case("---".join(SERVICE.replace("NAME", f"s{n}").replace("IP", str(n)) for n in range(1, 4)))
ONE = "outbound|80||s1.default.svc.cluster.local"


class Counting:
    """A generation that remembers what it was asked for."""

    def __init__(self):
        self.asked = []
        self._generation = CASE.generation()

    def resources(self, proxy, type_url, names):
        self.asked.append((type_url, names))
        return self._generation.resources(proxy, type_url, names)


def test_upstreams_and_their_endpoints_are_made_by_name_and_once():
    generation = Counting()
    held = made_for(generation, CASE.proxy)
    generation.asked.clear()
    for _ in range(2):
        assert (held.upstreams[ONE].name, held.assignments[ONE].cluster_name) == (ONE, ONE)
        assert held.upstreams.get("outbound|80||nobody") is None
    wanted = [(UPSTREAM, ONE), (ENDPOINTS, ONE), (UPSTREAM, "outbound|80||nobody")]
    assert generation.asked == [(type_url, frozenset({name})) for type_url, name in wanted]


def test_one_by_one_they_are_what_they_are_together():
    held = made_for(CASE.generation(), CASE.proxy)
    for kind in (held.upstreams, held.routes, held.assignments, held.without(lambda _: True).assignments):
        assert kind
        assert {name: kind[name] for name in kind} == dict(kind.items())
