"""A cluster of the lab on upstream's API server, controllers and store: what kubectl and pods find there."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from e2e.own_lab import own_lab
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError
from isthmus.kube.kubeconfig import from_file
from isthmus.kube.pods import fetch
from isthmus.lab.spec import TALK, LabSpec, with_api_servers

Json = dict[str, Any]
SPEC = with_api_servers(LabSpec(clusters=TALK.clusters[:1]), "kube")
SERVE = ["python3", "-m", "http.server", "8080"]
TOKEN = {"serviceAccountToken": {"path": "token", "audience": "istio-ca", "expirationSeconds": 3600}}


def _objects() -> str:
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    web: Json = {"name": "main", "image": "python", "command": SERVE, "readinessProbe": probe}
    mounts = [{"name": "proof", "mountPath": "/proof"}]
    asks: Json = {"name": "main", "image": "python", "command": ["sleep", "infinity"], "volumeMounts": mounts}
    volumes = [{"name": "proof", "projected": {"sources": [TOKEN]}}]
    spec = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    return yaml.safe_dump_all(
        [
            _deployment("web", {"containers": [web]}),
            _deployment("asks", {"containers": [asks], "volumes": volumes}),
            _named("v1", "Service", "web", spec | {"type": "LoadBalancer"}),
        ]
    )


def _deployment(name: str, pod: Json) -> Json:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod | {"terminationGracePeriodSeconds": 1}}
    return _named("apps/v1", "Deployment", name, {"selector": {"matchLabels": labels}, "template": template})


def _named(version: str, kind: str, name: str, spec: Json) -> Json:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The cluster, with a deployment that serves and one that asks."""
    with own_lab(tmp_path_factory.mktemp("stock"), SPEC, _build) as built:
        yield built


async def _build(stage: Stage) -> None:
    kubectl = stage.kubectl(PUBLIC)
    await kubectl.apply(_objects())
    for name in ("web", "asks"):
        await kubectl.run("rollout", "status", f"deployment/{name}", "--timeout=60s")


async def asked(stage: Stage) -> str:
    """What the one that asks gets from the Service."""
    script = "import urllib.request as r; print(r.urlopen('http://web', timeout=5).status)"
    kubectl = stage.kubectl(PUBLIC)
    return (await kubectl.run("exec", "deployment/asks", "--", "python3", "-c", script)).strip()


async def test_commands_run_in_pods_with_their_input_and_their_end(stage: Stage) -> None:
    kubectl = stage.kubectl(PUBLIC)
    assert (
        await kubectl.run("exec", "-i", "deployment/asks", "--", "cat", stdin="typed\n" * 2000)
        == "typed\n" * 2000
    )
    with pytest.raises(KubeError, match="exit code 3"):
        await kubectl.run("exec", "deployment/asks", "--", "sh", "-c", "exit 3")


