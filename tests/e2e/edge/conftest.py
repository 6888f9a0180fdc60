"""A certificate authority, a server with TLS in the private cluster, and Gateways in the public one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import yaml

from e2e.edge.objects import SYSTEM, edge_rules, gateway, secret, vault
from e2e.workloads import workloads
from fakes.pki import Pki, Shown
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.console.installation import Installation, documents
from isthmus.kit import x509

PKI = Pki("edge root")


@pytest.fixture(scope="package")
def pki() -> Pki:
    return PKI


@pytest.fixture(scope="package")
def with_vault(built: Stage) -> Iterator[Stage]:
    """The mesh, and in the private cluster a server outside it."""
    with workloads(built, {PRIVATE: vault(PKI)}) as stage:
        yield stage


@pytest.fixture
async def edge(with_vault: Stage, stage: Stage) -> AsyncIterator[str]:
    """The URL of the ingress gateway's port for TLS, with its servers and their certificates."""
    kubectl = stage.kubectl(PUBLIC)
    objects = [
        secret("web", PKI.leaf(dns=("web.example.com",))),
        secret("partners", PKI.leaf(dns=("partners.example.com",)), PKI),
        gateway(),
        *edge_rules(),
        *documents("secret-reader", Installation(cluster=PUBLIC, secrets=("web", "partners"))),
    ]
    await kubectl.apply(yaml.safe_dump_all(objects))
    yield await stage.lab.open(PUBLIC, SYSTEM, "istio-ingressgateway", 443)
    await stage.lab.open(PUBLIC, SYSTEM, "istio-ingressgateway", 80)
    await kubectl.run("delete", "--ignore-not-found", "-f", "-", stdin=yaml.safe_dump_all(objects))


def serial(shown: Shown) -> str:
    """The serial number of a certificate, as callers see it."""
    return x509.serial(x509.load_certificate(shown.certificate))
