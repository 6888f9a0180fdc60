"""Who answers for a signer of Kubernetes: approved requests are signed as they are, over the wire."""

from __future__ import annotations

from typing import Any

import msgspec
from cryptography import x509 as certificates

from fakes.cert_manager import SigningController
from isthmus.api.core.config_map import ConfigMap
from isthmus.api.resource import Kind, Object
from isthmus.kit import x509
from isthmus.kube.client import Client

SIGNER = "example.com/mesh"
REQUESTS = Kind(
    "certificates.k8s.io",
    ("v1",),
    "CertificateSigningRequest",
    "certificatesigningrequests",
    Object,
    namespaced=False,
)
_CONFIG_MAPS = Kind("", ("v1",), "ConfigMap", "configmaps", ConfigMap)


class Signer(SigningController):
    """Signs what is approved, for as long as is asked, and tells no root."""

    kind = REQUESTS

    def is_due(self, request: dict[str, Any]) -> bool:
        kinds = [each["type"] for each in (request.get("status") or {}).get("conditions") or ()]
        return "Approved" in kinds and request["spec"]["signerName"] == SIGNER

    def written(self, request: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        """The status to write: the decision is not ours, and must stay."""
        return {**status, "conditions": [*request["status"]["conditions"], *status.get("conditions", ())]}

    def life_s(self, spec: dict[str, Any]) -> float:
        return float(spec["expirationSeconds"])

    def issued(self, certificate: certificates.Certificate) -> dict[str, Any]:
        """The status with it; the decision is not ours to write, and stays."""
        return {"certificate": super().issued(certificate)["certificate"]}


async def tell_roots(client: Client, entries: list[dict[str, Any]], namespace: str = "default") -> None:
    """Write `caCertificates` into the mesh's settings."""
    text = msgspec.json.encode({"caCertificates": entries}).decode()  # JSON is YAML
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": namespace},
        "data": {"mesh": text},
    }
    await client.apply(_CONFIG_MAPS, body, "tests")


def pem_of(*roots: x509.Certificate) -> str:
    return x509.bundle_pem(list(roots)).decode()
