"""The objects of these stories: certificates, a server outside the mesh, Gateways and rules."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from fakes.pki import Pki, Shown

Json = dict[str, Any]
PROGRAM = (Path(__file__).with_name("programs") / "vault.py").read_text()
SYSTEM = "istio-system"
VAULT = "vault.example.com"
ADDRESS = "240.0.0.77"
"""That by which applications call the vault."""


def meta(name: str, namespace: str = "default") -> Json:
    return {"name": name, "namespace": namespace}


def networking(kind: str, name: str, spec: Json, namespace: str = "default") -> Json:
    api = "networking.istio.io/v1"
    return {"apiVersion": api, "kind": kind, "metadata": meta(name, namespace), "spec": spec}


def secret(name: str, shown: Shown | None, roots: Pki | None = None, namespace: str = SYSTEM) -> Json:
    """`kubectl create secret`, with certificate, key and CA, as far as they are given."""
    data = {"tls.crt": shown.certificate, "tls.key": shown.key} if shown else {}
    data |= {"ca.crt": roots.roots} if roots else {}
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta(name, namespace), "data": encoded}


def vault(pki: Pki) -> list[Json]:
    """A server with TLS of its own and no sidecar."""
    labels = {"app": "vault"}
    container = {
        "name": "vault",
        "image": "python:3",
        "command": ["python3", "/programs/vault.py"],
        "ports": [{"containerPort": 8443}],
        "volumeMounts": [
            {"name": "programs", "mountPath": "/programs"},
            {"name": "certs", "mountPath": "/certs"},
        ],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
    }
    volumes = [
        {"name": "programs", "configMap": {"name": "vault"}},
        {"name": "certs", "secret": {"secretName": "vault"}},
    ]
    template = {
        "metadata": {"labels": labels, "annotations": {"sidecar.istio.io/inject": "false"}},
        "spec": {"containers": [container], "volumes": volumes},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    ports = [{"name": "tls", "port": 443, "targetPort": 8443}]
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("vault"), "data": {"vault.py": PROGRAM}},
        secret("vault", pki.leaf(dns=(VAULT,)), pki, "default"),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta("vault"),
            "spec": {"selector": labels, "ports": ports},
        },
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("vault"), "spec": spec},
    ]


def gateway() -> Json:
    """One port, three servers: with a certificate, with one of callers as well, and one that lets TLS pass."""

    def server(name: str, host: str, tls: Json, protocol: str = "HTTPS") -> Json:
        port = {"number": 443, "name": name, "protocol": protocol}
        return {"port": port, "hosts": [host], "tls": tls}

    servers = [
        server("web", "web.example.com", {"mode": "SIMPLE", "credentialName": "web"}),
        server("partners", "partners.example.com", {"mode": "MUTUAL", "credentialName": "partners"}),
        server("vault", VAULT, {"mode": "PASSTHROUGH"}, "TLS"),
    ]
    return networking("Gateway", "edge", {"selector": {"istio": "ingressgateway"}, "servers": servers})


def edge_rules() -> list[Json]:
    """Requests go to the product page, TLS for the vault to its Service, which only the private cluster has."""
    page = {"route": [{"destination": {"host": "productpage", "port": {"number": 9080}}}]}
    hosts = ["web.example.com", "partners.example.com"]
    to_vault = {"destination": {"host": "vault.default.svc.cluster.local", "port": {"number": 443}}}
    tls = [{"match": [{"port": 443, "sniHosts": [VAULT]}], "route": [to_vault]}]
    return [
        networking("VirtualService", "edge", {"hosts": hosts, "gateways": ["edge"], "http": [page]}),
        networking("VirtualService", "edge-vault", {"hosts": [VAULT], "gateways": ["edge"], "tls": tls}),
    ]


def outside(address: str) -> Json:
    """The vault as something outside the mesh: plain for applications, TLS on its own port."""
    spec = {
        "hosts": [VAULT],
        "addresses": [ADDRESS],
        "location": "MESH_EXTERNAL",
        "resolution": "STATIC",
        "endpoints": [{"address": address, "ports": {"http": 8443, "tls": 8443}}],
        "ports": [
            {"number": 80, "name": "http", "protocol": "HTTP"},
            {"number": 443, "name": "tls", "protocol": "HTTP"},
        ],
    }
    return networking("ServiceEntry", "vault", spec)


def originating(credential: str, port: int, namespace: str = "default", **selector: str) -> Json:
    """TLS towards the vault with a client's certificate from a Secret."""
    tls = {"mode": "MUTUAL", "credentialName": credential, "sni": VAULT}
    spec: Json = {
        "host": VAULT,
        "trafficPolicy": {"portLevelSettings": [{"port": {"number": port}, "tls": tls}]},
    }
    if selector:
        spec["workloadSelector"] = {"matchLabels": selector}
    return networking("DestinationRule", "vault", spec, namespace)


EGRESS_HOST = "istio-egressgateway.istio-system.svc.cluster.local"


def through_egress() -> list[Json]:
    """Calls of the vault leave by the egress gateway, in mutual TLS as far as that."""
    server = {
        "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
        "hosts": [VAULT],
        "tls": {"mode": "ISTIO_MUTUAL"},
    }
    http = [
        {
            "match": [{"gateways": ["mesh"], "port": 80}],
            "route": [{"destination": {"host": EGRESS_HOST, "port": {"number": 443}, "subset": "vault"}}],
        },
        {
            "match": [{"gateways": ["istio-system/egress"], "port": 443}],
            "route": [{"destination": {"host": VAULT, "port": {"number": 443}}}],
        },
    ]
    policy = {"portLevelSettings": [{"port": {"number": 443}, "tls": {"mode": "ISTIO_MUTUAL", "sni": VAULT}}]}
    subsets = [{"name": "vault", "trafficPolicy": policy}]
    gateways = ["mesh", "istio-system/egress"]
    return [
        networking(
            "Gateway", "egress", {"selector": {"istio": "egressgateway"}, "servers": [server]}, SYSTEM
        ),
        networking("DestinationRule", "egress", {"host": EGRESS_HOST, "subsets": subsets}),
        networking("VirtualService", "vault-egress", {"hosts": [VAULT], "gateways": gateways, "http": http}),
    ]
