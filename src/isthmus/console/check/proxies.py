"""Checks of the Envoys of the mesh and of the pods that they are in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isthmus.console.check.cluster import (
    INJECTED,
    SIDECAR,
    Cluster,
    Json,
    container_names,
    few,
    labels,
    named,
    phase,
    placed,
)
from isthmus.console.check.verdict import Check, Said, When, broken, doubtful, fine

_INJECT = "sidecar.istio.io/inject"
_INIT = "istio-init"
_RESTARTS = 5


def _proxies(clusters: Sequence[Cluster], of: Cluster) -> Iterator[Json]:
    """Proxies of a cluster that are connected, to whichever Pilot."""
    for each in (proxy for cluster in clusters for pilot in cluster.pilots for proxy in pilot.proxies):
        if each["cluster"] == of.name:
            yield each


def _status(cluster: Cluster) -> str:
    return f"isthmus proxy status --context {cluster.context}" if cluster.context else "isthmus proxy status"


def proxies_connected(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """Every sidecar and gateway is connected to a Pilot.

    One that is not goes on with what it was told last, until its certificates or its endpoints are too old.
    """
    if not any(pilot.version or pilot.clusters for each in clusters for pilot in each.pilots):
        return
    connected = {str(each["name"]) for each in _proxies(clusters, cluster)}
    pods = [f"{named(pod)}.{pod['metadata']['namespace']}" for pod in cluster.meshed()]
    lost = [name for name in pods if name not in connected]
    if lost:
        pod, _, namespace = lost[0].rpartition(".")
        yield broken(few(lost), cluster.kubectl(f"-n {namespace} logs {pod} -c {SIDECAR}"))
    else:
        yield fine(f"all {len(pods)}")


def proxies_content(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """No proxy rejects what it is sent.

    It keeps what it had of these, while all others go on.
    """
    wrong = [
        f"{each['name']} {name}: {held['error']}"
        for each in _proxies(clusters, cluster)
        for name, held in each["types"].items()
        if held["state"] == "REJECTED"
    ]
    if wrong:
        yield broken(few(wrong, 2), _status(cluster))
    elif any(True for _ in _proxies(clusters, cluster)):
        yield fine("none does")


def proxies_synced(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """Every proxy has what Pilot knows.

    One that stays behind sends calls where nobody is any more.
    """
    known = list(_proxies(clusters, cluster))
    behind = [
        f"{each['name']} ({', '.join(stale)})"
        for each in known
        if (stale := [name for name, held in each["types"].items() if held["state"] == "STALE"])
    ]
    if behind:
        yield doubtful(few(behind), _status(cluster))
    elif known:
        yield fine(f"all {len(known)}")


def envoy_versions(cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    """All proxies are Envoys of one release.

    What an older one does not know it rejects; releases are tried with each other for the time of an upgrade.
    """
    found: dict[str, str] = {}
    for each in _proxies(clusters, cluster):
        if each["version"]:
            found.setdefault(str(each["version"]), str(each["name"]))
    if len(found) > 1:
        oldest = min(found, key=_numbers)
        pod, _, namespace = found[oldest].rpartition(".")
        seen = few([f"{name} is {version}" for version, name in sorted(found.items())])
        yield doubtful(
            seen, cluster.kubectl(f"-n {namespace} delete pod {pod}   (or rollout restart what it is of)")
        )
    elif found:
        yield fine(f"Envoy {next(iter(found))}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def sidecar_images(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Sidecars are of the image that injection gives now.

    Pods keep the sidecar that they began with until they are made anew.
    """
    found: dict[str, list[str]] = {}
    for pod in cluster.meshed():
        spec = pod["spec"]
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
            if container["name"] == SIDECAR:
                found.setdefault(str(container.get("image")), []).append(placed(pod))
    if len(found) > 1:
        seen = few([f"{len(pods)} of {image}" for image, pods in found.items()])
        yield doubtful(seen, cluster.kubectl("-n NAMESPACE rollout restart deployment"))
    elif found:
        yield fine(next(iter(found)))


