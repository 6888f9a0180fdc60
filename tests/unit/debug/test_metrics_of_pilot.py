"""A Pilot that runs shows every metric, with what is true."""

from __future__ import annotations

import math
import re
import subprocess
import sys

import pytest

from fakes.eventually import eventually
from fakes.looked_at_mesh import looked_at_mesh
from isthmus.console.programs import MONITORING_PORT
from isthmus.console.reference_metrics import declared
from isthmus.kit.release import RELEASE
from isthmus.kube.client import Client
from isthmus.kube.kubeconfig import from_file
from isthmus.kube.pods import fetch

pytestmark = pytest.mark.timeout(180)


async def scraped(mesh):
    async with Client(from_file(mesh.cluster.kubeconfig)) as client:
        return (await fetch(client, "istio-system", "istio-pilot-1", MONITORING_PORT, "/metrics")).decode()


def samples(text):
    """By name and labels."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


async def test_every_metric_is_shown_with_what_is_true(tmp_path):
    async with looked_at_mesh(tmp_path, "isthmus") as mesh:

        async def whole():
            return samples(await scraped(mesh)).get('pilot_xds{version="0.1.0"}') == 1.0

        await eventually(whole, 60)
        text = await scraped(mesh)
    typed = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE))
    assert {each.name: each.type for each in declared()}.items() <= typed.items()
    found = samples(text)
    assert found[f'pilot_info{{version="{RELEASE}"}}'] == 1.0
    assert found[f'istio_build{{component="pilot",tag="{RELEASE}"}}'] == 1.0
    assert found['istiod_managed_clusters{cluster_type="local",state="synced"}'] == 1.0
    assert found['istiod_managed_clusters{cluster_type="remote",state="synced"}'] == 0.0
    assert (
        found['istiod_remote_cluster_sync_status{cluster="east",cluster_type="local",status="synced"}'] == 1.0
    )
    assert (
        found['istiod_remote_cluster_sync_status{cluster="east",cluster_type="local",status="timeout"}']
        == 0.0
    )
    assert found["pilot_services"] >= 1.0
    assert found["pilot_eds_no_instances"] == found["pilot_services"] - 1.0
    assert found["pilot_virt_services"] == found["pilot_endpoint_not_ready"] == 0.0
    for name in ("pilot_xds_pushes", "pilot_xds_push_time_count", "pilot_xds_config_size_bytes_count"):
        assert found[f'{name}{{type="cds"}}'] >= 1.0
    assert found['pilot_k8s_reg_events{event="add",type="Service"}'] >= 1.0
    assert found['pilot_inbound_updates{type="Service"}'] >= 1.0
    assert found["istiod_uptime_seconds"] > 0.0


def test_where_no_ca_is_nothing_of_it_ends():
    # In a process of its own: tests of Citadel may have run in this one.
    code = "from isthmus.kit.metrics import exposition; print(exposition().decode(), end='')"
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("root_cert", "cert_chain"):
        assert math.isnan(samples(text)[f"citadel_server_{name}_expiry_seconds"])
