"""How long after an endpoint changes in the private cluster's API server a request is served by the new one.

Two clusters in the lab, 20 sidecars, mutual TLS across the link. A client beside a sidecar in `gke` calls
Service `flip` all the time; the Endpoints of `flip` in `onprem` are switched between two pods, 50 times.
Measured from just before the API server is asked until the first answer of the other pod: once with nothing
else going on, where Pilot sends at once, and once while another service changes all the time, where Pilot waits for
a moment of quiet (the debounce).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import yaml
from rich.console import Console

from isthmus.api.resource import Kind, Object
from isthmus.console.control_plane import access_to
from isthmus.console.demo import chapters_build
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.console.injection import settings_of_cluster
from isthmus.console.lab_client import LabClient
from isthmus.console.lab_process import lab_launch, samples_folder
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.lab.launch import start
from isthmus.lab.spec import TALK
from isthmus.sidecar.inject.manifest import inject_manifest

ENDPOINTS = Kind("", ("v1",), "Endpoints", "endpoints", Object)
PORT = {"name": "http", "port": 8000}
SERVER = """
import http.server, os
class H(http.server.BaseHTTPRequestHandler):
    protocol_version, wbufsize, disable_nagle_algorithm = 'HTTP/1.1', -1, True
    def do_GET(self):
        body = os.environ['HOSTNAME'].encode()
        self.send_response(200); self.send_header('content-length', str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(('', 8000), H).serve_forever()
"""
CLIENT = """
import http.client, time
last, c = None, http.client.HTTPConnection('flip', 8000, timeout=5)
while True:
    try:
        c.request('GET', '/'); name = c.getresponse().read().decode()
    except OSError:
        c.close(); time.sleep(0.05); continue
    if name != last and name.startswith('server'):
        print(time.monotonic(), name, flush=True); last = name
    time.sleep(0.002)
"""


def workload(name: str, script: str, replicas: int = 1) -> str:
    """A Deployment that runs a script."""
    pod = {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "containers": [{"name": "app", "image": "python:3", "command": ["python3", "-c", script]}],
            "terminationGracePeriodSeconds": 1,
        },
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": pod}
    return yaml.safe_dump(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    )


async def prepare(stage: Stage, sidecars: int) -> list[dict[str, str]]:
    """The mesh with its workloads; returns the two servers' pods."""
    for chapter in (chapters_build.clusters, chapters_build.one_root, chapters_build.control_plane):
        await chapter(stage)
    services = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [PORT]}}
        for name in ("flip", "other")
    ]
    servers = [workload("server-a", SERVER), workload("server-b", SERVER)]
    others = [workload("client", CLIENT), workload("idle", SERVER, sidecars - 3)]
    for cluster, manifests in ((PRIVATE, servers), (PUBLIC, others)):
        settings = await settings_of_cluster(access_to(stage.lab.kubeconfig(cluster), None))
        text = "---\n".join([*map(yaml.safe_dump, services), *manifests])
        await stage.kubectl(cluster).apply(inject_manifest(text, settings).text)
    for cluster, names in ((PRIVATE, ("server-a", "server-b")), (PUBLIC, ("client", "idle"))):
        for name in names:
            await stage.kubectl(cluster).run("rollout", "status", f"deployment/{name}", "--timeout=120s")
    pods = await stage.kubectl(PRIVATE).json("get", "pods")
    found = [
        {"name": pod["metadata"]["name"], "ip": pod["status"]["podIP"], "uid": pod["metadata"]["uid"]}
        for pod in pods["items"]  # type: ignore[index] # a list of kubectl's
    ]
    return sorted(found, key=lambda pod: pod["name"])


def endpoints(pod: dict[str, str], service: str = "flip") -> dict[str, object]:
    """Endpoints of `service`: one pod."""
    reference = {"kind": "Pod", "name": pod["name"], "namespace": "default", "uid": pod["uid"]}
    address = {"ip": pod["ip"], "targetRef": reference}
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": service, "namespace": "default"},
        "subsets": [{"addresses": [address], "ports": [PORT]}],
    }


async def disturb(client: Client, pods: list[dict[str, str]]) -> None:
    """Change another service's endpoints every 50 ms, until cancelled."""
    while True:
        for pod in pods:
            await client.apply(ENDPOINTS, endpoints(pod, "other"), "benchmark")
            await asyncio.sleep(0.05)


async def measure(stage: Stage, pods: list[dict[str, str]], flips: int, *, busy: bool) -> list[float]:
    """Milliseconds for each flip, in rising order."""
    asked: list[tuple[float, str]] = []
    async with Client(access_to(stage.lab.kubeconfig(PRIVATE), None)) as client:
        await client.apply(ENDPOINTS, endpoints(pods[0]), "benchmark")
        await asyncio.sleep(3)
        async with supervise(*([disturb(client, pods)] if busy else [])):
            for index in range(flips):
                pod = pods[(index + 1) % 2]
                asked.append((time.monotonic(), pod["name"]))
                await client.apply(ENDPOINTS, endpoints(pod), "benchmark")
                await asyncio.sleep(0.4)
    lines = await stage.kubectl(PUBLIC).run("logs", "deployment/client", "-c", "app")
    seen = [(float(line.split()[0]), line.split()[1]) for line in lines.splitlines() if line]
    found = []
    for at, name in asked:
        first = next((when for when, who in seen if who == name and when >= at), None)
        if first is None:
            raise SystemExit(f"no request was served by {name} after its endpoint came")
        found.append((first - at) * 1000)
    return sorted(found)


async def both(stage: Stage, flips: int, sidecars: int) -> None:
    """Measure alone and in a rush, and print."""
    await stage.lab.ready(60)
    pods = await prepare(stage, sidecars)
    print(f"endpoint changed in onprem -> first request served by it in gke, {sidecars} sidecars:")
    for busy, name in ((False, "alone, sent at once"), (True, "in a rush, debounce of 5 ms included")):
        found = await measure(stage, pods, flips, busy=busy)
        p99 = found[max(0, round(len(found) * 0.99) - 1)]
        print(
            f"  {name}: p50 {statistics.median(found):.1f} ms, p99 {p99:.1f}, "
            f"min {found[0]:.1f}, max {found[-1]:.1f} of {len(found)} changes"
        )


def main() -> None:
    """Bring up the lab, measure, and take it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=50)
    parser.add_argument("--sidecars", type=int, default=20)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lab = start(lab_launch(Path(folder), TALK, samples_folder()))
        try:
            stage = Stage(LabClient(Path(folder)), samples_folder(), Console(quiet=True))
            asyncio.run(both(stage, chosen.flips, chosen.sidecars))
        finally:
            lab.stop()


if __name__ == "__main__":
    main()