def injected(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Pods of namespaces that say so have sidecars.

    A pod without one calls in plain text, is bound by no rule, and is refused where mutual TLS is a must.
    """
    spaces = set(cluster.injected_namespaces())
    pods = [
        pod
        for pod in cluster.all("pods")
        if pod["metadata"]["namespace"] in spaces and phase(pod) == "Running" and _may_have(pod)
    ]
    without = [placed(pod) for pod in pods if SIDECAR not in container_names(pod)]
    if without:
        namespace = without[0].partition("/")[0]
        mend = cluster.kubectl(
            f"-n {namespace} rollout restart deployment   ({INJECTED}=enabled, after isthmus install)"
        )
        yield doubtful(few(without), mend)
    elif pods:
        yield fine(f"{len(pods)} pods")


def _may_have(pod: Json) -> bool:
    annotations = pod["metadata"].get("annotations") or {}
    said = labels(pod).get(_INJECT) or annotations.get(_INJECT)
    return said != "false" and not pod["spec"].get("hostNetwork")


def proxies_ready(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Sidecars stay up and are ready.

    A pod whose sidecar is not ready is called by nobody.
    """
    wrong = []
    count = 0
    for pod in cluster.meshed():
        status = pod.get("status", {})
        for each in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
            if each["name"] == SIDECAR:
                count += 1
                if not each.get("ready"):
                    wrong.append(f"{placed(pod)} is not ready")
                elif each.get("restartCount", 0) >= _RESTARTS:
                    wrong.append(f"{placed(pod)} began {each['restartCount']} times anew")
    if wrong:
        namespace, name = wrong[0].partition(" ")[0].split("/")
        yield doubtful(few(wrong), cluster.kubectl(f"-n {namespace} logs {name} -c {SIDECAR} --previous"))
    elif count:
        yield fine(f"all {count}")


def capture(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Every pod could lead its traffic into its sidecar.

    istio-init writes the rules; where it fails, which is mostly for want of NET_ADMIN or of nf_tables in the node's
    kernel, the pod does not start.
    """
    found = [
        (pod, each)
        for pod in cluster.all("pods")
        for each in pod.get("status", {}).get("initContainerStatuses") or ()
        if each["name"] == _INIT
    ]
    wrong = [(pod, each) for pod, each in found if _failed(each)]
    if wrong:
        pod = wrong[0][0]
        node = pod["spec"].get("nodeName", "")
        seen = f"{_INIT} fails in {few([placed(each) for each, _ in wrong])} (node {node})"
        mend = cluster.kubectl(f"-n {pod['metadata']['namespace']} logs {named(pod)} -c {_INIT}")
        yield broken(seen, mend)
    else:
        yield fine(f"all {len(found)} pods")


def _failed(status: Json) -> bool:
    for state in (status.get("state") or {}, status.get("lastState") or {}):
        if (state.get("terminated") or {}).get("exitCode", 0):
            return True
    return False


def gateway_addresses(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Gateways have addresses.

    Until somebody gives the Service of a gateway its address, nobody outside can call it.
    """
    pods = [pod for pod in cluster.meshed() if not _is_sidecar(pod)]
    found = [
        each
        for each in cluster.all("services")
        if each.get("spec", {}).get("type") == "LoadBalancer" and any(_selects(each, pod) for pod in pods)
    ]
    without = [each for each in found if not each.get("status", {}).get("loadBalancer", {}).get("ingress")]
    if without:
        first = without[0]
        where = f"-n {first['metadata']['namespace']} describe service {named(first)}"
        yield doubtful(few([placed(each) for each in without]), cluster.kubectl(where))
    else:
        yield fine(few([placed(each) for each in found]) or "there is no gateway")


def _is_sidecar(pod: Json) -> bool:
    return len(container_names(pod)) > 1


def _selects(service: Json, pod: Json) -> bool:
    selector = service["spec"].get("selector") or {}
    is_near = service["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return bool(selector) and is_near and selector.items() <= labels(pod).items()


_NEEDS = ("pods",)
CHECKS = (
    Check(proxies_connected, When.AFTER, needs=_NEEDS),
    Check(proxies_content, When.AFTER, needs=_NEEDS),
    Check(proxies_synced, When.AFTER, needs=_NEEDS),
    Check(envoy_versions, When.AFTER, needs=_NEEDS),
    Check(sidecar_images, When.AFTER, needs=_NEEDS),
    Check(injected, When.AFTER, needs=("pods", "namespaces")),
    Check(proxies_ready, When.AFTER, needs=_NEEDS),
    Check(capture, When.AFTER, needs=_NEEDS),
    Check(gateway_addresses, When.AFTER, needs=("services", "pods")),
)