async def test_logs_and_ports_of_pods_are_reached(stage: Stage) -> None:
    kubectl = stage.kubectl(PUBLIC)
    assert "GET / HTTP" in await kubectl.run("logs", "deployment/web", "--tail=5")
    pod = await kubectl.run("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    path = f"/api/v1/namespaces/default/pods/{pod}:8080/proxy/"
    assert "Directory listing" in await kubectl.run("get", "--raw", path)
    async with Client(from_file(stage.lab.kubeconfig(PUBLIC))) as client:
        assert b"Directory listing" in await fetch(client, "default", pod, 8080, "/")


async def test_a_service_is_called_by_its_name_through_slices_of_upstreams_controller(stage: Stage) -> None:
    assert await asked(stage) == "200"
    slices: Any = await stage.kubectl(PUBLIC).json(
        "get", "endpointslices", "-l", "kubernetes.io/service-name=web"
    )
    assert slices["items"][0]["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"].startswith(
        "endpointslice-controller"
    )


async def test_a_balanced_service_has_the_nodes_address(stage: Stage) -> None:
    async def given() -> bool:
        path = "jsonpath={.status.loadBalancer.ingress[0].ip}"
        return (
            await stage.kubectl(PUBLIC).run("get", "service", "web", "-o", path)
            == TALK.clusters[0].node_address
        )

    assert await stage.until(given, 30)


async def test_a_token_in_a_pod_is_for_whom_it_was_asked(stage: Stage) -> None:
    kubectl = stage.kubectl(PUBLIC)
    token = await kubectl.run("exec", "deployment/asks", "--", "cat", "/proof/token")
    for audience, believed in (("istio-ca", True), ("others", False)):
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        asks = yaml.safe_dump({**review, "spec": {"token": token, "audiences": [audience]}})
        answer = msgspec.json.decode(await kubectl.run("create", "-f", "-", "-o", "json", stdin=asks))
        assert bool(answer["status"].get("authenticated")) is believed, answer


async def test_the_cluster_signs_what_is_approved(stage: Stage) -> None:
    kubectl = stage.kubectl(PUBLIC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jane")])
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    spec = {
        "request": base64.b64encode(csr.public_bytes(serialization.Encoding.PEM)).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
    }
    await kubectl.apply(
        yaml.safe_dump(_named("certificates.k8s.io/v1", "CertificateSigningRequest", "jane", spec))
    )
    await kubectl.run("certificate", "approve", "jane")

    async def signed() -> bool:
        return bool(await kubectl.run("get", "csr", "jane", "-o", "jsonpath={.status.certificate}"))

    assert await stage.until(signed, 30)


async def test_the_node_says_that_it_lives(stage: Stage) -> None:
    path = (
        "get",
        "lease",
        "-n",
        "kube-node-lease",
        TALK.clusters[0].node,
        "-o",
        "jsonpath={.spec.renewTime}",
    )
    first = await stage.kubectl(PUBLIC).run(*path)

    async def renewed() -> bool:
        return await stage.kubectl(PUBLIC).run(*path) > first

    assert await stage.until(renewed, 30)


async def test_pods_and_services_go_on_without_the_api_server_and_follow_it_when_it_is_back(
    stage: Stage,
) -> None:
    kubectl = stage.kubectl(PUBLIC)
    await stage.lab.ask("POST", f"/apiserver/{PUBLIC}/stop")
    with pytest.raises(KubeError, match=r"refused|EOF|reset|connect"):
        await kubectl.run("get", "pods", "--request-timeout=5s")
    assert await _status(await stage.lab.open(PUBLIC, "default", "web", 80)) == 200
    await stage.lab.ask("POST", f"/apiserver/{PUBLIC}/start")
    await stage.lab.ask("POST", f"/apiserver/{PUBLIC}/forget")
    await kubectl.run("scale", "deployment/web", "--replicas=2")
    await kubectl.run("rollout", "status", "deployment/web", "--timeout=60s")
    assert await asked(stage) == "200"


@pytest.mark.parametrize("program", ["etcd", "kube-apiserver", "kube-controller-manager"])
async def test_a_program_that_is_killed_is_started_again(stage: Stage, program: str) -> None:
    kubectl = stage.kubectl(PUBLIC)
    (pid,) = _processes(stage.lab.folder, program)
    os.kill(pid, signal.SIGKILL)

    async def another() -> bool:
        return bool(set(_processes(stage.lab.folder, program)) - {pid})

    assert await stage.until(another, 30)

    async def scaled() -> bool:
        try:
            await kubectl.run("scale", "deployment/asks", "--replicas=2", "--timeout=5s")
            await kubectl.run("rollout", "status", "deployment/asks", "--timeout=10s")
            await kubectl.run("scale", "deployment/asks", "--replicas=1", "--timeout=5s")
        except KubeError:
            return False
        return True

    assert await stage.until(scaled, 60)


def _processes(folder: Path, program: str) -> list[int]:
    """Those of the program that work for the lab: they are there, as everything of a lab is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                works_in = str((entry / "cwd").readlink())
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if works_in.startswith(str(folder)) and words[0].endswith(b"/" + program.encode()):
                    found.append(int(entry.name))
    return found


async def _status(url: str) -> int:
    async with asyncio.timeout(10), aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status
