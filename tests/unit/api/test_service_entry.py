"""ServiceEntry, WorkloadEntry and WorkloadGroup: what is wrong is told with path and mend, all at once."""

from __future__ import annotations

import pytest

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig

PORT = {"number": 80, "name": "http", "protocol": "HTTP"}
UDP = {"number": 53, "name": "dns", "protocol": "UDP"}


def problems(kind, spec):
    with pytest.raises(InvalidConfig) as raised:
        decode(kind_named(kind), {"metadata": {"name": "x", "namespace": "default"}, "spec": spec})
    return dict(raised.value.problems)


def entry(**more):
    return {"hosts": ["api.example.com"], "ports": [PORT], **more}


@pytest.mark.parametrize(
    ("spec", "path", "told"),
    [
        (entry(hosts=[]), "$.spec.hosts", "is empty"),
        (entry(hosts=["a b"]), "$.spec.hosts[0]", "hint: a host"),
        (entry(hosts=["*.example.com"], resolution="DNS"), "$.spec.hosts[0]", "no DNS server"),
        (entry(addresses=["10.0.0.1/8"]), "$.spec.addresses[0]", "neither an address nor a CIDR"),
        (entry(ports=[]), "$.spec.ports", "is empty"),
        (entry(ports=[PORT, PORT]), "$.spec.ports[1].name", "stands twice"),
        (entry(ports=[PORT, {**PORT, "name": "b"}]), "$.spec.ports[1].number", "80 stands twice"),
        (
            entry(ports=[UDP, {**PORT, "number": 53}, {**UDP, "name": "b"}]),
            "$.spec.ports[2].number",
            "53 stands twice",
        ),
        (entry(ports=[{**PORT, "protocol": "SPDY"}]), "$.spec.ports[0].protocol", "one of HTTP"),
        (entry(ports=[{**PORT, "number": 0}]), "$.spec.ports[0].number", "is 0"),
        (entry(endpoints=[{"address": "192.0.2.1"}]), "$.spec.resolution", "STATIC for addresses"),
        (entry(resolution="DYNAMIC_DNS"), "$.spec.resolution", "not built into Isthmus"),
        (
            entry(resolution="STATIC", endpoints=[{"address": "db.example.com"}]),
            "$.spec.endpoints[0].address",
            "resolution DNS takes names",
        ),
        (
            entry(resolution="STATIC", endpoints=[{"address": "192.0.2.1", "ports": {"web": 8080}}]),
            "$.spec.endpoints[0].ports[web]",
            "hint: one of http",
        ),
        (
            entry(resolution="DNS_ROUND_ROBIN", endpoints=[{"address": "a.b"}, {"address": "c.d"}]),
            "$.spec.endpoints",
            "one endpoint at the most",
        ),
        (
            entry(endpoints=[{"address": "192.0.2.1"}], workloadSelector={"labels": {"a": "b"}}),
            "$.spec.workloadSelector",
            "one of the two",
        ),
        (entry(workloadSelector={"labels": {}}), "$.spec.workloadSelector.labels", "is empty"),
    ],
)
def test_a_wrong_service_entry_is_told_where_and_how_to_mend(spec, path, told):
    assert told in problems("ServiceEntry", spec)[path]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"address": ""}, "$.spec.address"),
        ({"address": "unix://run/x"}, "$.spec.address"),
        ({"address": "unix:///run/x", "ports": {"http": 80}}, "$.spec.ports"),
        ({"address": "192.0.2.1", "locality": "a/b/c/d"}, "$.spec.locality"),
        ({"address": "192.0.2.1", "weight": -1}, "$.spec.weight"),
    ],
)
def test_a_wrong_workload_entry_is_told_where(spec, path):
    assert path in problems("WorkloadEntry", spec)


def test_a_wrong_workload_group_is_told_all_at_once():
    probe = {"httpGet": {"port": 80}, "tcpSocket": {"port": 80}, "periodSeconds": -1}
    found = problems("WorkloadGroup", {"template": {"address": "192.0.2.1"}, "probe": probe})
    assert found.keys() == {"$.spec.template.address", "$.spec.probe", "$.spec.probe.periodSeconds"}


def test_a_workload_group_is_read_whole():
    spec = {
        "metadata": {"labels": {"app": "x"}, "annotations": {"a": "b"}},
        "template": {"ports": {"http": 8080}, "serviceAccount": "x", "network": "n", "weight": 2},
        "probe": {
            "initialDelaySeconds": 1,
            "timeoutSeconds": 2,
            "successThreshold": 3,
            "failureThreshold": 4,
            "httpGet": {"path": "/ready", "port": 8080, "httpHeaders": [{"name": "a", "value": "b"}]},
        },
    }
    made = decode(kind_named("WorkloadGroup"), {"metadata": {"name": "x"}, "spec": spec}).spec
    assert made.template.ports == {"http": 8080}
    assert made.probe is not None and made.probe.http_get is not None
    assert made.probe.http_get.http_headers[0].value == "b"
