"""The first half of the story: two clusters become one mesh, and Bookinfo is stretched over it."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Any

from isthmus.ca.founding import found
from isthmus.console.control_plane import access_to, ask_pilot
from isthmus.console.demo.page import Stars
from isthmus.console.demo.stage import CLUSTERS, PRIVATE, PUBLIC, Stage
from isthmus.console.differing_proxies import read_part
from isthmus.console.injection import inject_file
from isthmus.console.installation import Installation, documents, dump
from isthmus.console.proxies import render_status
from isthmus.console.registration import Registration, add_cluster
from isthmus.console.render import render_rows
from isthmus.model.identity import SpiffeId

ROOT_FILES = ("ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem")
PROXIES = 7
"""Six of Bookinfo's pods and the ingress gateway."""
_URI = re.compile(r"(By|URI)=(spiffe://[^;,]+)")


async def clusters(stage: Stage) -> None:
    """Two clusters, side by side, joined by a routed link."""
    stage.chapter("1. Two clusters, joined by a link that stands for the VPN")
    columns = "topology.kubernetes.io/region,topology.kubernetes.io/zone"
    for cluster in CLUSTERS:
        nodes = await stage.kubectl(cluster).run("get", "nodes", "-L", columns)
        stage.say(f"{cluster}: kubectl get nodes")
        stage.show(nodes)
        ready = [line.split()[0] for line in nodes.splitlines() if " Ready" in line]
        stage.claim(
            f"cluster {cluster} answers the real kubectl",
            "kubectl get nodes",
            held=len(ready) == 1,
            seen=f"node {', '.join(ready) or 'none'}",
        )


async def one_root(stage: Stage) -> None:
    """One root, in both clusters as Secret cacerts."""
    stage.chapter("2. One root of trust in both")
    folder = stage.lab.folder / "ca"
    if not folder.exists():
        await asyncio.to_thread(found, folder)
    for cluster in CLUSTERS:
        kubectl = stage.kubectl(cluster)
        await kubectl.run("create", "namespace", "istio-system")
        files = [f"--from-file={folder / name}" for name in ROOT_FILES]
        await kubectl.run("create", "secret", "generic", "cacerts", "-n", "istio-system", *files)
    stage.say(f"isthmus ca init made {', '.join(ROOT_FILES)}; they are Secret cacerts in both clusters")


async def control_plane(stage: Stage) -> None:
    """Pilot in the public cluster, Citadel in each, the registry directory between them."""
    stage.chapter("3. Pilot in gke, a Citadel in each, and the cluster registry")
    registry = stage.lab.folder / "registry"
    registry.mkdir(exist_ok=True)
    log = "/dev/stdout"
    primary = Installation(cluster=PUBLIC, clusters_dir=str(registry), access_log=log, layout="apart")
    remote = Installation(cluster=PRIVATE, access_log=log)
    await asyncio.gather(
        stage.kubectl(PUBLIC).apply(dump(documents("primary", primary))),
        stage.kubectl(PRIVATE).apply(dump(documents("remote", remote))),
    )
    await stage.kubectl(PUBLIC).apply(dump(documents("gateway", primary)))
    await stage.lab.open(PUBLIC, "istio-system", "istio-ingressgateway", 80)
    for cluster in CLUSTERS:
        await _register(stage, cluster)
    stage.say(f"isthmus clusters add: {', '.join(sorted(path.name for path in registry.iterdir()))}")


async def _register(stage: Stage, cluster: str) -> None:
    registration = Registration(
        name=cluster,
        pilot_endpoint="istio-pilot.istio-system:15012",
        kubeconfig=stage.lab.kubeconfig(cluster),
        config_store=cluster == PUBLIC,
    )
    await add_cluster(stage.lab.folder / "registry", registration)


async def bookinfo(stage: Stage) -> None:
    """Bookinfo in the public cluster, reached through the ingress gateway."""
    stage.chapter("4. Bookinfo in gke: everything but reviews-v3")
    kubectl = stage.kubectl(PUBLIC)
    injected = await inject_file(
        stage.samples / "bookinfo" / "kube" / "bookinfo.yaml", access_to(stage.lab.kubeconfig(PUBLIC), None)
    )
    await kubectl.apply(injected)
    await kubectl.run("apply", "-f", str(stage.samples / "bookinfo" / "networking" / "bookinfo-gateway.yaml"))
    stage.say("isthmus kube-inject -f bookinfo.yaml | kubectl apply -f -")


async def on_premises(stage: Stage) -> None:
    """The red stars come from the private cluster."""
    stage.chapter("5. On premises: the Service of ratings, and reviews-v3")
    kubectl = stage.kubectl(PRIVATE)
    injected = await inject_file(
        stage.samples / "bookinfo" / "kube" / "reviews-v3.yaml",
        access_to(stage.lab.kubeconfig(PRIVATE), None),
    )
    await kubectl.run("apply", "-f", str(stage.samples / "bookinfo" / "kube" / "ratings-svc.yaml"))
    await kubectl.apply(injected)
    stage.say(
        "kubectl apply -f ratings-svc.yaml; isthmus kube-inject -f reviews-v3.yaml | kubectl apply -f -"
    )
    with stage.console.status("sidecars get their certificates and configuration…"):
        came = await stage.visitor.until(Stars.RED, limit_s=90)
    page = await _red_page(stage)
    stage.claim(
        "the product page shows red stars, served from on premises",
        "GET /productpage through the ingress gateway",
        held=came is not None and page == ("reviews-v3", "k8s-demo"),
        seen=f"{stage.passed_s():.1f} s after the command, by {page[0]} on node {page[1]}"
        if came
        else "none",
    )


