from __future__ import annotations

from fakes.manifests import SETTINGS, made, pod
from isthmus.model.findings import Finding
from isthmus.model.mesh_settings import read_settings


def config_map(**data):
    return made("ConfigMap", "istio", "istio-system", data=data)


def test_without_a_config_map_the_base_holds():
    assert read_settings(None, SETTINGS) is SETTINGS
    assert read_settings(pod("a", "10.0.0.1"), SETTINGS) is SETTINGS
    assert read_settings(config_map(), SETTINGS) == SETTINGS


def test_what_the_config_map_says_replaces_the_base():
    text = (
        "trustDomain: td\nconnectTimeout: 1s\naccessLogFile: /a\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}"
    )
    found = read_settings(config_map(mesh=text), SETTINGS)
    assert (found.trust_domain, found.connect_timeout_s, found.access_log_path) == ("td", 1.0, "/a")
    assert not found.allow_any_outbound
    assert (found.config_cluster, found.domain) == (SETTINGS.config_cluster, SETTINGS.domain)


def test_what_cannot_be_read_is_a_finding_with_its_path():
    found = read_settings(config_map(mesh="trustDomain: [a]"), SETTINGS)
    assert isinstance(found, Finding)
    assert (found.path, found.cluster) == ("$.data.mesh:$.trustDomain", "east")
