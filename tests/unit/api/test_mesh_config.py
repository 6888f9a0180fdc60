from __future__ import annotations

import pytest

from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.mesh_config import MeshConfig, read_mesh_config
from isthmus.model.mesh_config_problems import checked_mesh_config


def test_no_text_means_the_defaults():
    assert read_mesh_config("").rest == read_mesh_config("# nothing\n").rest == MeshConfig()


def test_known_fields_are_read_and_others_let_pass():
    text = (
        "trustDomain: td\naccessLogFile: /dev/stdout\ningressClass: istio\n"
        "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"
    )
    found, unread = checked_mesh_config(text)
    assert unread == ()
    assert (found.trust_domain, found.access_log_file) == ("td", "/dev/stdout")
    assert found.outbound_traffic_policy.mode == "REGISTRY_ONLY"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("trustDomain: 1", "$.trustDomain"),
        ("outboundTrafficPolicy: {mode: [a]}", "$.outboundTrafficPolicy.mode"),
        ("outboundTrafficPolicy: {mode: SOMETIMES}", "$.outboundTrafficPolicy.mode"),
        ("connectTimeout: soon", "$.connectTimeout"),
        ("connectTimeout: 0s", "$.connectTimeout"),
        ("connectTimeout: -1s", "$.connectTimeout"),
        ("localityLbSetting: {failover: [{from: eu, too: us}]}", "$.localityLbSetting.failover[0].too"),
        ("just text", "$"),
        ("a: [", "$"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(text, path):
    with pytest.raises(InvalidConfig) as caught:
        checked_mesh_config(text)
    assert caught.value.path == path
