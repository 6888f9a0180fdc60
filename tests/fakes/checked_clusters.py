"""Two clusters of a mesh with nothing wrong in them, as checks see them; each part can be replaced."""

from __future__ import annotations

import base64
from copy import deepcopy
from dataclasses import replace

from isthmus.api.crd import custom_resource_definitions
from isthmus.console.check.api_server import APIS, TO_INSTALL, TO_LOOK
from isthmus.console.check.cluster import Cluster, Machine, Pilot, Right, Tried
from isthmus.kit import x509
from isthmus.kit.release import RELEASE

NOW = 1_800_000_000.0
SINCE = "2027-01-15T08:00:00Z"
ROOT = "istio-system"


def root_pem(name, begin, end):
    """A root certificate of this life."""
    key = x509.new_key()
    return x509.bundle_pem([x509.root(key, name, x509.Life(begin, end))])


def meta(name, namespace="", labels=None, **more):
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels or {}, **more}}


def node(name, **info):
    usual = {"architecture": "amd64", "kernelVersion": "6.1.0-18", "kubeletVersion": "v1.34.1"}
    return {
        **meta(name, labels={"topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "eu-a"}),
        "spec": {},
        "status": {"nodeInfo": usual | info, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def lease(name, namespace, holder="x", renewed=SINCE):
    return {**meta(name, namespace), "spec": {"holderIdentity": holder, "renewTime": renewed}}


def pod(name, namespace="default", labels=None, containers=("app", "istio-proxy"), **spec):
    made = [{"name": each, "image": f"{each}:1"} for each in containers]
    statuses = [{"name": each, "ready": True, "restartCount": 0} for each in containers]
    return {
        **meta(name, namespace, labels),
        "spec": {"containers": made, "nodeName": "n1", **spec},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": statuses,
        },
    }


def plane(part):
    return pod(f"istio-{part}-1", ROOT, {"istio": part, "app": f"istio-{part}"}, ("discovery",))


def service(name, namespace, address, labels=None, **spec):
    return {**meta(name, namespace, labels), "spec": {"clusterIP": address, **spec}, "status": {}}


def piece(service, namespace, ready=True):
    endpoints = [{"addresses": ["10.1.0.9"], "conditions": {"ready": ready}}]
    return {
        **meta(f"{service}-x", namespace, {"kubernetes.io/service-name": service}),
        "endpoints": endpoints,
    }


def config_map(name, namespace, **data):
    return {**meta(name, namespace), "data": {key.replace("_", "."): text for key, text in data.items()}}


def roots(namespace, pem=None):
    """The ConfigMap by which pods of a namespace believe."""
    return {**meta(ROOTS, namespace), "data": {"root-cert.pem": (pem or ROOT_PEM).decode()}}


def definition(made):
    held = deepcopy(made)
    held["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
    return held


DAY_S = 86_400
ROOT_PEM = root_pem("one", NOW - DAY_S, NOW + 3650 * DAY_S)
OTHER_PEM = root_pem("other", NOW - DAY_S, NOW + 3650 * DAY_S)
OLD_PEM = root_pem("old", NOW - 20 * DAY_S, NOW - DAY_S)
SOON_PEM = root_pem("soon", NOW - 3000 * DAY_S, NOW + 9 * DAY_S)
LATER_PEM = root_pem("later", NOW + DAY_S, NOW + 20 * DAY_S)
ROOTS = "istio-ca-root-cert"


def webhook(
    service="hook", policy="Fail", bundle=None, name="hook", groups=("",), resources=("pods",), labels=None
):
    bundle = base64.b64encode(ROOT_PEM).decode() if bundle is None else bundle
    said = {
        "name": f"{name}.isthmus.io",
        "failurePolicy": policy,
        "clientConfig": {"service": {"name": service, "namespace": ROOT}, "caBundle": bundle},
        "rules": [{"apiGroups": list(groups), "resources": list(resources)}],
    }
    return {**meta(name, labels=labels or {}), "webhooks": [said]}


def proxy(name, cluster, state="SYNCED", error="", version="1.40.0"):
    held = {"state": state, "resources": 3, "rejected": [], "error": error}
    return {"name": name, "cluster": cluster, "version": version, "types": {"CDS": held}}


def cluster(name, prefix, network="", *, pilot):
    settings = f'cluster: "{name}"\nnetwork: "{network}"\ndomain: "cluster.local"\n'
    space = {"topology.istio.io/cluster": name} | ({"topology.istio.io/network": network} if network else {})
    nodes = [{**node("n1"), "spec": {"podCIDR": f"{prefix}.0.0/16", "podCIDRs": [f"{prefix}.0.0/16"]}}]
    corefile = ".:53 {\n  kubernetes cluster.local in-addr.arpa {\n  }\n}\n"
    objects = {
        "nodes": nodes,
        "namespaces": [
            meta(ROOT, labels=space),
            meta("default", labels={"istio-injection": "enabled"}),
            meta("kube-system"),
        ],
        "pods": [pod("web-1"), plane("citadel"), *([plane("pilot")] if pilot else [])],
        "services": [
            service("kube-dns", "kube-system", "172.20.0.10"),
            service("istio-pilot", ROOT, "172.20.0.11"),
            service("istio-citadel", ROOT, "172.20.0.12"),
        ],
        "endpointslices": [
            piece("kube-dns", "kube-system"),
            piece("istio-pilot", ROOT),
            piece("istio-citadel", ROOT),
            piece("hook", ROOT),
        ],
        "endpoints": [],
        "configmaps": [
            config_map("istio", ROOT, mesh="trustDomain: cluster.local\n"),
            config_map("istio-sidecar-injector", ROOT, values=settings),
            config_map("coredns", "kube-system", Corefile=corefile),
            *(roots(each) for each in (ROOT, "default")),
        ],
        "resourcequotas": [],
        "limitranges": [],
        "networkpolicies": [],
        "leases": [lease("istio-pilot-leader", ROOT), lease("n1", "kube-node-lease")],
        "customresourcedefinitions": [definition(each) for each in custom_resource_definitions()],
        "mutatingwebhookconfigurations": [webhook()],
        "validatingwebhookconfigurations": [],
        "apigroups": [meta(api) for api, _ in APIS],
    }
    account = Right(verb="list", group="", resource="pods", account="reader")
    says = Pilot(
        pod="istio-pilot-1",
        version=RELEASE,
        clusters=tuple(known(each) for each in ("east", "west")),
        proxies=tuple(proxy("web-1.default", each) for each in ("east", "west")),
    )
    return Cluster(
        name=name,
        context=name,
        server=f"https://{name}",
        version="v1.34.1",
        now=NOW,
        objects={plural: tuple(each) for plural, each in objects.items()},
        may=dict.fromkeys((*TO_INSTALL, *TO_LOOK, account), True),
        pilots=(says,) if pilot else (),
        machines=(Machine(node="n1", mtu=1500),),
        tries=(Tried(namespace="default", has_sidecar=True),),
    )


def known(name, state="synced", error="", replacing="", **access):
    return {
        "id": name,
        "server": f"https://{name}",
        "source": f"file {name}.yaml",
        "state": state,
        "error": error,
        "replacing": replacing,
        "access": {"kind": "token", **access},
    }


EAST, WEST = cluster("east", "10.1", pilot=True), cluster("west", "10.2", pilot=False)


def having(one, **objects):
    """The cluster with other objects of these plurals."""
    return replace(one, objects={**one.objects, **{plural: tuple(each) for plural, each in objects.items()}})


def besides(one, **objects):
    """The cluster with these objects as well; those of a name that is there already take its place."""

    def key(each):
        return each["metadata"].get("namespace", ""), each["metadata"]["name"]

    merged = {
        plural: tuple({key(each): each for each in (*one.objects.get(plural, ()), *more)}.values())
        for plural, more in objects.items()
    }
    return replace(one, objects={**one.objects, **merged})


def without(one, plural, name, namespace=None):
    """The cluster without the objects of a name."""
    kept = [
        each
        for each in one.objects[plural]
        if each["metadata"]["name"] != name or namespace not in (None, each["metadata"].get("namespace"))
    ]
    return having(one, **{plural: kept})
