from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.kit import date
from isthmus.lab.apiserver.ages import age, seconds_of, span
from isthmus.lab.apiserver.builtin import BUILTIN, builtin
from isthmus.lab.apiserver.jsonpath import InvalidPath, find
from isthmus.lab.apiserver.pod_cells import pod_state
from isthmus.lab.apiserver.tables import Tables
from isthmus.lab.apiserver.types import ResourceType

NOW = 1_800_000_000.0
FERRY = ResourceType("boats.example", "v1", "Ferry", "ferries", "ferry")


def obj(**parts):
    meta = {"name": "web", "namespace": "default", "creationTimestamp": date.show(NOW - 90)}
    return {"metadata": meta, **parts}


def row(plural, group="", **parts):
    return Tables().table(builtin(plural, group), [obj(**parts)], NOW)["rows"][0]["cells"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (601, "10m"),
        (3 * 3600 + 300, "3h5m"),
        (9 * 3600, "9h"),
        (49 * 3600, "2d1h"),
        (9 * 86400, "9d"),
        (3 * 365 * 86400, "3y"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_a_span_is_told_the_coarser_the_longer(seconds, words):
    assert span(seconds) == words


@given(st.integers(0, 4_000_000_000))
def test_a_stamp_can_be_read_back(seconds):
    assert seconds_of(date.show(seconds)) == seconds


def test_no_time_is_unknown():
    assert age(None, NOW) == age("soon", NOW) == "<unknown>"


def test_a_service_is_one_line():
    spec = {
        "type": "NodePort",
        "clusterIP": "10.0.0.1",
        "ports": [{"port": 80, "nodePort": 30080}],
        "selector": {"a": "b"},
    }
    assert row("services", spec=spec) == [
        "web",
        "NodePort",
        "10.0.0.1",
        "<none>",
        "80:30080/TCP",
        "90s",
        "a=b",
    ]
    assert row("services", spec={"type": "LoadBalancer"})[3] == "<pending>"
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    assert row("services", spec={"type": "LoadBalancer"}, status=status)[3] == "192.0.2.1"


def test_endpoints_are_cut_short():
    subsets = [{"addresses": [{"ip": f"10.0.0.{i}"} for i in range(5)], "ports": [{"port": 80}]}]
    assert row("endpoints", subsets=subsets)[1] == "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more..."
    assert row("endpoints")[1] == "<none>"


def test_a_deployment_is_one_line():
    spec = {"replicas": 3, "template": {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}}
    status = {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1}
    assert row("deployments", "apps", spec=spec, status=status)[:7] == ["web", "1/3", 2, 1, "90s", "a", "a:1"]


def test_a_node_tells_roles_and_readiness():
    labels = {"node-role.kubernetes.io/control-plane": ""}
    node = obj(status={"conditions": [{"type": "Ready", "status": "True"}]}, spec={"unschedulable": True})
    node["metadata"]["labels"] = labels
    cells = Tables().table(builtin("nodes"), [node], NOW)["rows"][0]["cells"]
    assert cells[1:3] == ["Ready,SchedulingDisabled", "control-plane"]


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ({"phase": "Pending"}, "Pending"),
        ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
        (
            {"containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]},
            "CrashLoopBackOff",
        ),
        ({"containerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": 2}}}]}, "ExitCode:2"),
        (
            {
                "phase": "Running",
                "containerStatuses": [{"name": "a", "ready": True, "state": {"running": {}}}],
            },
            "Running",
        ),
        ({"initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}, "Init:0/1"),
        (
            {
                "initContainerStatuses": [
                    {"name": "i", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}
                ]
            },
            "Init:Error",
        ),
        (
            {
                "phase": "Running",
                "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 0}}}],
            },
            "Running",
        ),
    ],
)
def test_one_word_tells_a_pods_state(status, word):
    assert pod_state(obj(spec={"initContainers": [{"name": "i"}]}, status=status)) == word


def test_a_pod_that_goes_is_terminating():
    pod = obj(status={"phase": "Running"})
    pod["metadata"]["deletionTimestamp"] = date.show(NOW)
    assert pod_state(pod) == "Terminating"


def test_restarts_are_told_with_the_last_one():
    last = {"terminated": {"finishedAt": date.show(NOW - 30)}}
    statuses = [{"name": "a", "restartCount": 2, "lastState": last, "ready": True}]
    cells = row("pods", spec={"containers": [{"name": "a"}]}, status={"containerStatuses": statuses})
    assert cells[1:4] == ["1/1", "Pending", "2 (30s ago)"]


@pytest.mark.parametrize("each", BUILTIN, ids=lambda each: each.resource)
def test_every_row_has_a_cell_for_every_column(each):
    table = Tables().table(each, [obj()], NOW)
    assert len(table["rows"][0]["cells"]) == len(table["columnDefinitions"])


def test_a_custom_type_is_shown_by_its_columns():
    tables = Tables()
    tables.add(
        FERRY,
        [
            {"name": "Cars", "type": "integer", "jsonPath": ".spec.cars"},
            {"name": "Ports", "type": "string", "jsonPath": ".spec.ports"},
            {"name": "Since", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            {
                "name": "Ready",
                "type": "string",
                "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
                "priority": 1,
            },
        ],
    )
    ferry = obj(
        spec={"cars": 3, "ports": ["a", "b"]}, status={"conditions": [{"type": "Ready", "status": "True"}]}
    )
    table = tables.table(FERRY, [ferry, obj()], NOW)
    assert [each["name"] for each in table["columnDefinitions"]] == [
        "Name",
        "Cars",
        "Ports",
        "Since",
        "Ready",
    ]
    assert table["columnDefinitions"][-1]["priority"] == 1
    assert table["rows"][0]["cells"] == ["web", 3, '["a","b"]', "90s", "True"]
    assert table["rows"][1]["cells"] == ["web", None, None, "90s", None]


def test_a_row_holds_as_much_of_the_object_as_is_asked_for():
    tables, each = Tables(), builtin("configmaps")
    config = obj(data={"a": "b"})
    assert tables.table(each, [config], NOW)["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert tables.table(each, [config], NOW, "Object")["rows"][0]["object"] is config
    assert "object" not in tables.table(each, [config], NOW, "None")["rows"][0]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.hosts[0]", ["a"]),
        (".spec.hosts[*]", ["a", "b"]),
        (".spec.hosts[-1:]", ["b"]),
        (".metadata.labels.a\\.b/c", ["z"]),
        (".metadata.labels['a.b/c']", ["z"]),
        ("{.spec.hosts[1]}", ["b"]),
        ("..at", [1, 2]),
        (".spec.stops[?(@.at==2)].name", ["two"]),
        (".spec.stops[?(@.at!=2)].name", ["one"]),
        (".spec.stops[?(@.name)].at", [1, 2]),
        (".nothing.here", []),
        (".spec.hosts.name", []),
    ],
)
def test_a_path_leads_to_what_is_there(path, found):
    stops = [{"at": 1, "name": "one"}, {"at": 2, "name": "two"}]
    ferry = {"metadata": {"labels": {"a.b/c": "z"}}, "spec": {"hosts": ["a", "b"], "stops": stops}}
    assert find(path, ferry) == found


def test_a_path_that_is_none_is_told_so():
    with pytest.raises(InvalidPath, match="cannot read"):
        find(".spec[", {})
