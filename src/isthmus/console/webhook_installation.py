"""The webhooks of an installation: their configurations, the rights of who serves them, and an injector where none is.

A primary's Pilot serves its own API server. A remote cluster has an injector beside its Citadel, so that its pods start
also while the primary is out of reach (ADR 0042); or it asks one elsewhere by a URL, and has none (ADR 0054).
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec

from isthmus.admission.configurations import Serving, injector_name, mutating, validating, validator_name
from isthmus.console.install.settings import Installation
from isthmus.console.manifests import filled

Json = dict[str, Any]

FILES = {"primary": "webhooks", "remote": "injector"}
_ACCOUNTS = {"primary": "istio-pilot-service-account", "remote": "istio-sidecar-injector-service-account"}
_SERVICES = {"primary": "istiod", "remote": "istio-sidecar-injector"}


def add_webhooks(objects: list[Json], role: str, installation: Installation) -> None:
    """Add what `role` needs of webhooks to its `objects`; where none are wished, Pilot serves none."""
    if role not in FILES:
        return
    if installation.webhooks.enabled:
        objects += webhook_objects(role, installation)
        _name_server(objects, role, installation)
        return
    for each in objects:
        if each["kind"] == "Deployment":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            container["args"] += ["--webhook-port=0"] if container["name"] == "discovery" else []


def _name_server(objects: list[Json], role: str, installation: Installation) -> None:
    """Let who serves a revision's webhooks have a certificate for their name, by which API servers call them.

    Citadels of other revisions do not know that name, so that a revision's own is asked. Changes `objects`.
    """
    ending, place = installation.suffix, installation.namespace
    if not ending or installation.injection_url:
        return
    named, host = f"{_ACCOUNTS[role]}.{place}", f"{_SERVICES[role]}{ending}.{place}.svc"
    citadel = f"istio-citadel{ending}.{place}.svc.{installation.domain}"
    for each in objects:
        if each["kind"] == "Deployment":
            for container in each["spec"]["template"]["spec"]["containers"]:
                if container["name"] == "citadel":
                    container["args"] += [f"--custom-dns-names={named}:{host}", f"--grpc-hostname={citadel}"]
                container["args"] = [
                    f"--citadel={citadel}:8060" if arg.startswith("--citadel=istio-citadel.") else arg
                    for arg in container["args"]
                ]
    objects.append(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": f"istio-citadel{ending}",
                "namespace": place,
                "labels": {"istio": "citadel"},
            },
            "spec": {
                "ipFamilyPolicy": "PreferDualStack",
                "selector": {"isthmus.io/citadel": "true", "istio.io/rev": installation.label},
                "ports": [{"name": "grpc-citadel", "port": 8060}],
            },
        }
    )


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
    if installation.injection_url:
        return [*_rights_elsewhere(values, installation), mutating(_elsewhere(serving, installation))]
    found = [*filled(FILES[role], values), mutating(serving)]
    # Configuration is read in a primary: who writes it elsewhere is told so by analysis.
    return [*found, validating(serving)] if role == "primary" else found


def _elsewhere(serving: Serving, installation: Installation) -> Serving:
    """`serving` as it is by a URL, whose path says of which cluster pods are."""
    roots = installation.injection_roots.encode()
    return msgspec.structs.replace(
        serving,
        url=installation.injection_url.removesuffix("/"),
        where=(installation.cluster, installation.network),
        bundle=b64encode(roots).decode(),
    )


def _rights_elsewhere(values: dict[str, str], installation: Installation) -> list[Json]:
    """Those of Pilot to keep the roots of such webhooks, where nobody says which roots they are."""
    return [] if installation.injection_roots else filled("injection-elsewhere", values)
