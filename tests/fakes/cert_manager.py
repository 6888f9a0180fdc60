"""cert-manager's part of the bargain on a real API server: its kinds, and a controller that signs.

`SigningController` stands in for cert-manager where its own controller is not at hand: it reads CertificateRequests
over the wire, signs with cryptography what the request asks for, as a CA issuer does, and writes their status. It
can also be told to misbehave. `real_controller` is cert-manager's own code, which tools/issuers builds.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509 as certificates
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from isthmus.api.resource import Kind, Object
from isthmus.ca.issuers.cert_manager import GROUP
from isthmus.kit import x509
from isthmus.kit.duration import parse
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import NotFound
from isthmus.kube.watch import Changed, Listed, Watch

NEEDS = ("cert-manager-signers", "install Go, then run tools/issuers")
REQUESTS = Kind(GROUP, ("v1",), "CertificateRequest", "certificaterequests", Object)
_CRDS = Kind(
    "apiextensions.k8s.io",
    ("v1",),
    "CustomResourceDefinition",
    "customresourcedefinitions",
    Object,
    namespaced=False,
)
_KINDS = (
    ("CertificateRequest", "certificaterequests", "Namespaced"),
    ("Issuer", "issuers", "Namespaced"),
    ("ClusterIssuer", "clusterissuers", "Cluster"),
)
_LOOSE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definition(kind: str, plural: str, scope: str) -> dict[str, Any]:
    """A CustomResourceDefinition that takes whatever is in `spec` and `status`."""
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": _LOOSE, "status": _LOOSE}}},
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [version],
        },
    }


async def install(client: Client) -> None:
    """Make the API server behind `client` know cert-manager's kinds."""
    for each in _KINDS:
        await client.create(_CRDS, definition(*each))


Behaviour = Callable[["SigningController", dict[str, Any]], Any]


class SigningController:
    """Answers each request by `behaviour`, which gives its status, or None for silence."""

    kind = REQUESTS

    def __init__(self, client: Client, behaviour: Behaviour | None = None) -> None:
        self.client = client
        self.behaviour = behaviour or SigningController.signed
        self.key = x509.new_key()
        self.root = x509.root(self.key, "Their Root", x509.Life.at(time.time(), 86_400 * 30))
        self.answered: set[str] = set()
        self.requests: list[dict[str, Any]] = []

    async def run(self) -> None:
        async with aclosing(Watch(self.client, self.kind).events()) as events:
            async for event in events:
                listed = event.items if isinstance(event, Listed) else []
                for item in [event.item] if isinstance(event, Changed) else listed:
                    meta = msgspec.json.decode(item)["metadata"]
                    with suppress(NotFound):
                        found = await self.client.get(self.kind, meta.get("namespace", ""), meta["name"])
                        await self._answer(found)

    async def _answer(self, found: dict[str, Any]) -> None:
        meta = found["metadata"]
        if meta["name"] in self.answered or not self.is_due(found):
            return
        self.answered.add(meta["name"])
        self.requests.append(found)
        if (status := self.behaviour(self, found)) is not None:
            path = path_of(self.kind, meta.get("namespace", ""), meta["name"], "status")
            await self.client.request("PUT", path, body={**found, "status": self.written(found, status)})

    def written(self, _: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        """The status to write, by what is said of the request."""
        return status

    def is_due(self, _: dict[str, Any]) -> bool:
        """Whether a request may be answered: cert-manager's approver is not here, so any may."""
        return True

    def signed(self, request: dict[str, Any]) -> dict[str, Any]:
        """The status of a request that is granted."""
        spec = request["spec"]
        csr = certificates.load_pem_x509_csr(base64.b64decode(spec["request"]))
        return self.issued(self.certificate(csr, self.life_s(spec)))

    def life_s(self, spec: dict[str, Any]) -> float:
        """How long a certificate is asked for."""
        return parse(spec["duration"])

    def certificate(
        self, csr: certificates.CertificateSigningRequest, life_s: float, **changed: Any
    ) -> certificates.Certificate:
        """A certificate for what `csr` asks for, but for what is `changed`."""
        now = datetime.now(UTC)
        said = csr.extensions.get_extension_for_class(certificates.SubjectAlternativeName)
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            certificates.CertificateBuilder()
            .subject_name(csr.subject)
            .issuer_name(self.root.subject)
            .public_key(changed.get("key") or csr.public_key())
            .serial_number(certificates.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(seconds=life_s))
            .add_extension(changed.get("names") or said.value, critical=True)
            .add_extension(certificates.BasicConstraints(changed.get("ca", False), None), critical=True)
            .add_extension(certificates.ExtendedKeyUsage(changed.get("purposes", purposes)), critical=False)
        )
        return builder.sign(changed.get("by") or self.key, hashes.SHA256())

    def issued(self, certificate: certificates.Certificate) -> dict[str, Any]:
        return {
            "conditions": [{"type": "Ready", "status": "True", "reason": "Issued", "message": "issued"}],
            "certificate": _text(x509.bundle_pem([certificate])),
            "ca": _text(x509.bundle_pem([self.root])),
        }


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    """A status of one condition."""
    return {"conditions": [{"type": kind, "status": status, "reason": reason, "message": message}]}


@asynccontextmanager
async def real_controller(kubeconfig: Path) -> AsyncIterator[None]:
    """cert-manager's own controllers on the API server of `kubeconfig`."""
    name, _ = NEEDS
    program = shutil.which(name, path=str(Path(sys.executable).parent)) or name
    log = (kubeconfig.parent / "cert-manager.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        program, "--kubeconfig", str(kubeconfig), stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()
        log.close()


def _text(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
