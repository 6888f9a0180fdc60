"""The objects of these stories: servers and callers, what they are called, and rules for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Rules = Callable[..., Awaitable[None]]
PROGRAMS = Path(__file__).with_name("programs")
CALLER = "spiffe://cluster.local/ns/default/sa/caller"
ECHO = "spiffe://cluster.local/ns/default/sa/echo"
NAMED = {
    "http": 8080,
    "http2": 8081,
    "grpc": 8082,
    "tcp-banner": 8083,
    "tcp": 8084,
    "http-trailers": 8085,
    "tls": 8443,
}
GUESSED = {"http": 7080, "h2c": 7081, "grpc": 7082, "banner": 7083, "bytes": 7084, "tls": 7443}
"""Each of these ports is that of a Service of its own, `guess-…`, and has no name there."""


def meta(name: str, **labels: str) -> Json:
    return {"name": name, "namespace": "default", "labels": labels}


def programs() -> Json:
    """Our programs, as a volume that pods mount."""
    data = {file.name: file.read_text() for file in sorted(PROGRAMS.glob("*.py"))}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("programs"), "data": data}


def deployment(app: str, command: list[str], version: str = "v1", **labels: str) -> Json:
    """Pods of `app` with our programs in them."""
    chosen = {"app": app, "version": version}
    container = {
        "name": app,
        "image": "python:3",
        "command": command,
        "volumeMounts": [{"name": "programs", "mountPath": "/programs"}],
        # Callers have to hear that a pod goes away before it does.
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
    }
    spec = {
        "serviceAccountName": app,
        "terminationGracePeriodSeconds": 3,
        "containers": [container],
        "volumes": [{"name": "programs", "configMap": {"name": "programs"}}],
    }
    template = {"metadata": {"labels": {**chosen, **labels}}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta(f"{app}-{version}"),
        "spec": {"replicas": 1, "selector": {"matchLabels": chosen}, "template": template},
    }


def account(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(name)}


def service(name: str, *ports: Json) -> Json:
    spec = {"selector": {"app": "echo"}, "ports": [*ports]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(name), "spec": spec}


def services() -> list[Json]:
    named = [{"name": name, "port": port} for name, port in NAMED.items()]
    guessed = [service(f"guess-{name}", {"port": port}) for name, port in GUESSED.items()]
    return [service("echo", *named), *guessed]


def server(version: str) -> list[Json]:
    """The server of every protocol with its services."""
    command = ["python3", "/programs/serve.py"]
    return [programs(), account("echo"), *services(), deployment("echo", command, version)]


def of(pod: str) -> str:
    """Of which version of echo a pod is: v1 in the public cluster, v2 in the private one."""
    return pod.split("-")[1]


def rule(kind: str, spec: Json) -> Json:
    meta = {"name": "echo", "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def versions(**policy: object) -> Json:
    """The versions of echo, with a policy for all of them."""
    subsets = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]
    return rule("DestinationRule", {"host": "echo", "subsets": subsets, "trafficPolicy": policy})


def routes(**by_protocol: Json) -> Json:
    """How calls of echo go: `http` and `tcp`, one route each or a list of them."""
    lists = {name: each if isinstance(each, list) else [each] for name, each in by_protocol.items()}
    return rule("VirtualService", {"hosts": ["echo"], **lists})


def to(*shares: str | tuple[str, int], **more: object) -> Json:
    """A route to versions of echo, by weight where there are several."""
    weighted = [(each, 100) if isinstance(each, str) else each for each in shares]
    route = [{"destination": {"host": "echo", "subset": name}, "weight": weight} for name, weight in weighted]
    return {"route": route, **more}
