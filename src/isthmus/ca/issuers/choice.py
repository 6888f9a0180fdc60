"""Which issuer signs, as operators write it: `own`, `cert-manager:ClusterIssuer/NAME`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from isthmus.ca.authority import Lifetimes
from isthmus.ca.issuers import Borrowed
from isthmus.ca.issuers.cert_manager import GROUP, CertManager, CertManagerSettings
from isthmus.kit.clock import Clock
from isthmus.kube.client import Client

OWN = "own"
_HINT = "hint: own, or cert-manager:ClusterIssuer/NAME"


class IssuerChoice(msgspec.Struct, frozen=True, kw_only=True):
    """An issuer of somebody else, and what Citadel brings to it."""

    system: str
    kind: str
    name: str
    group: str = GROUP
    cluster: str = ""
    namespace: str = "istio-system"
    roots_file: Path | None = None
    lifetimes: Lifetimes = Lifetimes()


def parse_issuer(text: str) -> IssuerChoice | None:
    """What `text` chooses; None: Citadel's own authority. Raises `ValueError`.

    Issuers that others have made for cert-manager have groups of their own: `cert-manager:KIND.GROUP/NAME`.
    """
    if text in {"", OWN}:
        return None
    system, _, rest = text.partition(":")
    kind, _, name = rest.rpartition("/")
    kind, _, group = (kind or "ClusterIssuer").partition(".")
    if system != "cert-manager" or not name:
        raise ValueError(f"{text!r} is no issuer ({_HINT})")
    return IssuerChoice(system=system, kind=kind, name=name, group=group or GROUP)


def borrowed_issuer(choice: IssuerChoice, client: Client, clock: Clock) -> Borrowed:
    """The issuer of `choice`, asked through the API server behind `client`."""
    settings = CertManagerSettings(
        name=choice.name,
        kind=choice.kind,
        group=choice.group,
        namespace=choice.namespace,
        ordered_by=f"citadel-{choice.cluster}".rstrip("-"),
        roots_file=choice.roots_file,
        lifetimes=choice.lifetimes,
    )
    return CertManager(settings, client, clock)
