"""Two clusters with the same addresses, and nothing but the internet between them: one mesh all the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from e2e.calls import Answer, Request, call
from e2e.conftest import complete
from e2e.datagrams.objects import answers, caller, echoed, server, service
from e2e.echo.objects import account, deployment, meta
from e2e.own_lab import own_lab
from e2e.workloads import ask, logged, printed, workloads
from isthmus.console.control_plane import access_to, ask_pilot
from isthmus.console.demo import chapters_build
from isthmus.console.demo.page import Stars
from isthmus.console.demo.stage import CLUSTERS, PRIVATE, PUBLIC, Stage
from isthmus.console.differing_proxies import read_part
from isthmus.console.installation import Installation, documents, dump
from isthmus.console.lab_process import samples_folder
from isthmus.console.registration import Registration, add_cluster
from isthmus.lab.spec import read_spec

NETWORKS = {PUBLIC: "cloud", PRIVATE: "premises"}
PUBLIC_ADDRESSES = {PUBLIC: "203.0.113.1", PRIVATE: "198.51.100.1"}
FAR = "far.example"
"""The trust domain of the private cluster; one root is for both."""
PODS = "10.124.0.0/16"
SYSTEM = ("-n", "istio-system")
BYTES = """
apiVersion: v1
kind: Service
metadata: {name: stars}
spec: {selector: {app: reviews, version: v3}, ports: [{name: tcp, port: 7000, targetPort: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: crowd}
spec: {clusterIP: None, selector: {app: reviews, version: v3}, ports: [{name: http, port: 9080}]}
"""


RING = ("ring-0", "ring-1")
SAYS_ITS_NAME = """
import http.server, os
class Says(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["SELF"].encode())
http.server.ThreadingHTTPServer(("0.0.0.0", 8090), Says).serve_forever()
"""


def ring() -> Iterator[dict[str, Any]]:
    """Pods with host names behind a headless Service, as a StatefulSet has them."""
    spec = {"clusterIP": "None", "selector": {"ring": "yes"}, "ports": [{"name": "http", "port": 8090}]}
    yield account("ring")
    yield {"apiVersion": "v1", "kind": "Service", "metadata": meta("ring"), "spec": spec}
    for name in RING:
        made = deployment("ring", ["python3", "-c", SAYS_ITS_NAME], name, ring="yes")
        pod = made["spec"]["template"]["spec"]
        pod.update(hostname=name, subdomain="ring")
        pod["containers"][0]["env"] = [{"name": "SELF", "value": name}]
        yield made


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The mesh over two networks, brought up once."""
    spec = read_spec(samples_folder() / "lab" / "two-networks.yaml")
    with own_lab(tmp_path_factory.mktemp("apart"), spec, build) as stage:
        yield stage


async def build(stage: Stage) -> None:
    await chapters_build.one_root(stage)
    await control_plane(stage)
    await chapters_build.bookinfo(stage)
    await chapters_build.on_premises(stage)
    for cluster in CLUSTERS:
        await stage.kubectl(cluster).apply(BYTES)


async def control_plane(stage: Stage) -> None:
    """As in the guide: a gateway between networks in each cluster, and what they let in, said once."""
    registry = stage.lab.folder / "registry"
    registry.mkdir(exist_ok=True)
    log = "/dev/stdout"
    primary = Installation(
        cluster=PUBLIC, network=NETWORKS[PUBLIC], clusters_dir=str(registry), access_log=log
    )
    remote = Installation(
        cluster=PRIVATE,
        network=NETWORKS[PRIVATE],
        access_log=log,
        trust_domain=FAR,
        pilot_trust_domain="cluster.local",
    )
    public, private = stage.kubectl(PUBLIC), stage.kubectl(PRIVATE)
    for role in ("primary", "networks", "eastwest", "gateway"):
        await public.apply(dump(documents(role, primary)))
    for role in ("remote", "eastwest"):
        await private.apply(dump(documents(role, remote)))
    await stage.lab.open(PUBLIC, "istio-system", "istio-ingressgateway", 80)
    for cluster in CLUSTERS:
        registration = Registration(
            name=cluster,
            pilot_endpoint="istio-pilot.istio-system:15012",
            kubeconfig=stage.lab.kubeconfig(cluster),
            config_store=cluster == PUBLIC,
        )
        await add_cluster(registry, registration)


async def endpoints(stage: Stage, upstream: str) -> set[str]:
    """The addresses of an upstream that productpage's Envoy holds."""
    access = access_to(stage.lab.kubeconfig(PUBLIC), None)
    rows = await read_part("endpoints", access, "default", "productpage")
    return {row.endpoint for row in rows if row.upstream == upstream}


async def answered(stage: Stage, request: Request) -> list[Answer]:
    """Five answers to `request`, once all its calls are answered."""
    found: list[Answer] = []

    async def all_well() -> bool:
        found[:] = await call(stage, request, times=5)
        return [each.status for each in found] == [200] * 5

    assert await stage.until(all_well, 60), found
    return found


async def test_reviews_of_the_other_network_are_reached_through_its_gateway(apart: Stage) -> None:
    assert await apart.visitor.until(Stars.RED, limit_s=60) is not None
    found = await endpoints(apart, "outbound|9080||reviews.default.svc.cluster.local")
    assert f"{PUBLIC_ADDRESSES[PRIVATE]}:15443" in found
    assert len(found) == 3, "two pods of its own, and a gateway for all of the others"


async def test_the_line_carries_mutual_tls_between_gateways_and_no_packet_from_pod_to_pod(
    apart: Stage,
) -> None:
    assert await apart.visitor.until(Stars.RED, limit_s=60) is not None
    await apart.lab.ask("POST", "/link/listen")
    for _ in range(30):
        assert complete(await apart.visitor.visit())
    answers = await answered(apart, Request(host="stars", port=7000))
    assert {each.version for each in answers} == {"v3"}
    await asyncio.sleep(0.5)
    needles = ["GET /reviews", "GET /ratings", "podname", "bookinfo-productpage"]
    between = [[PODS, "0.0.0.0/0"], ["0.0.0.0/0", PODS]]
    heard = await apart.lab.ask("POST", "/link/heard", {"needles": needles, "between": between})
    assert heard["complete"]
    assert heard["needles"] == []
    assert heard["packets"] == [0, 0], heard["flows"]
    assert f"tcp {PUBLIC_ADDRESSES[PUBLIC]} {PUBLIC_ADDRESSES[PRIVATE]}:15443" in heard["flows"]
    assert f"tcp {PUBLIC_ADDRESSES[PRIVATE]} {PUBLIC_ADDRESSES[PUBLIC]}:15443" in heard["flows"]
    # The server name of mutual TLS arrives as the caller's proxy said it.
    assert await logged(apart, PRIVATE, "reviews-v3", " outbound_.9080_")


async def test_each_side_proves_the_trust_domain_of_its_own_cluster(apart: Stage) -> None:
    seen: dict[str, str] = {}

    async def both_answered() -> bool:
        answer = await apart.lab.get_json("/api/v1/products/0/reviews")
        seen[str(answer.get("clustername"))] = str(answer.get("peer"))
        return {"k8s-demo", "gke-demo-pool-1"} <= seen.keys()

    assert await apart.until(both_answered, 60), seen
    for node, domain in (("k8s-demo", FAR), ("gke-demo-pool-1", "cluster.local")):
        assert f"By=spiffe://{domain}/ns/default/sa/bookinfo-reviews" in seen[node]
        assert "URI=spiffe://cluster.local/ns/default/sa/bookinfo-productpage" in seen[node]


async def test_bytes_of_any_kind_go_through_the_gateway_too(apart: Stage) -> None:
    answers = await answered(apart, Request(host="stars", port=7000))
    assert {each.version for each in answers} == {"v3"}
    assert await endpoints(apart, "outbound|7000||stars.default.svc.cluster.local") == {
        f"{PUBLIC_ADDRESSES[PRIVATE]}:15443"
    }


async def test_pods_without_names_behind_a_headless_service_are_called_as_one(apart: Stage) -> None:
    answers = await answered(apart, Request(host="crowd", port=9080))
    assert {each.version for each in answers} == {"v3"}
    assert await endpoints(apart, "outbound|9080||_premises.crowd.default.svc.cluster.local") == {
        f"{PUBLIC_ADDRESSES[PRIVATE]}:15443"
    }


@pytest.fixture(scope="module")
def parrot(apart: Stage) -> Iterator[Stage]:
    """In the private network only a server of datagrams and a ring of pods; a caller in the public one."""
    far = [*server("v1", (8007, 8053)), service("parrot", (8007, 8053)), *ring()]
    with workloads(apart, {PUBLIC: caller(), PRIVATE: far}) as stage:
        yield stage


async def test_datagrams_go_through_the_gateway_in_mutual_tls(parrot: Stage) -> None:
    assert await parrot.until(lambda: answers(parrot, "parrot:7"), 60)
    secret = "nobody-may-read-this"
    await parrot.lab.ask("POST", "/link/listen")
    found = await echoed(parrot, "parrot:7", sizes=[20, 1400, 9000, 60000], text=secret, times=5)
    assert all(each["whole"] for each in found), found
    assert {tuple(each["peer"])[1] for each in found} == {7}, "answers come from where the caller sent to"
    name = await ask(parrot, "ask_udp", "name", "parrot:53", json.dumps({"host": "anything.example"}))
    assert name == "192.0.2.99"
    between = [[PODS, "0.0.0.0/0"], ["0.0.0.0/0", PODS]]
    heard = await parrot.lab.ask("POST", "/link/heard", {"needles": [secret], "between": between})
    assert heard["complete"]
    assert heard["needles"] == []
    assert heard["packets"] == [0, 0], heard["flows"]
    assert f"tcp {PUBLIC_ADDRESSES[PUBLIC]} {PUBLIC_ADDRESSES[PRIVATE]}:15443" in heard["flows"]
    assert not [each for each in heard["flows"] if each.startswith("udp")], heard["flows"]
    assert await endpoints(parrot, "outbound-udp|7||parrot.default.svc.cluster.local") == {
        f"{PUBLIC_ADDRESSES[PRIVATE]}:15443"
    }


async def test_pods_of_a_headless_service_of_the_other_network_are_called_one_by_one(parrot: Stage) -> None:
    async def said(program: str) -> str:
        try:
            return (await printed(parrot, PUBLIC, "app=caller", "python3", "-c", program)).strip()
        except AssertionError:  # it is not there yet
            return ""

    async def each_is_itself() -> bool:
        asked = (
            "import urllib.request as r; print(r.urlopen('http://{}.ring:8090/', timeout=5).read().decode())"
        )
        return [await said(asked.format(pod)) for pod in RING] == list(RING)

    assert await parrot.until(each_is_itself, 60)
    addresses = "import socket; print(*sorted(socket.gethostbyname_ex('{}')[2]))"
    each = [await said(addresses.format(f"{pod}.ring")) for pod in RING]
    assert await said(addresses.format("ring")) == " ".join(sorted(each)), "the name means all of them"
    found = await endpoints(parrot, "outbound|8090||ring-1.ring.default.svc.cluster.local")
    assert found == {f"{PUBLIC_ADDRESSES[PRIVATE]}:15443"}


async def test_one_bad_pod_behind_the_gateway_does_not_put_the_network_aside(apart: Stage) -> None:
    private = apart.kubectl(PRIVATE)
    await private.run("scale", "deployment", "reviews-v3", "--replicas=3")
    await private.run("rollout", "status", "deployment/reviews-v3", "--timeout=60s")
    try:
        pods = await private.json("get", "pods", "-l", "app=reviews")
        bad = pods["items"][0]["metadata"]["name"]
        kill = "sleep 0.2; for i in 1 2 3 4 5 6 7 8 9 10; do kill -9 -1; sleep 1; done"
        await private.run(
            "exec", bad, "-c", "istio-proxy", "--", "sh", "-c", f"({kill}) >/dev/null 2>&1 & true"
        )
        answers = await call(apart, Request(host="stars", port=7000), times=60)
        assert [each.status for each in answers] == [200] * 60
        text = await printed(
            apart,
            PUBLIC,
            "app=productpage",
            "curl",
            "-s",
            "localhost:15000/clusters",
            container="istio-proxy",
        )
        door = f"{PUBLIC_ADDRESSES[PRIVATE]}:15443::health_flags::"
        flags = {line.rpartition("::")[2] for line in text.splitlines() if door in line}
        assert flags == {"healthy"}
    finally:
        await private.run("scale", "deployment", "reviews-v3", "--replicas=1")


async def test_pages_stay_whole_without_the_gateway_and_get_red_stars_with_the_next(apart: Stage) -> None:
    private = apart.kubectl(PRIVATE)
    await private.run("scale", "deployment", "istio-eastwestgateway", "--replicas=0", *SYSTEM)
    await private.run("wait", "--for=delete", "pod", "-l", "istio=eastwestgateway", *SYSTEM, "--timeout=60s")
    try:
        assert await apart.steady(complete, times=20, limit_s=60)
    finally:
        await private.run("scale", "deployment", "istio-eastwestgateway", "--replicas=1", *SYSTEM)
    assert await apart.visitor.until(Stars.RED, limit_s=90) is not None


async def test_what_is_analysed_has_no_finding_about_networks(apart: Stage) -> None:
    found = await ask_pilot(apart.lab.kubeconfig(PUBLIC), None, "istio-system", "/debug/findings")
    assert [each for each in found if "etwork" in str(each)] == [], yaml.safe_dump(found)
