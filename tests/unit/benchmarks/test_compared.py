"""What the comparison with istiod asks for, expects and tells; the control planes themselves are not started here."""

from __future__ import annotations

import pytest
import yaml
from benchmarks.fleet.resources import meaning
from benchmarks.istiod import objects
from benchmarks.istiod.objects import Size
from benchmarks.istiod.processes import Cost
from benchmarks.istiod.session import Change, Incomplete, Session
from benchmarks.istiod.table import rows, spread
from benchmarks.istiod.world import World


class WrittenServer:
    """Satisfies `ApiServer` for a world: keeps what is written."""

    def __init__(self):
        self.written = {}

    def all(self, jobs):
        for job in jobs:
            job()

    def put(self, path, name, obj):
        self.written[f"{path}/{name}"] = obj

    def ask(self, method, path, body=None, kind=""):
        self.written[path] = body
        return {}


class SeenFleet:
    """Satisfies `Fleet` for a session: one process, whose proxies hold what they are given."""

    def __init__(self, held=None):
        self.held = held or {}

    def ask(self, word, *given):
        return [getattr(self, word)]


def world(size):
    made = World(WrittenServer(), size)
    made.write()
    return made


def test_each_proxy_is_a_pod_that_serves_a_service_of_its_namespace():
    made = world(Size(30, 45, scoped=False))
    who = objects.who(made.size, 40, "c")
    assert (who.namespace, who.address) == ("ns-0", made.addresses[10][1])
    slice_ = made.server.written["/apis/discovery.k8s.io/v1/namespaces/ns-0/endpointslices/svc-10"]
    assert slice_["endpoints"][1]["targetRef"]["name"] == "pod-40"
    status = made.server.written["/api/v1/namespaces/ns-0/pods/pod-40/status"]
    assert status["status"]["podIP"] == who.address


def test_a_service_has_as_many_endpoints_as_proxies_need():
    assert Size(100, 100, scoped=True).endpoints == 10
    assert Size(100, 2000, scoped=True).endpoints == 20


def test_a_scoped_proxy_sees_its_own_namespace_alone():
    made = world(Size(40, 40, scoped=True))
    assert made.seen_by(3) == 20
    assert made.seen_by(3, frozenset({3, 25})) == 19
    assert made.expected_endpoints(0)[0] == 20
    assert "/apis/networking.istio.io/v1/namespaces/ns-1/sidecars/default" in made.server.written


def test_an_endpoint_that_moves_is_expected_at_once():
    made = world(Size(20, 1, scoped=True))
    before = made.expected_endpoints(0)
    marked = made.churn(7)
    assert made.addresses[7][-1] == marked
    after = made.expected_endpoints(0)
    name, stayed = objects.upstream(7), [f"{each}:8080" for each in made.addresses[7][:-1]]
    moved = meaning(name, [*stayed, f"{marked}:8080"]) - meaning(name, [*stayed, "10.0.7.10:8080"])
    assert (after[1] - before[1] - moved) % (1 << 64) == 0


def test_no_two_changes_have_one_mark():
    made = world(Size(20, 1, scoped=False))
    marks = [
        made.churn(0),
        made.change_virtual_service(),
        made.change_mesh(),
        *made.touch_all(),
        made.churn(0),
    ]
    assert len(set(marks)) == len(marks)


def test_a_rollout_replaces_all_endpoints_but_those_of_proxies():
    made = world(Size(20, 20, scoped=False))
    made.grow(3, 100)
    before = made.addresses[3]
    assert len(before) == 101
    marks = [made.roll(3, 10) for _ in range(10)]
    after = made.addresses[3]
    assert len(after) == len(set(after)) == 101
    assert set(before) & set(after) == {before[0]}
    assert set(marks) <= set(after)


def test_settings_of_the_mesh_are_yaml_with_the_mark_in_them():
    found = yaml.safe_load(objects.mesh_config("marker-7")["data"]["mesh"])
    assert found["accessLogFormat"] == "marker-7 %RESPONSE_CODE%\n"


def test_endpoints_of_each_proxy_are_compared_with_what_there_is():
    made = world(Size(40, 2, scoped=False))
    expected = made.expected_endpoints(0)
    fleet = SeenFleet({0: ((0, 0), expected, (0, 0), (0, 0)), 1: ((0, 0), (3, 7), (0, 0), (0, 0))})
    session = Session(made, _Named(), fleet)
    session.check_endpoints(without=[1])
    with pytest.raises(Incomplete, match="proxy 1 holds other endpoints than there are"):
        session.check_endpoints()


class _Named:
    name = "named"


def test_latency_is_counted_for_those_who_must_hear_of_a_change():
    session = Session(world(Size(20, 2, scoped=True)), _Named(), SeenFleet())
    session.changes = [Change(10.0, "a", 2)]
    found = session._latencies([_Arrived({"a": [10.2, 10.1]}), _Arrived({"a": [99.0]})])
    assert round(found["p50, ms"]) == 150
    assert round(found["all acknowledged, most, ms"]) == 200


class _Arrived:
    def __init__(self, arrivals):
        self.arrivals = arrivals


def test_costs_of_processes_add_up():
    assert Cost(1, 2, 3, 4) + Cost(1, 1, 1, 1) == Cost(2, 3, 4, 5)
    assert Cost(1, 2).cpu_s == 3


def test_ratios_are_of_rounds_that_belong_together():
    istiod, isthmus = (
        [{"memory, MB": 200.0}, {"memory, MB": 300.0}],
        [{"memory, MB": 100.0}, {"memory, MB": 50.0}],
    )
    [row] = rows("connect", istiod, isthmus)
    ratio = "4.00 [2.00 - 6.00]"
    assert row == f"| connect | memory, MB | 250 [200 - 300] | 75.0 [50.0 - 100] | {ratio} |"


def test_what_is_too_little_to_be_counted_has_no_ratio():
    [row] = rows("idle", [{"CPU, s": 0.01}], [{"CPU, s": 0.02}])
    assert row.endswith("| - |")
    assert spread([]) == "-"
