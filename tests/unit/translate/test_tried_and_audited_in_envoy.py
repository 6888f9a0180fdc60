"""What policies do that keep nobody out, in the real Envoy: statistics of those that are tried, marks of AUDIT."""

from __future__ import annotations

import http.client
import urllib.request
from contextlib import closing, contextmanager

import pytest
from benchmarks.running_envoy import running
from google.protobuf import json_format

from fakes.guarded_envoy import guard
from fakes.inbound_envoy import LET_IN
from fakes.ports import free_ports
from isthmus.envoy.descriptors import pool
from isthmus.envoy.types import Bootstrap, Filter, HttpConnectionManager
from isthmus.sidecar.stats_tags import stats_tags
from isthmus.translate import connection_manager, http_filters, proto
from isthmus.translate.guard import Checkpoint
from isthmus.translate.http_filters import router

OLD = "rules: [{to: [{operation: {paths: [/old]}}]}]"
TRIED = f'annotations: {{istio.io/dry-run: "true"}}\naction: DENY\n{OLD}'
AUDITED = f"action: AUDIT\n{OLD}"
MARK = {"header": {"key": "x-hint", "value": "%DYNAMIC_METADATA(envoy.common:access_log_hint)%"}}


@contextmanager
def guarded(folder, policy):
    """The port at which a policy holds, and where the Envoy's admin page is."""
    (port,) = free_ports(1)
    manager = HttpConnectionManager(
        stat_prefix="inbound_0.0.0.0_80;",
        http_filters=[*http_filters.checks(Checkpoint(guard(policy), port)), router.in_chain()],
    )
    routes = {**LET_IN, "response_headers_to_add": [MARK]}
    json_format.ParseDict(routes, manager.route_config, descriptor_pool=pool())
    bootstrap = Bootstrap(stats_config={"stats_tags": stats_tags("cluster.local")})
    bootstrap.stats_config.use_all_default_tags.value = False
    listener = bootstrap.static_resources.listeners.add(name="http", address=proto.address("127.0.0.1", port))
    last = Filter(name=connection_manager.NAME, typed_config=proto.any_of(manager))
    listener.filter_chains.add(filters=[last])
    with running(folder, bootstrap) as admin:
        yield port, admin


def asked(port, path):
    """The status of an answer, and the mark on it."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("x-hint")


@pytest.mark.parametrize(("result", "count"), [("denied", "2"), ("allowed", "1")])
def test_statistics_say_how_often_a_call_would_be_denied(result, count, tmp_path):
    with guarded(tmp_path, TRIED) as (port, admin):
        assert [asked(port, path)[0] for path in ("/old", "/old", "/new")] == [200, 200, 200]
        with urllib.request.urlopen(f"http://{admin}/stats/prometheus?filter=rbac") as reply:
            told = dict(line.rsplit(" ", 1) for line in reply.read().decode().splitlines() if line[:1] != "#")
    labels = f'authz_dry_run_action="deny",authz_dry_run_result="{result}"'
    assert told[f"envoy_http_inbound_0_0_0_0_80__rbac{{{labels}}}"] == count


def test_what_is_audited_is_marked_for_access_logs(tmp_path):
    with guarded(tmp_path, AUDITED) as (port, _):
        assert [asked(port, path) for path in ("/old", "/new")] == [(200, "true"), (200, "false")]
