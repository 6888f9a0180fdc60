"""What is installed into a cluster, by role, as manifests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import yaml

from isthmus.api.crd import custom_resource_definitions, gateway_api_definitions
from isthmus.console import citadel_installation
from isthmus.console.install.labels import labelled
from isthmus.console.install.network_policies import network_policy
from isthmus.console.install.one_deployment import together
from isthmus.console.install.plain_xds import open_plain_xds
from isthmus.console.install.reading import InvalidInstallation, checked, merged
from isthmus.console.install.roles import ROLES
from isthmus.console.install.settings import Gateway, Installation
from isthmus.console.install.workloads import shape_service, shaped_control_plane, shaped_gateway
from isthmus.console.manifests import filled, read
from isthmus.console.webhook_installation import add_webhooks
from isthmus.model.credential_names import CA_SUFFIX
from isthmus.model.revision import DEFAULT, tag_name
from isthmus.sidecar.inject.pod import Pod
from isthmus.sidecar.inject.settings import InjectSettings
from isthmus.sidecar.inject.template import router_spec

Documents = list[dict[str, Any]]

__all__ = ["Documents", "Installation", "InvalidInstallation", "documents", "dump"]

_READERS = {
    "gateway": "istio-ingressgateway-secret-reader",
    "egress-gateway": "istio-egressgateway-secret-reader",
}
_GATEWAYS: dict[str, Callable[[Installation], Gateway]] = {
    "gateway": lambda each: each.ingress_gateway,
    "egress-gateway": lambda each: each.egress_gateway,
    "eastwest": lambda each: each.east_west_gateway,
}
"""By roles whose Deployment is one of an Envoy, what the settings say of it."""

DEFINITIONS: Final = {"primary": custom_resource_definitions, "gateway-api": gateway_api_definitions}
UNNAMED: Final = "name-of-the-cluster"
"""What `isthmus install settings` writes for who is to write a name there."""


def documents(role: str, installation: Installation, *, with_definitions: bool = True) -> Documents:
    """All objects of `role`, ready to be applied. Raises `InvalidInstallation`."""
    checked(installation)
    if wrong := tuple(_refusals(role, installation)):
        raise InvalidInstallation(*wrong)
    found: Documents = list(DEFINITIONS[role]()) if with_definitions and role in DEFINITIONS else []
    more = _rights_of_pilot(installation) if role == "primary" else ()
    with_citadel = citadel_installation.files(role, installation) if "citadel" in ROLES[role] else ()
    for name in (*ROLES[role], *more, *with_citadel):
        values = _values(role, installation)
        if name == "secret-reader":
            found += _secret_readers(values, installation)
        else:
            found += filled(name, values)
    citadel_installation.adjust(found, role, installation)
    if "citadel" in ROLES[role]:
        found += citadel_installation.account_rules(installation, installation.namespace)
    add_webhooks(found, role, installation)
    if role == "remote" and installation.pilot_addresses:
        found.append(_endpoints(installation))
    if role == "primary" and installation.layout == "together":
        found = together(found, installation)
    open_plain_xds(found, installation)
    _tell_config_maps(found, installation)
    return labelled(_with_pods(found, role, installation), role, installation)


def _refusals(role: str, installation: Installation) -> Iterator[str]:
    """What is wrong with settings that are right by themselves, for this role."""
    if installation.cluster == UNNAMED:
        yield "cluster: has no name yet (hint: --cluster NAME, or write it into the settings file)"
    if role == "eastwest" and not installation.network:
        yield "--network: is missing (hint: the network that this gateway lets into)"
    if role == "primary" and installation.injection_url:
        yield "--injection-url: is of remote clusters, and a primary's Pilot injects its pods (hint: leave it out)"


def _with_pods(objects: Documents, role: str, installation: Installation) -> Documents:
    """`objects` with Deployments as the settings have them, and what comes with these. Changes them."""
    made: Documents = []
    gateway = _GATEWAYS.get(role)
    for each in objects:
        made.append(each)
        if each["kind"] == "Deployment" and gateway is not None:
            _add_proxy(each, installation)
            made += shaped_gateway(each, gateway(installation), installation)
        elif each["kind"] == "Deployment":
            made += shaped_control_plane(each, installation)
            made += network_policy(each, installation)
        elif each["kind"] == "Service" and gateway is not None:
            usual = "ClusterIP" if role == "egress-gateway" else "LoadBalancer"
            shape_service(each, gateway(installation), usual)
    return made


def _tell_config_maps(objects: Documents, installation: Installation) -> None:
    """Put the settings of the mesh and of injection into their ConfigMaps. Changes them."""
    sidecar = dict(installation.sidecar)
    if installation.revision:
        sidecar = {"discovery": _pilot(installation), **sidecar}
    more = {"mesh": installation.mesh, "values": sidecar}
    for each in objects:
        if each["kind"] == "ConfigMap":
            data = each.get("data", {})
            for key in more.keys() & data.keys():
                if more[key]:
                    data[key] = yaml.safe_dump(merged(read(data[key]), more[key]), sort_keys=False)


def _pilot(installation: Installation) -> str:
    """Where proxies of a revision find its Pilots."""
    return f"istio-pilot{installation.suffix}.{installation.namespace}.svc.{installation.domain}:15012"


def _rights_of_pilot(installation: Installation) -> tuple[str, ...]:
    """Those that it can do without: a registry in files needs no Secret."""
    secrets = () if installation.clusters_dir else ("remote-secrets",)
    return (*secrets, "managed-gateways") if installation.managed_gateways else secrets


def _secret_readers(values: dict[str, str], installation: Installation) -> Iterator[Any]:
    """The right to read the Secrets of a namespace, or to each that is named a right of its own."""
    if not installation.secrets and installation.place not in {"", installation.namespace}:
        yield from filled("secret-reader", values)
    for secret in installation.secrets:
        role, binding = filled("secret-reader", values | {"reader": f"{values['reader']}-{secret}"})
        for rule in role["rules"]:
            # A Secret's CAs may stand in another one beside it, by Istio's name for it.
            rule["resourceNames"] = [secret, f"{secret}{CA_SUFFIX}"]
        yield from (role, binding)


def _add_proxy(deployment: Any, installation: Installation) -> None:
    """Give the gateway's Deployment its Envoy, as injection makes them. Changes it."""
    template = deployment["spec"]["template"]
    pod = Pod(
        metadata=template["metadata"],
        spec=template["spec"],
        namespace=installation.place or installation.namespace,
        workload=deployment["metadata"]["name"],
        workload_kind="Deployment",
    )
    settings = InjectSettings(
        cluster=installation.cluster,
        network=installation.network,
        image=installation.image,
        namespace=installation.namespace,
        trust_domain=installation.trust_domain,
        pilot_trust_domain=installation.pilot_trust_domain,
        domain=installation.domain,
        revision=installation.label,
        discovery=_pilot(installation) if installation.revision else "",
    )
    template["spec"] |= router_spec(pod, settings)


