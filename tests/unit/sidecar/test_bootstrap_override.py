"""What a pod lays over its Envoy's bootstrap, asked of Envoy itself."""

from __future__ import annotations

import json

import pytest
from structlog.testing import capture_logs

from isthmus.envoy.binary import envoy_executable, validate
from isthmus.kit.clock import SystemClock
from isthmus.sidecar.bootstrap import bootstrap_json
from isthmus.sidecar.proxy_process import ProxyProcess, ProxySettings
from unit.sidecar.test_bootstrap import SETTINGS


@pytest.fixture
def laid_over(tmp_path):
    """The arguments that Envoy is run with where this is laid over its bootstrap."""
    config, custom = tmp_path / "envoy.json", tmp_path / "custom_bootstrap.json"
    config.write_text(bootstrap_json(SETTINGS))

    def arguments(text: str) -> list[str]:
        custom.write_text(text)
        made = ProxyProcess(ProxySettings(override=custom), config, SystemClock())
        found = made.arguments()
        return found[found.index("--config-yaml") :] if "--config-yaml" in found else []

    return arguments


def test_what_envoy_takes_is_laid_over_its_bootstrap(laid_over):
    text = json.dumps({"stats_flush_interval": "7s", "layered_runtime": {"layers": []}})
    assert laid_over(text) == ["--config-yaml", text]
    validate(envoy_executable(), bootstrap_json(SETTINGS), "--config-yaml", text)


@pytest.mark.parametrize("text", ['{"nothing_of_envoys": 1}', '{"stats_flush_interval": "soon"}', "[]", "{"])
def test_what_envoy_does_not_take_is_told_and_left_out(laid_over, text):
    with capture_logs() as told:
        assert laid_over(text) == []
    (only,) = told
    assert only["event"] == "the bootstrap is not overridden"
    assert only["why"]
