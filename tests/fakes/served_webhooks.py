"""The webhooks of a cluster on loopback, as Pilot's process serves them, and what they need of the cluster."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import yaml

from fakes.eventually import eventually
from fakes.pki import Pki
from isthmus.admission.bundles import bundle_patch
from isthmus.admission.configurations import Serving, mutating, validating
from isthmus.admission.injection import unknown
from isthmus.admission.settings import WebhookSettings
from isthmus.admission.webhooks import Webhooks
from isthmus.kit import x509
from isthmus.kit.clock import SystemClock
from isthmus.kit.watchable import Watchable
from isthmus.sidecar.certs import Held

NAMESPACE = "istio-system"
DNS = ("istiod.istio-system.svc", "localhost")
GROUP = "admissionregistration.k8s.io"
PLURALS = {"Mutating": "mutatingwebhookconfigurations", "Validating": "validatingwebhookconfigurations"}
VALUES = {"cluster": "east", "network": "east-net", "image": "isthmus:test"}


def held_of(pki, roots=None, dns=DNS, life_s=3600.0, addresses=()):
    """A certificate as Citadel gives it."""
    uris = ("spiffe://cluster.local/ns/istio-system/sa/pilot",)
    shown = pki.leaf(uris=uris, dns=dns, life_s=life_s, addresses=addresses)
    leaf = x509.load_certificate(shown.certificate)
    begin, end = time.time(), x509.life(leaf).end
    return Held(shown.certificate, shown.key, roots or pki.roots, x509.serial(leaf), begin, end)


def config_map(name, **data):
    """One of the control plane's."""
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def settings_map(**values):
    """How pods are injected."""
    return config_map("istio-sidecar-injector", values=yaml.safe_dump(VALUES | values))


def namespace(name, **labels):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


async def make_namespaces(cluster, *made):
    """Namespaces in which pods can be made."""
    for each in made:
        account = {"name": "default", "namespace": each["metadata"]["name"]}
        await cluster.apply(each, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})


def pod(name, place, labels=None, annotations=None, **spec):
    """One that says nothing but its image."""
    meta = {"name": name, "namespace": place, "labels": labels or {}, "annotations": annotations or {}}
    containers = [{"name": "web", "image": "web:1", "ports": [{"containerPort": 8080}]}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": containers} | spec}


def containers_of(made):
    """The names of all containers of a pod."""
    spec = made["spec"]
    return [each["name"] for each in (*spec.get("initContainers", ()), *spec["containers"])]


class ServedWebhooks:
    """Webhooks that answer one cluster."""

    def __init__(self, cluster, webhooks, held, pki):
        self.cluster, self.webhooks, self.held, self.pki = cluster, webhooks, held, pki
        self.url = ""

    async def install(self, kind="Mutating", **serving):
        """Tell the API server of them, and return once it has their roots and they know how to inject."""
        made = {"Mutating": mutating, "Validating": validating}[kind](Serving(url=self.url, **serving))
        await self.cluster.apply(made)
        await eventually(lambda: self.believed(kind, made["metadata"]["name"], self.pki.roots))
        await eventually(self.are_ready)

    async def are_ready(self):
        return not self.webhooks.trouble

    async def believed(self, kind, name, roots):
        """Whether all webhooks of the configuration believe exactly these roots."""
        found = await self.cluster.find(PLURALS[kind], "", name, GROUP)
        return found is not None and not bundle_patch(found, roots)


@asynccontextmanager
async def served_webhooks(cluster, access=None, elsewhere=unknown, **settings):
    """Webhooks for the length of the block; the cluster has the control plane's ConfigMaps, if it had none."""
    pki = Pki("mesh root")
    if await cluster.find("namespaces", "", NAMESPACE) is None:
        await cluster.apply(namespace(NAMESPACE))
    root = config_map("istio-ca-root-cert", **{"root-cert.pem": pki.roots.decode()})
    await cluster.apply(settings_map(), config_map("istio", mesh="{}"), root)
    held = Watchable(held_of(pki))
    choice = WebhookSettings(service="istiod", address="127.0.0.1", port=0, **settings)
    made = Webhooks(choice, held, SystemClock(), elsewhere)
    served = ServedWebhooks(cluster, made, held, pki)
    running = asyncio.create_task(made.run(access or cluster.access))
    try:
        served.url = f"https://localhost:{await made.server.port()}"
        yield served
    finally:
        running.cancel()
        await asyncio.wait([running])
