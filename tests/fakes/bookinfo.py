"""Bookinfo's services in two clusters, as changes."""

from __future__ import annotations

from isthmus.translate.offline import read_case

DESTINATION_RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v3, labels: {version: v3}}]}
"""

VIRTUAL_SERVICE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v1}}]}]}
"""

GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: bookinfo}
spec: {selector: {istio: ingress}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
"""

EXTENSION = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: extension}
spec:
  configPatches:
    - applyTo: EXTENSION_CONFIG
      patch:
        operation: ADD
        value:
          name: marks
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors
"""


def service(name, vip, *ports):
    """A Service of these ports, each as flow YAML; of port 9080 for HTTP without a word."""
    listed = ", ".join(ports) or "{port: 9080, name: http}"
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{clusterIP: {vip}, selector: {{app: {name}}}, ports: [{listed}]}}
"""


def pod(name, address, version="v1", app="reviews", sidecar=True):
    labels = f"app: {app}, version: {version}" + (", security.istio.io/tlsMode: istio" if sidecar else "")
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{{labels}}}}}
spec: {{serviceAccountName: {app}}}
status: {{phase: Running, podIP: {address}}}
"""


def objects(**clusters):
    """The changes that put these objects, in YAML, into each cluster; the first is the configuration's."""
    documents = []
    for cluster, texts in clusters.items():
        documents += [f"kind: Cluster\nmetadata: {{name: {cluster}}}\n", *texts]
    return read_case("---\n".join(documents)).changes


BOOKINFO = {
    "gke": [
        service("reviews", "10.110.0.10"),
        service("ratings", "10.110.0.11"),
        service("mongo", "10.110.0.12", "{port: 27017, name: mongo}"),
        pod("reviews-v1", "10.10.0.11"),
        pod("ratings-v1", "10.10.0.21", app="ratings"),
    ],
    "onprem": [service("reviews", "10.120.0.10"), pod("reviews-v3", "10.20.0.13", "v3")],
}
