"""The webhooks of an installation: their configurations, the rights of who serves them, and an injector where none is.

A primary's Pilot serves its own API server. A remote cluster has an injector beside its Citadel, so that its pods start
also while the primary is out of reach (ADR 0042).
"""

from __future__ import annotations

from typing import Any

from isthmus.admission.configurations import Serving, injector_name, mutating, validating, validator_name
from isthmus.console.install.settings import Installation
from isthmus.console.manifests import filled

Json = dict[str, Any]

FILES = {"primary": "webhooks", "remote": "injector"}
_PILOT = "istio-pilot-service-account"
_SERVICES = {"primary": "istiod", "remote": "istio-sidecar-injector"}


def add_webhooks(objects: list[Json], role: str, installation: Installation) -> None:
    """Add what `role` needs of webhooks to its `objects`; where none are wished, Pilot serves none."""
    if role not in FILES:
        return
    if installation.webhooks.enabled:
        _name_server(objects, installation)
        objects += webhook_objects(role, installation)
        return
    for each in objects:
        if each["kind"] == "Deployment":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            container["args"] += ["--webhook-port=0"] if container["name"] == "discovery" else []


def _name_server(objects: list[Json], installation: Installation) -> None:
    """Let a revision's Citadel name Pilot by the Service of that revision: API servers call it so. Changes them."""
    place = installation.namespace
    for each in objects if installation.suffix else ():
        if each["kind"] == "Deployment":
            for container in each["spec"]["template"]["spec"]["containers"]:
                if container["name"] == "citadel":
                    host = f"istiod{installation.suffix}.{place}.svc"
                    container["args"].append(f"--custom-dns-names={_PILOT}.{place}:{host}")


def webhook_objects(role: str, installation: Installation) -> list[Json]:
    """The configurations of webhooks, with the rights of who serves them, and in a remote cluster the injector."""
    revision, ending, namespace = installation.label, installation.suffix, installation.namespace
    values = {
        "cluster": installation.cluster,
        "namespace": namespace,
        "image": installation.image,
        "trust_domain": installation.trust_domain,
        "domain": installation.domain,
        "revision": revision,
        "suffix": ending,
        "injector": injector_name(revision, namespace),
        "validator": validator_name(revision, namespace),
    }
    said = installation.webhooks
    serving = Serving(
        namespace=namespace,
        revision=revision,
        service=f"{_SERVICES[role]}{ending}",
        failure_policy=said.failure_policy,
        validation_failure_policy=said.validation_failure_policy,
        everywhere=said.inject_by_default,
        timeout_s=said.timeout_seconds,
    )
    found = [*filled(FILES[role], values), mutating(serving)]
    # Configuration is read in a primary: who writes it elsewhere is told so by analysis.
    return [*found, validating(serving)] if role == "primary" else found
