"""Two clusters of small services as manifests, for tables of calls."""

from __future__ import annotations


def cluster(name):
    return f"kind: Cluster\nmetadata: {{name: {name}}}\n"


def service(name, *ports, namespace="default", more="", labels="", selector=""):
    several = ", ".join(f"{{port: {number}, name: {port}}}" for port, number in ports)
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}
spec: {{selector: {{{selector or f"app: {name}"}}}, ports: [{several}]{more}}}
"""


def deployment(name, app, version="v1", namespace="default", replicas=1, sidecar="true", node="", labels=""):
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  replicas: {replicas}
  template:
    metadata:
      labels: {{app: {app}, version: {version}{labels}}}
      annotations: {{sidecar.istio.io/inject: "{sidecar}"}}
    spec:
      serviceAccountName: {app}
      nodeName: "{node}"
      containers: [{{ports: [{{name: web, containerPort: 8080}}]}}]
"""


def node(name, region, zone=""):
    zone = zone or f"{region}-a"
    labels = f"topology.kubernetes.io/region: {region}, topology.kubernetes.io/zone: {zone}"
    return f"apiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n"


def istio(kind, name, spec, namespace="default"):
    meta = f"metadata: {{name: {name}, namespace: {namespace}}}"
    return f"apiVersion: networking.istio.io/v1\nkind: {kind}\n{meta}\nspec: {spec}\n"


def files(*documents):
    return "---\n".join(documents)


HTTP, TCP = ("http", 9080), ("tcp", 3306)
SUBSETS = istio(
    "DestinationRule",
    "reviews",
    "{host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, "
    "{name: v3, labels: {version: v3}}]}",
)
EAST = (
    cluster("east"),
    service("productpage", HTTP),
    deployment("productpage-v1", "productpage"),
    service("reviews", HTTP),
    deployment("reviews-v1", "reviews"),
    deployment("reviews-v2", "reviews", "v2"),
    service("ratings", HTTP, more=", clusterIP: 10.9.0.9"),
    deployment("ratings-v1", "ratings"),
    service("db", TCP),
    deployment("db-v1", "db"),
    service("legacy", HTTP),
    deployment("legacy-v1", "legacy", sidecar="false"),
    service("guess", ("what", 7000)),
    deployment("guess-v1", "guess"),
    service("grpc", ("grpc", 7070)),
    deployment("grpc-v1", "grpc"),
    service("headless", ("http", 8000), more=", clusterIP: None"),
    deployment("headless-v1", "headless"),
    service("stateful", ("tcp", 9042), more=", clusterIP: None"),
    deployment("stateful", "stateful"),
    service("empty", HTTP),
    service("outside", ("http", 80), more=", type: ExternalName, externalName: api.example.com"),
    service("critics", more=", type: ExternalName, externalName: reviews.default.svc.cluster.local"),
    service("far-away", more=", type: ExternalName, externalName: far.default.svc.cluster.local"),
    service("web", ("http", 80)).replace("port: 80,", "port: 80, targetPort: web,"),
    deployment("web-v1", "web"),
    service("other", HTTP, namespace="elsewhere"),
    deployment("other-v1", "other", namespace="elsewhere"),
    deployment("caller-v1", "caller", namespace="elsewhere"),
)
WEST = (
    cluster("west"),
    service("reviews", HTTP),
    deployment("reviews-v3", "reviews", "v3"),
    service("far", HTTP),
    deployment("far-v1", "far"),
)
PLAIN = files(*EAST, *WEST)


def ruled(*documents):
    """The two clusters, with configuration."""
    return files(EAST[0], *documents, *EAST[1:], *WEST)


THIRDS = {"reviews-v1": 33.3, "reviews-v2": 33.3, "reviews-v3": 33.3}
