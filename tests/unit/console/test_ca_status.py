"""`isthmus ca status` asks those who hold certificates, through the API servers of all clusters."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from click.testing import CliRunner, Result

from fakes.citadel import loopback_citadel
from fakes.holding_cluster import HoldingCluster, holding_cluster
from isthmus.console.cli import main
from isthmus.kit.tasks import supervise
from isthmus.sidecar.certs import Certificates


async def status(directory: Path, *clusters: HoldingCluster, output: str = "json") -> Result:
    files = []
    for count, each in enumerate(clusters):
        files.append(directory / f"kubeconfig-{count}")
        files[-1].write_text(each.kubeconfig(f"context-{count}"))
    contexts = [word for count in range(len(clusters)) for word in ("--context", f"context-{count}")]
    environment = {"KUBECONFIG": ":".join(map(str, files))}
    words = ["ca", "status", *contexts, "-o", output]
    return await asyncio.to_thread(CliRunner().invoke, main, words, env=environment)


async def test_all_clusters_say_what_their_citadels_and_proxies_hold(tmp_path: Path):
    async with (
        loopback_citadel(tmp_path / "ca") as near,
        holding_cluster() as east,
        holding_cluster() as west,
    ):
        certificates = Certificates(near.workload("reviews", tmp_path / "pod", 3600))
        async with supervise(certificates.run()):
            held = await certificates.first()
            root = near.authority.value.roots_pem.decode()
            east.published = {"default": root, "istio-system": root}
            east.citadel(near.citadel.holding())
            east.proxy("default/reviews-1", certificates.holding(), port=16020)
            held_by_vm = {"roots": [], "issuer": "", "serial": "7f", "end": 1.0}
            vm = {"cluster": "gke", "namespace": "default", "name": "vm-1", "connected": True}
            east.pilot(vm | {"held": held_by_vm}, vm | {"name": "gone-1", "connected": False})
            west.citadel(None)
            west.proxy("default/reviews-2", None)
            found = await status(tmp_path, east, west)
            text = await status(tmp_path, east, west, output="table")
            alone = await status(tmp_path, east, output="table")
            east.pilot()
            quiet = await status(tmp_path, east, output="table")
    assert found.exit_code == 79
    tree = json.loads(found.stdout)
    one, other = tree["clusters"]
    assert (one["name"], other["name"]) == ("gke", "context-1")
    (proxy,) = one["proxies"]
    assert (proxy["pod"], proxy["said"]["chain"][0]["serial"]) == ("reviews-1", held.serial)
    assert one["citadels"][0]["said"]["issued"][0]["serial"] == held.serial
    assert {each["namespace"]: len(each["roots"]) for each in one["published"]} == {
        "default": 1,
        "istio-system": 1,
    }
    assert [(each["severity"], each["who"]) for each in tree["warnings"]] == [
        ("error", "Citadel istio-citadel-1"),
        ("error", "default/vm-1 of cluster gke"),
        ("warning", "namespace default"),
        ("warning", "namespace istio-system"),
        ("info", "default/reviews-2"),
        ("info", "Pilot"),
    ]
    assert "PRIVATE" not in found.stdout
    assert text.stdout.startswith("SEVERITY")
    assert alone.exit_code == 79
    assert "its certificate ended" in alone.stdout
    assert quiet.exit_code == 0
    assert quiet.stdout.startswith("all is well")
    assert "cluster.local/ns/default/sa/reviews" in quiet.stdout


async def test_a_cluster_that_is_away_is_named(tmp_path: Path):
    async with holding_cluster() as east:
        gone = HoldingCluster()
        gone.server = "http://127.0.0.1:1"
        found = await status(tmp_path, east, gone)
    assert found.exit_code == 1
    assert 'context "context-1": no answer from http://127.0.0.1:1' in found.output
