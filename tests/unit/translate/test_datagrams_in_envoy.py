"""Datagrams through real Envoys, in tunnels and plain: many callers, silence, size, and endpoints that go."""

from __future__ import annotations

import select
import time

import pytest
from benchmarks.datagram_envoys import Sidecars, echo

RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: parrot}
spec: {host: parrot, trafficPolicy: {connectionPool: {tcp: {idleTimeout: 1s}}}}
"""
FORMS = pytest.mark.parametrize("tunnels", [True, False], ids=["in tunnels", "plain"])


def asked(client, payload=b"hello", limit_s=5.0):
    """What comes back of a datagram, sent again each half a second; nothing where nothing does."""
    limit = time.monotonic() + limit_s
    while time.monotonic() < limit:
        client.send(payload)
        if select.select([client], [], [], 0.5)[0]:
            try:
                return client.recv(65535)
            except ConnectionRefusedError:
                continue
    return b""


def comes_to_say(client, expected, limit_s=20.0):
    limit = time.monotonic() + limit_s
    while time.monotonic() < limit:
        if asked(client, b"x", 1.0).startswith(expected):
            return True
    return False


@FORMS
def test_many_callers_at_once_each_get_what_they_sent_from_all_pods(tmp_path, tunnels):
    sidecars = Sidecars(tmp_path, pods=2, tunnels=tunnels)
    with sidecars.everything():
        clients = [sidecars.client() for _ in range(300)]
        first = [asked(client, b"%d" % number) for number, client in enumerate(clients)]
        pods = [each.partition(b":")[0] for each in first]
        assert set(pods) == {b"0", b"1"}
        for turn in range(3):
            for number, client in enumerate(clients):
                client.send(b"%d %d" % (turn, number))
            found = [client.recv(100) for client in clients]
            expected = [b"%s:%d %d" % (pod, turn, number) for number, pod in enumerate(pods)]
            assert found == expected, "each session stays with its pod"
        for client in clients:
            client.close()


@FORMS
def test_a_session_that_is_idle_ends_and_the_same_socket_begins_another(tmp_path, tunnels):
    sidecars = Sidecars(tmp_path, config=RULE, tunnels=tunnels)
    with sidecars.everything() as near, sidecars.client() as client:
        for expected in (1, 2):
            assert asked(client) == b"0:hello"
            assert near.counted("downstream_sess_total") == expected
            limit = time.monotonic() + 20
            while near.counted("downstream_sess_active") and time.monotonic() < limit:
                time.sleep(0.1)
            assert near.counted("idle_timeout") == expected


@FORMS
def test_datagrams_of_all_sizes_are_whole(tmp_path, tunnels):
    sidecars = Sidecars(tmp_path, tunnels=tunnels)
    with sidecars.everything(), sidecars.client() as client:
        for size in (1, 508, 1199, 1200, 1201, 1452, 1472, 1473, 1499, 1500, 1501, 8972, 16384, 60000, 65000):
            payload = bytes(each % 251 for each in range(size))
            assert asked(client, payload) == b"0:" + payload, size


def test_a_session_goes_on_when_its_pods_sidecar_is_back(tmp_path):
    sidecars = Sidecars(tmp_path)
    (pod,) = sidecars.pods
    with echo(pod, "0:"), sidecars.near(), sidecars.client() as client:
        with sidecars.beside(pod):
            assert asked(client) == b"0:hello"
        assert asked(client, limit_s=1.0) == b""
        with sidecars.beside(pod):
            assert comes_to_say(client, b"0:")


def test_callers_of_a_pod_whose_sidecar_is_gone_come_to_the_others(tmp_path):
    sidecars = Sidecars(tmp_path, pods=2)
    gone, left = sidecars.pods
    with echo(gone, "0:"), echo(left, "1:"), sidecars.beside(left), sidecars.near():
        clients = [sidecars.client() for _ in range(20)]
        with sidecars.beside(gone):
            assert {asked(client)[:1] for client in clients} == {b"0", b"1"}
        assert all(comes_to_say(client, b"1:") for client in clients)
        for client in clients:
            client.close()


@FORMS
def test_a_pod_that_is_no_endpoint_gets_no_new_sessions_and_keeps_those_in_tunnels_as_connections(
    tmp_path, tunnels
):
    sidecars = Sidecars(tmp_path, pods=2, tunnels=tunnels)
    first, second = sidecars.pods
    sidecars.tell([first])
    with sidecars.everything(), sidecars.client() as client:
        assert asked(client) == b"0:hello"
        sidecars.tell([second])
        limit = time.monotonic() + 20
        while _new(sidecars) != b"1" and time.monotonic() < limit:
            time.sleep(0.1)
        assert {_new(sidecars) for _ in range(10)} == {b"1"}
        assert asked(client)[:1] == (b"0" if tunnels else b"1")


POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: policy, namespace: default}
spec: {%s}
"""
_NEAR = "cluster.local/ns/default/sa/default"


@pytest.mark.parametrize(
    ("spec", "passes"),
    [
        (
            f"rules: [{{from: [{{source: {{principals: [{_NEAR}]}}}}], to: [{{operation: {{ports: ['7007']}}}}]}}]",
            True,
        ),
        ("rules: [{from: [{source: {namespaces: [other]}}]}]", False),
        (
            f"rules: [{{from: [{{source: {{principals: [{_NEAR}]}}}}], to: [{{operation: {{ports: ['7']}}}}]}}]",
            False,
        ),
        ("action: DENY, rules: [{to: [{operation: {ports: ['7007']}}]}]", False),
        ("action: DENY, rules: [{to: [{operation: {notPorts: ['7007']}}]}]", True),
        ("targetRefs: [{kind: Service, name: parrot}]", False),
        ("targetRefs: [{kind: Service, name: another}]", True),
    ],
)
def test_datagrams_in_tunnels_pass_as_policies_say_of_their_callers_and_ports(tmp_path, spec, passes):
    sidecars = Sidecars(tmp_path, config=POLICY % spec)
    with sidecars.everything(), sidecars.client() as client:
        assert asked(client, limit_s=5.0 if passes else 1.0) == (b"0:hello" if passes else b"")


def _new(sidecars):
    """The pod that a new session comes to."""
    with sidecars.client() as client:
        return asked(client)[:1]