async def _red_page(stage: Stage) -> tuple[str, str]:
    for _ in range(50):
        page = await stage.visitor.visit()
        if page.stars is Stars.RED:
            return page.pod.rpartition("-")[0].rpartition("-")[0], page.node
    return "", ""


async def proof(stage: Stage) -> None:
    """What the talk showed as proof: kubectl on both sides, the proxies' endpoints, mutual TLS."""
    stage.chapter("6. Proof, as in the talk")
    for cluster in CLUSTERS:
        stage.say(f"{cluster}: kubectl get pods,services,endpoints")
        stage.show(await stage.kubectl(cluster).run("get", "pods,services,endpoints", "-o", "wide"))
    await _mutual_tls(stage)
    await _endpoints(stage)
    await synced(stage, "every proxy is synced, with its cluster")


async def _mutual_tls(stage: Stage) -> None:
    client = SpiffeId("cluster.local", "default", "bookinfo-productpage")
    server = SpiffeId("cluster.local", "default", "bookinfo-reviews")
    wanted = {"URI": str(client), "By": str(server)}
    seen: dict[str, str] = {}
    for _ in range(60):
        answer = await stage.lab.get_json("/api/v1/products/0/reviews")
        if answer.get("clustername") == "k8s-demo":
            seen = dict(_URI.findall(str(answer.get("peer"))))
            break
    stage.claim(
        "productpage in gke and reviews-v3 on premises speak mutual TLS, both identities proven",
        "X-Forwarded-Client-Cert at reviews-v3",
        held=seen == wanted,
        seen=f"{seen.get('URI', 'nobody')} → {seen.get('By', 'nobody')}",
    )
    # Envoy writes its access log out once a second.
    name = "outbound_.9080_._.reviews.default.svc.cluster.local"
    logged = await stage.until(partial(_logged, stage, '"GET /reviews/0 HTTP/1.1" 200', name), limit_s=5.0)
    stage.claim(
        "the private sidecar saw it too",
        "kubectl logs deployment/reviews-v3 -c istio-proxy",
        held=logged,
        seen=f"{'TLS to the name of reviews' if logged else 'no such line'} in its access log",
    )


async def _logged(stage: Stage, *words: str) -> bool:
    """Whether a line of the private sidecar's access log has all `words`."""
    log = await stage.kubectl(PRIVATE).run("logs", "deployment/reviews-v3", "-c", "istio-proxy", "--tail=200")
    return any(all(word in line for word in words) for line in log.splitlines())


async def _endpoints(stage: Stage) -> None:
    access = access_to(stage.lab.kubeconfig(PUBLIC), None)
    rows = await read_part("endpoints", access, "default", "productpage")
    rows = [row for row in rows if "outbound|9080||reviews.default" in row.upstream]
    stage.say("isthmus proxy config endpoints productpage --service reviews")
    stage.show(render_rows(rows))
    places = {(row.cluster, row.locality) for row in rows}
    stage.claim(
        "productpage's Envoy holds reviews' endpoints of both clusters, with region and zone where known",
        "isthmus proxy config endpoints productpage",
        held=len(rows) == 3 and places == {(PUBLIC, "us-west1/us-west1-a"), (PRIVATE, "")},
        seen=", ".join(f"{row.endpoint} {row.cluster} {row.locality or '-'}" for row in rows),
    )


async def synced(stage: Stage, what: str, limit_s: float = 20.0) -> None:
    """Claim that all proxies of both clusters are in sync."""
    held = await stage.until(lambda: all_synced(stage), limit_s)
    proxies = await _proxies(stage)
    stage.say("isthmus proxy status")
    stage.show(render_status(proxies))
    by_cluster = ", ".join(f"{sum(p['cluster'] == name for p in proxies)} in {name}" for name in CLUSTERS)
    stage.claim(what, "isthmus proxy status", held=held, seen=by_cluster)


async def all_synced(stage: Stage) -> bool:
    """Whether all proxies of Bookinfo and the gateway are connected and hold what Pilot sent."""
    return not await out_of_sync(stage)


async def out_of_sync(stage: Stage) -> list[str]:
    """What is missing until all proxies are in sync, a line each."""
    proxies = await _proxies(stage)
    missing = [f"{len(proxies)} of {PROXIES} proxies are connected"] if len(proxies) < PROXIES else []
    return missing + [
        f"{proxy['name']}: {name} is {held['state']} {held.get('error', '')}".rstrip()
        for proxy in proxies
        for name, held in proxy["types"].items()
        if held["state"] != "SYNCED"
    ]


async def _proxies(stage: Stage) -> list[dict[str, Any]]:
    return list(await ask_pilot(stage.lab.kubeconfig(PUBLIC), None, "istio-system", "/debug/proxies"))
