"""Objects of all kinds of configuration as people write them, a mesh that they can be put into, and its proxies.

Objects are those of the goldens, cases of findings and samples, and of `seeds.yaml`, which sets the fields of the kinds
of which those say little. What the mesh's own ConfigMap says, MeshConfig and MeshNetworks, is a seed as well.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import msgspec
import yaml

from fakes.bookinfo import BOOKINFO, objects, pod, service
from isthmus.api import kind_of
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig, UnknownKind
from isthmus.api.yaml import documents
from isthmus.model.change import Change, ChangeKey
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind

ROOT = Path(__file__).parent.parent.parent
MANIFESTS = tuple(ROOT / each for each in ("tests/golden", "tests/findings", "samples", "tests/fakes"))
GKE = ClusterId("gke")
PROXIES = tuple(
    Proxy(kind=kind, address=address, name=name, namespace="default", cluster=GKE, labels=labels)
    for kind, address, name, labels in (
        (ProxyKind.SIDECAR, "10.10.0.11", "a", (("app", "reviews"),)),
        (ProxyKind.ROUTER, "10.10.0.9", "b", (("istio", "ingress"),)),
        (
            ProxyKind.ROUTER,
            "10.10.0.8",
            "c",
            (("gateway.networking.k8s.io/gateway-name", "web"), ("istio", "ingressgateway")),
        ),
    )
)
INGRESS = [
    service("ingress", "10.110.0.9", "{port: 80, targetPort: 8080, name: http}").replace(
        "app: ingress", "istio: ingress"
    ),
    pod("gateway", "10.10.0.9").replace("app: reviews", "istio: ingress"),
]
SHOP = [
    service(
        "shop", "10.110.0.99", "{port: 80, name: http}, {port: 3306, name: mysql}, {port: 443, name: tls}"
    ),
    service("db", "10.110.0.98", "{port: 3306, name: mysql}"),
    service("proxy", "10.110.0.97", "{port: 3128, name: tcp}"),
]
WORLD = objects(gke=[*BOOKINFO["gke"], *INGRESS, *SHOP])


def read_file(path):
    """The documents of a file, but for those that are wrong on purpose."""
    try:
        return [each.value for each in documents(path.read_text())]
    except InvalidConfig:
        return []


def written():
    """The objects of configuration of all goldens, cases of findings and samples, by kind."""
    found = defaultdict(list)
    for path in sorted(path for each in MANIFESTS for path in each.rglob("*.yaml")):
        for document in read_file(path):
            try:
                kind = kind_of(str(document.get("apiVersion")), str(document.get("kind")))
            except (UnknownKind, AttributeError):
                continue
            if kind.name == "ConfigMap" and document["metadata"]["name"] == "istio":
                data = {key: yaml.safe_load(text) for key, text in document["data"].items()}
                found[kind].append({"metadata": {"name": "istio", "namespace": "istio-system"}, "spec": data})
            elif kind.is_config and document.get("spec"):
                metadata = {"name": document["metadata"]["name"]}
                if kind.namespaced:
                    metadata["namespace"] = "default"
                found[kind].append(msgspec.to_builtins(document) | {"metadata": metadata})
    return dict(found)


SEEDS = written()


def read(kind, document):
    """The change that an object makes, if it is read at all."""
    if kind.name == "ConfigMap":
        data = {key: yaml.safe_dump(each, allow_unicode=True) for key, each in document["spec"].items()}
        document = {"metadata": document["metadata"], "data": data}
    try:
        found = decode(kind, msgspec.json.encode(document))
    except InvalidConfig:
        return None
    return Change(ChangeKey(GKE, kind.ref(found.metadata)), found)
