"""Citadel shows how much it logs to those who may look into its pod."""

from __future__ import annotations

from pathlib import Path

import msgspec

from fakes.citadel import loopback_citadel
from isthmus.api.core.config_map import ConfigMap
from isthmus.api.resource import Ref
from isthmus.kit.plain_http import Request
from isthmus.kube.log_levels import CONFIG_MAP, KEY, PAGE


async def test_levels_are_shown_over_loopback_only_and_change_while_citadel_runs(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca") as running:
        citadel = running.citadel
        far = await citadel.monitor(Request("GET", PAGE, {}, asker="10.0.0.7"))
        assert (far.status, b"port-forward" in far.body) == (403, True)
        citadel.log_levels.seen(
            Ref("ConfigMap", "istio-system", CONFIG_MAP), ConfigMap(data={KEY: "ca:debug"})
        )
        told = msgspec.json.decode((await citadel.monitor(Request("GET", PAGE, {}, asker="127.0.0.1"))).body)
    assert {each["scope"]: each["level"] for each in told["scopes"]}["ca"] == "debug"
