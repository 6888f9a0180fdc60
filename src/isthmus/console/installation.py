"""What is installed into a cluster, by role, as manifests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from string import Template
from typing import Any

import msgspec
import yaml

from isthmus.api.crd import custom_resource_definitions, gateway_api_definitions
from isthmus.console import citadel_installation, manifests
from isthmus.kit.ip import is_address
from isthmus.model.credential_names import CA_SUFFIX
from isthmus.sidecar.inject.pod import Pod
from isthmus.sidecar.inject.settings import InjectSettings
from isthmus.sidecar.inject.template import router_spec

Documents = list[dict[str, object]]

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_WORD = re.compile(r"[^\s\"'{}#,]+")
_SHAPES = {
    "cluster": (_DOMAIN, "lower case letters, digits, - and ."),
    "namespace": (_NAME, "lower case letters, digits and -"),
    "place": (_NAME, "lower case letters, digits and -"),
    "network": (_DOMAIN, "lower case letters, digits, - and ."),
    "trust_domain": (_DOMAIN, "such as cluster.local"),
    "pilot_trust_domain": (_DOMAIN, "such as cluster.local"),
    "domain": (_DOMAIN, "such as cluster.local"),
    "image": (_WORD, "such as registry.example/isthmus:0.1.0"),
    "access_log": (_WORD, "a path, such as /dev/stdout"),
    "clusters_dir": (_WORD, "an absolute path without spaces"),
}
_OPTIONS = {"place": "--in"}
_READERS = {
    "gateway": "istio-ingressgateway-secret-reader",
    "egress-gateway": "istio-egressgateway-secret-reader",
}
_MAY_BE_EMPTY = {"pilot_trust_domain", "place", "network", "access_log", "clusters_dir"}
_GATEWAYS = {"gateway", "egress-gateway", "eastwest"}
"""Roles whose last object is the Deployment of an Envoy."""

# The files of each role, in the order in which they are applied.
ROLES: dict[str, tuple[str, ...]] = {
    "primary": ("namespace", "mesh", "reader", "citadel", "pilot"),
    "remote": ("namespace", "mesh", "reader", "citadel", "remote"),
    "gateway": ("secret-reader", "gateway"),
    "egress-gateway": ("secret-reader", "egress-gateway"),
    "secret-reader": ("secret-reader",),
    "remote-secrets": ("remote-secrets",),
    "gateway-api": (),
    "eastwest": ("eastwest",),
    "networks": ("networks",),
}


_DEFINITIONS = {"primary": custom_resource_definitions, "gateway-api": gateway_api_definitions}


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """The choices of one installation."""

    cluster: str
    namespace: str = "istio-system"
    place: str = ""  # the namespace of a gateway and its Secrets; empty: that of the control plane
    secrets: tuple[
        str, ...
    ] = ()  # those that Pilot may read there; empty: all, but of the control plane's own place
    network: str = ""
    image: str = "isthmus/isthmus:0.1.0"
    trust_domain: str = "cluster.local"
    pilot_trust_domain: str = ""  # Pilot's, where a remote cluster has one of its own; empty: the same
    domain: str = "cluster.local"
    access_log: str = ""
    managed_gateways: bool = True  # whether Pilot may make an Envoy for each Gateway of the Gateway API
    clusters_dir: str = ""  # a directory of the node that is mounted into Pilot as its cluster registry
    ca: str = ""  # where Citadel's CA comes from; empty: see `citadel_installation.source`
    renewals: bool = False  # whether a certificate is proof for the next one, at a port of its own
    account_secrets: tuple[str, ...] = ()  # in which namespaces Citadel keeps Secrets of accounts; *: in all
    vouched: tuple[str, ...] = ()  # for whom the words of clusters count at Citadel
    pilot_addresses: tuple[str, ...] = ()  # where a remote cluster finds Pilot before Pilot writes it itself


class InvalidInstallation(ValueError):
    """A choice that cannot be installed; the message names its option."""


def documents(role: str, installation: Installation) -> Documents:
    """All objects of `role`, ready to be applied. Raises `InvalidInstallation`."""
    _check(installation)
    if role == "eastwest" and not installation.network:
        raise InvalidInstallation("--network: is missing (hint: the network that this gateway lets into)")
    found: Documents = list(_DEFINITIONS[role]()) if role in _DEFINITIONS else []
    more = _rights_of_pilot(installation) if role == "primary" else ()
    with_citadel = citadel_installation.files(role, installation) if "citadel" in ROLES[role] else ()
    for name in (*ROLES[role], *more, *with_citadel):
        text = (resources.files(manifests) / f"{name}.yaml").read_text()
        values = _values(role, installation)
        if name == "secret-reader":
            found += _secret_readers(text, values, installation)
        else:
            found += yaml.safe_load_all(Template(text).substitute(values))
    citadel_installation.adjust(found, role, installation)
    if "citadel" in ROLES[role]:
        found += citadel_installation.account_rules(installation, installation.namespace)
    if role in _GATEWAYS:
        _add_proxy(found[-1], installation)
    if role == "remote" and installation.pilot_addresses:
        found.append(_endpoints(installation))
    return found


def _check(installation: Installation) -> None:
    for name, (shape, hint) in _SHAPES.items():
        value = getattr(installation, name)
        if not shape.fullmatch(value) and not (name in _MAY_BE_EMPTY and not value):
            raise InvalidInstallation(
                f"{_OPTIONS.get(name, '--' + name.replace('_', '-'))}: cannot be {value!r} (hint: {hint})"
            )
    for name in installation.secrets:
        if not _DOMAIN.fullmatch(name):
            hint = "hint: the name of a Secret, as credentialName says it"
            raise InvalidInstallation(f"--secret: cannot be {name!r} ({hint})")
    if wrong := citadel_installation.problem(installation):
        raise InvalidInstallation(wrong)
    for address in installation.pilot_addresses:
        if not is_address(address):
            raise InvalidInstallation(
                f"--pilot-address: {address!r} is no IP address (hint: that of Pilot's pod; Pilot keeps it true)"
            )


def _rights_of_pilot(installation: Installation) -> tuple[str, ...]:
    """Those that it can do without: a registry in files needs no Secret."""
    secrets = () if installation.clusters_dir else ("remote-secrets",)
    return (*secrets, "managed-gateways") if installation.managed_gateways else secrets


def _secret_readers(text: str, values: dict[str, str], installation: Installation) -> Iterator[Any]:
    """The right to read the Secrets of a namespace, or to each that is named a right of its own."""
    if not installation.secrets and installation.place not in {"", installation.namespace}:
        yield from yaml.safe_load_all(Template(text).substitute(values))
    for secret in installation.secrets:
        named = values | {"reader": f"{values['reader']}-{secret}"}
        role, binding = yaml.safe_load_all(Template(text).substitute(named))
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
    )
    template["spec"] |= router_spec(pod, settings)


def dump(objects: Documents) -> str:
    """The objects as one YAML stream."""
    return yaml.safe_dump_all(objects, sort_keys=False)


def _values(role: str, installation: Installation) -> dict[str, str]:
    volume = "emptyDir: {}"
    if installation.clusters_dir:
        volume = f"hostPath: {{path: {installation.clusters_dir}, type: Directory}}"
    values = {key: str(value) for key, value in msgspec.structs.asdict(installation).items()}
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
            "name": "istio-pilot",
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
