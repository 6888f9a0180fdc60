"""What is reported of a call, and which objects say so."""

from __future__ import annotations

import click
import pytest

from fakes.ruled_manifests import ruled
from isthmus.console.explanation_text import text_of
from simulate import explained

MESH = """apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    accessLogFile: /dev/stdout
    enableTracing: true
    extensionProviders: [{name: z, zipkin: {service: ratings.default.svc.cluster.local, port: 9080}}]
"""


def telemetry(name, spec, namespace="default"):
    meta = f"metadata: {{name: {name}, namespace: {namespace}}}"
    return f"apiVersion: telemetry.istio.io/v1\nkind: Telemetry\n{meta}\nspec: {spec}\n"


def reports(*documents, url="http://ratings:9080/"):
    return explained(ruled(*documents), "productpage", url).reports


@pytest.mark.parametrize("url", ["http://ratings:9080/", "tcp://db:3306"])
def test_a_log_of_the_mesh_is_told_as_that_of_its_settings(url):
    (log,) = reports(MESH, url=url)
    assert str(log) == "access log to /dev/stdout by MeshConfig"


def test_nothing_is_told_where_nothing_is_reported():
    assert reports() == ()


def test_rules_of_telemetries_are_told_with_their_lines():
    wide = telemetry("all", "{accessLogging: [{providers: [{name: envoy}]}]}", "istio-system")
    near = telemetry(
        "near", "{accessLogging: [{match: {mode: SERVER}}, {filter: {expression: 'response.code >= 400'}}]}"
    )
    (log,) = reports(MESH, wide, near)
    assert log.what == "access log to /dev/stdout, calls that its filter takes"
    assert [(each.object, each.entry) for each in log.by] == [
        ("Telemetry istio-system/all", "accessLogging[0]"),
        ("Telemetry default/near", "accessLogging[1]"),
    ]
    assert all(each.place.startswith("case.yaml:") for each in log.by)


def test_a_log_that_is_switched_off_is_not_told():
    assert reports(MESH, telemetry("quiet", "{accessLogging: [{disabled: true}]}")) == ()


def test_traces_are_told_with_their_share():
    rule = telemetry("traces", "{tracing: [{providers: [{name: z}], randomSamplingPercentage: 5}]}")
    _, traced = reports(MESH, rule)
    assert traced.what == "traces of 5 % to zipkin"
    assert [each.entry for each in traced.by] == ["tracing[0]"]


def test_reports_are_in_the_text():
    found = explained(ruled(MESH), "productpage", "http://ratings:9080/")
    assert "  reports     access log to /dev/stdout by MeshConfig" in click.unstyle(text_of(found))
