"""How Citadel is installed: whose root it signs with, and for whom the words of clusters count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from isthmus.ca.vouching import ALL

RENEWAL_PORT = 8061
_ACCOUNT_RULES = [
    {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get", "list", "watch"]},
    # Kubernetes cannot allow the Secrets of one type only.
    {
        "apiGroups": [""],
        "resources": ["secrets"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    },
]
PLUGGED_IN, SELF_SIGNED, EITHER = CHOICES = ("plugged-in", "self-signed", "either")


class Choices(Protocol):
    """The part of an installation that is about Citadel."""

    @property
    def ca(self) -> str: ...

    @property
    def vouched(self) -> tuple[str, ...]: ...

    @property
    def renewals(self) -> bool: ...

    @property
    def account_secrets(self) -> tuple[str, ...]: ...


def source(role: str, choices: Choices) -> str:
    """Where the CA comes from. The root of a remote cluster must be another's, so it makes none unasked."""
    return choices.ca or (PLUGGED_IN if role == "remote" else EITHER)


def files(role: str, choices: Choices) -> tuple[str, ...]:
    """The manifests that Citadel needs beside its own."""
    return () if source(role, choices) == PLUGGED_IN else ("citadel-own-root",)


def account_rules(choices: Choices, namespace: str) -> list[dict[str, Any]]:
    """The Roles by which Citadel keeps Secrets of accounts: of one namespace each, or of all at once."""
    subject = {"kind": "ServiceAccount", "name": "istio-citadel-service-account", "namespace": namespace}
    found = []
    for place in choices.account_secrets:
        scope = "Cluster" if place == ALL else ""
        name = f"istio-citadel-account-secrets-{namespace}" if scope else "istio-citadel-account-secrets"
        metadata = {"name": name} if scope else {"name": name, "namespace": place}
        group = "rbac.authorization.k8s.io"
        api = {"apiVersion": f"{group}/v1"}
        reference = {"apiGroup": group, "kind": f"{scope}Role", "name": name}
        found += [
            {**api, "kind": f"{scope}Role", "metadata": metadata, "rules": _ACCOUNT_RULES},
            {
                **api,
                "kind": f"{scope}RoleBinding",
                "metadata": metadata,
                "roleRef": reference,
                "subjects": [subject],
            },
        ]
    return found


def adjust(objects: Sequence[Any], role: str, choices: Choices) -> None:
    """Tell the Deployment and the Service of Citadel among `objects` what was chosen. Changes them."""
    for each in objects:
        match each["kind"], each["metadata"]["name"]:
            case "Deployment", name if name.startswith("istio-citadel"):
                _adjust_pod(each["spec"]["template"]["spec"], source(role, choices), choices)
            case "Service", "istio-citadel" if choices.renewals:
                each["spec"]["ports"].append({"name": "grpc-renewal", "port": RENEWAL_PORT})


def _adjust_pod(pod: Any, ca: str, choices: Choices) -> None:
    arguments = pod["containers"][0]["args"]
    if ca != EITHER:
        arguments.append(f"--self-signed-ca={str(ca == SELF_SIGNED).lower()}")
    if ca == PLUGGED_IN:
        for volume in pod["volumes"]:
            if volume["name"] == "cacerts":  # so the pod waits for its Secret
                del volume["secret"]["optional"]
    if choices.renewals:
        arguments.append(f"--renewal-port={RENEWAL_PORT}")
        pod["containers"][0]["ports"].append({"containerPort": RENEWAL_PORT, "name": "grpc-renewal"})
    if choices.account_secrets:
        arguments.append("--account-secrets")
        arguments += [f"--listened-namespace={each}" for each in choices.account_secrets if each != ALL]
    arguments += [f"--vouch={each}" for each in choices.vouched]