class _Dumper(yaml.CSafeDumper):
    """Writes what occurs twice twice: people read it."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def dump(objects: Documents) -> str:
    """The objects as one YAML stream."""
    made: str = yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False)
    return made


def _values(role: str, installation: Installation) -> dict[str, str]:
    volume = "emptyDir: {}"
    if installation.clusters_dir:
        volume = f"hostPath: {{path: {installation.clusters_dir}, type: Directory}}"
    values = {key: str(value) for key, value in msgspec.structs.asdict(installation).items()}
    values |= {"suffix": installation.suffix, "label": installation.label}
    values["default_tag"] = tag_name(DEFAULT, installation.namespace)
    label = f'topology.istio.io/network: "{installation.network}"'
    values["network_label"] = label if installation.network else "# one flat network"
    values["access_log"] = f'"{installation.access_log}"'
    values["place"] = installation.place or installation.namespace
    # Each gateway has a Role of its own, so that to delete one takes nothing from another.
    values["reader"] = _READERS.get(role, "istio-secret-reader")
    return values | {"clusters_volume": volume, "clusters_dir": "/etc/istio/clusters"}


def _endpoints(installation: Installation) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": f"istio-pilot{installation.suffix}",
            "namespace": installation.namespace,
            "labels": {"isthmus.io/follows": "control-plane"},
        },
        "subsets": [
            {
                "addresses": [{"ip": address} for address in installation.pilot_addresses],
                "ports": [
                    {"name": "https-xds", "port": 15012},
                    {"name": "http-monitoring", "port": 15014},
                ],
            }
        ],
    }
