from __future__ import annotations

from fakes.manifests import SETTINGS, made, pod
from isthmus.model.findings import Severity
from isthmus.model.mesh_settings import read_settings, with_same_parts


def config_map(**data):
    return made("ConfigMap", "istio", "istio-system", data=data)


def read(text):
    return read_settings(config_map(mesh=text), SETTINGS)


def test_without_a_config_map_the_base_holds():
    assert read_settings(None, SETTINGS).settings is SETTINGS
    assert read_settings(pod("a", "10.0.0.1"), SETTINGS).settings is SETTINGS
    assert read_settings(config_map(), SETTINGS).settings == SETTINGS


def test_what_the_config_map_says_replaces_the_base():
    text = (
        "trustDomain: td\nconnectTimeout: 1s\naccessLogFile: /a\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}"
    )
    found = read(text).settings
    said = (found.trust_domain, found.upstream.connect_timeout_s, found.listener.logs.path)
    assert said == ("td", 1.0, "/a")
    assert not found.allow_any_outbound
    assert (found.config_cluster, found.domain) == (SETTINGS.config_cluster, SETTINGS.domain)


def test_all_that_cannot_be_read_is_told_with_its_path():
    settings, findings = read(
        "trustDomain: [a]\nconnectTimeout: soon\nproxyListenPort: 15090\ndefaultConfig: {concurency: 2}"
    )
    assert settings is None
    assert [(each.path, each.cluster) for each in findings] == [
        ("$.data.mesh.trustDomain", "east"),
        ("$.data.mesh.defaultConfig.concurency", "east"),
        ("$.data.mesh.proxyListenPort", "east"),
        ("$.data.mesh.connectTimeout", "east"),
    ]


def test_a_part_that_is_equal_stays_the_same_object():
    before = read("accessLogFile: /a\nconnectTimeout: 1s").settings
    after = with_same_parts(before, read("accessLogFile: /b\nconnectTimeout: 1s").settings)
    assert after.upstream is before.upstream
    assert after.route is before.route
    assert after.listener is not before.listener
    assert with_same_parts(after, read("accessLogFile: /b\nconnectTimeout: 1s").settings) is after


def test_what_has_no_effect_is_told_and_the_rest_holds():
    settings, findings = read("accessLogFil: /a\nconnectTimeout: 1s")
    assert settings.upstream.connect_timeout_s == 1.0
    assert [(each.path, each.severity) for each in findings] == [
        ("$.data.mesh.accessLogFil", Severity.WARNING)
    ]
