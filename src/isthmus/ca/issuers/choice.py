"""Which issuer signs, as operators write it: `own`, `cert-manager:ClusterIssuer/NAME`, `kubernetes:DOMAIN/NAME`."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from isthmus.ca.authority import Lifetimes
from isthmus.ca.issuers import Borrowed
from isthmus.ca.issuers.cert_manager import GROUP, CertManager, CertManagerSettings
from isthmus.ca.issuers.kubernetes import KubernetesSettings, KubernetesSigner
from isthmus.kit.clock import Clock
from isthmus.kube.client import Client

OWN = "own"
CERT_MANAGER, KUBERNETES = "cert-manager", "kubernetes"
_HINT = "hint: own, cert-manager:ClusterIssuer/NAME, or kubernetes:DOMAIN/NAME"
_SIGNER = re.compile(r"[a-z0-9][-a-z0-9]*(\.[a-z0-9][-a-z0-9]*)+/[-.:/A-Za-z0-9]+")


class IssuerChoice(msgspec.Struct, frozen=True, kw_only=True):
    """An issuer of somebody else, and what Citadel brings to it."""

    system: str
    name: str
    kind: str = ""
    group: str = ""
    cluster: str = ""
    namespace: str = "istio-system"
    roots_file: Path | None = None
    lifetimes: Lifetimes = Lifetimes()
    approves: bool = True
    trust_domain: str = "cluster.local"


def parse_issuer(text: str) -> IssuerChoice | None:
    """What `text` chooses; None: Citadel's own authority. Raises `ValueError`.

    Issuers that others have made for cert-manager have groups of their own: `cert-manager:KIND.GROUP/NAME`.
    """
    if text in {"", OWN}:
        return None
    system, _, rest = text.partition(":")
    if system == KUBERNETES and _SIGNER.fullmatch(rest):
        return IssuerChoice(system=system, name=rest)
    kind, _, name = rest.rpartition("/")
    kind, _, group = (kind or "ClusterIssuer").partition(".")
    if system != CERT_MANAGER or not name:
        raise ValueError(f"{text!r} is no issuer ({_HINT})")
    return IssuerChoice(system=system, kind=kind, name=name, group=group or GROUP)


def borrowed_issuer(choice: IssuerChoice, client: Client, clock: Clock) -> Borrowed:
    """The issuer of `choice`, asked through the API server behind `client`."""
    ordered_by = f"citadel-{choice.cluster}".rstrip("-")
    if choice.system == KUBERNETES:
        signer = KubernetesSettings(
            signer=choice.name,
            approves=choice.approves,
            namespace=choice.namespace,
            ordered_by=ordered_by,
            roots_file=choice.roots_file,
            trust_domain=choice.trust_domain,
            lifetimes=choice.lifetimes,
        )
        return KubernetesSigner(signer, client, clock)
    settings = CertManagerSettings(
        name=choice.name,
        kind=choice.kind,
        group=choice.group,
        namespace=choice.namespace,
        ordered_by=ordered_by,
        roots_file=choice.roots_file,
        lifetimes=choice.lifetimes,
    )
    return CertManager(settings, client, clock)
