"""What is wrong with settings of an installation whose shape is right: all of it, by path, with the mend."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec
import yaml

from isthmus.api.core.label_problems import is_domain_label, is_subdomain, label_name, labels
from isthmus.api.errors import InvalidConfig, Problem
from isthmus.api.shape import shaped
from isthmus.ca.vouching import ALL, parse_vouched
from isthmus.console.install import injection_elsewhere
from isthmus.console.install.settings import (
    Autoscaling,
    Container,
    Disruption,
    Gateway,
    Installation,
    Pods,
    Resources,
)
from isthmus.kit.ip import is_address
from isthmus.model.identity import is_trust_domain
from isthmus.model.mesh_config_problems import checked_mesh_config
from isthmus.sidecar.inject.settings import InjectSettings

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_REVISION = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_WORD = re.compile(r"[^\s\"'{}#,]+")
_PATH = re.compile(r"/[^\s\"'{}#,]*")
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(?:(m|k|[MGTPE]|[KMGTPE]i)|[eE](\d+))?")
_PERCENT = re.compile(r"(\d{1,3})%")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_SIZES = {"": 1.0, "m": 1e-3} | {
    letter: step**power
    for step, letters in ((1000.0, "kMGTPE"), (1024.0, ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")))
    for power, letter in enumerate(letters, 1)
}
_SHAPES = {
    "namespace": (_NAME, "lower case letters, digits and -"),
    "gatewayNamespace": (_NAME, "lower case letters, digits and -"),
    "revision": (_REVISION, "up to 32 lower case letters, digits and -, such as 1-4-0 or canary"),
    "network": (_DOMAIN, "lower case letters, digits, - and ."),
    "image": (_WORD, "such as registry.example/isthmus:0.1.0"),
    "accessLog": (_WORD, "a path, such as /dev/stdout"),
    "clustersDir": (_PATH, "an absolute path without spaces"),
}
_MAY_BE_EMPTY = {"gatewayNamespace", "revision", "network", "accessLog", "clustersDir", "pilotTrustDomain"}
_OURS = {"discoveryAddress", "rootNamespace", "trustDomain"}
"""What ConfigMap `istio` says by other values."""
_BY_OTHERS = {"cluster", "network", "image", "namespace", "trustDomain", "pilotTrustDomain", "domain"}


_WRITTEN = {each.encode_name: each.name for each in msgspec.structs.fields(Installation)}
"""What files call the parts of an installation, and what we call them."""


def problems(found: Installation) -> Iterator[Problem]:
    """Everything that is wrong, by its path below `$`."""
    yield from _names(found)
    yield from _mesh(found)
    yield from _sidecar(found)
    yield from _citadel(found)
    yield from injection_elsewhere.problems(found)
    containers = (("$.pilot", found.pilot), ("$.citadel", found.citadel), ("$.injector", found.injector))
    for path, container in containers:
        yield from _container(path, container)
    yield from _pods("$.controlPlane", found.control_plane)
    for path, gateway in (
        ("$.ingressGateway", found.ingress_gateway),
        ("$.egressGateway", found.egress_gateway),
        ("$.eastWestGateway", found.east_west_gateway),
    ):
        yield from _gateway(path, gateway)
    yield from _namespaces(
        "$.networkPolicies.monitoringNamespaces", found.network_policies.monitoring_namespaces
    )


def _names(found: Installation) -> Iterator[Problem]:
    if not found.cluster:
        yield "$.cluster", "is missing (hint: --cluster NAME, the name of the cluster in the mesh)"
    elif not _DOMAIN.fullmatch(found.cluster):
        yield "$.cluster", f"cannot be {found.cluster!r} (hint: lower case letters, digits, - and .)"
    written = {said: getattr(found, name) for said, name in _WRITTEN.items()}
    for name, (shape, hint) in _SHAPES.items():
        value = written[name]
        if not shape.fullmatch(value) and not (name in _MAY_BE_EMPTY and not value):
            yield f"$.{name}", f"cannot be {value!r} (hint: {hint})"
    if found.revision == "default":
        yield "$.revision", "cannot be 'default' (hint: leave it out: that is the one without a name)"
    for name in ("trustDomain", "pilotTrustDomain", "domain"):
        value = written[name]
        if not (_DOMAIN.fullmatch(value) and is_trust_domain(value)) and (
            value or name != "pilotTrustDomain"
        ):
            yield f"$.{name}", f"cannot be {value!r} (hint: such as cluster.local)"
    for at, names in (("readableSecrets", found.secrets), ("imagePullSecrets", found.image_pull_secrets)):
        for index, name in enumerate(names):
            if not is_subdomain(name):
                yield (
                    f"$.{at}[{index}]",
                    f"cannot be {name!r} (hint: the name of a Secret, as credentialName says it)",
                )
    for index, address in enumerate(found.pilot_addresses):
        if not is_address(address):
            hint = "(hint: that of Pilot's pod; Pilot keeps it true)"
            yield f"$.pilotAddresses[{index}]", f"{address!r} is no IP address {hint}"


def patterns() -> Iterator[tuple[str, str]]:
    """For each value that is one word what it must look like, as a regular expression of JSON Schema."""
    domains = dict.fromkeys(("cluster", "trustDomain", "pilotTrustDomain", "domain"), _DOMAIN)
    for name, shape in ({each: shape for each, (shape, _) in _SHAPES.items()} | domains).items():
        yield name, f"^(?:{shape.pattern}){'?' if name in _MAY_BE_EMPTY else ''}$"
    for name, shape in injection_elsewhere.SHAPES.items():
        yield name, f"^(?:{shape.pattern})?$"


def _mesh(found: Installation) -> Iterator[Problem]:
    for name in sorted(_OURS & found.mesh.keys()):
        yield f"$.mesh.{name}", "is told by other values (hint: namespace, trustDomain)"
    try:
        checked_mesh_config(yaml.safe_dump(dict(found.mesh)))
    except InvalidConfig as error:
        for path, what in error.problems:
            yield f"$.mesh{path.removeprefix('$')}", what


def _sidecar(found: Installation) -> Iterator[Problem]:
    for name in sorted(_BY_OTHERS & found.sidecar.keys()):
        yield f"$.sidecar.{name}", f"is told by another value (hint: write {name} beside sidecar)"
    rest = {name: value for name, value in found.sidecar.items() if name not in _BY_OTHERS}
    said = shaped(rest | {"cluster": "any"}, InjectSettings, "injection's settings")
    for path, what in (*said.wrong, *said.unread):
        yield f"$.sidecar{path.removeprefix('$')}", what


def _citadel(found: Installation) -> Iterator[Problem]:
    if ALL in found.account_secrets and len(found.account_secrets) > 1:
        yield "$.accountSecrets", "* stands for all namespaces (hint: * alone, or namespaces)"
    for index, place in enumerate(found.account_secrets):
        if place != ALL and not is_domain_label(place):
            yield f"$.accountSecrets[{index}]", f"cannot be {place!r} (hint: a namespace, or * for all)"
    try:
        parse_vouched(found.vouched)
    except ValueError as error:
        yield "$.vouch", str(error)


def _container(at: str, found: Container) -> Iterator[Problem]:
    yield from _resources(f"{at}.resources", found.resources)
    for index, argument in enumerate(found.arguments):
        if not argument.startswith("--"):
            yield f"{at}.arguments[{index}]", f"{argument!r} is no flag (hint: --NAME=VALUE, in one)"
    for name in found.environment:
        if not _VARIABLE.fullmatch(name):
            yield f"{at}.environment.{name}", "is no name of a variable (hint: letters, digits, _, - and .)"


def _resources(at: str, found: Resources) -> Iterator[Problem]:
    sizes: dict[tuple[str, str], float] = {}
    for part, said in (("requests", found.requests), ("limits", found.limits)):
        for name, text in said.items():
            size = _size(text)
            if size is None:
                yield f"{at}.{part}.{name}", f"{text!r} is no quantity (hint: such as 500m, 2, 256Mi or 1Gi)"
            else:
                sizes[part, name] = size
    for name, text in found.requests.items():
        most = sizes.get(("limits", name))
        if most is not None and sizes.get(("requests", name), 0.0) > most:
            yield (
                f"{at}.requests.{name}",
                f"{text} is more than the limit {found.limits[name]} (hint: raise the limit)",
            )


def _size(text: str) -> float | None:
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return None
    number, unit, power = found.groups()
    return float(number) * (10.0 ** int(power) if power else _SIZES[unit or ""])


def _pods(at: str, found: Pods) -> Iterator[Problem]:
    yield from _autoscaling(f"{at}.autoscaling", found.autoscaling)
    yield from _disruption(f"{at}.disruption", found.disruption)
    yield from labels(f"{at}.labels", found.labels)
    yield from labels(f"{at}.nodeSelector", found.node_selector)
    for name in found.annotations:
        domain, slash, rest = name.rpartition("/")
        yield from label_name(f"{at}.annotations", f"{domain.lower()}{slash}{rest}")
    if found.priority_class and not is_subdomain(found.priority_class):
        yield f"{at}.priorityClass", f"cannot be {found.priority_class!r} (hint: the name of a PriorityClass)"
    for index, each in enumerate(found.tolerations):
        if not each.key and each.operator != "Exists":
            yield f"{at}.tolerations[{index}].key", "is missing (hint: or operator: Exists, for every taint)"
        if each.value and each.operator == "Exists":
            yield (
                f"{at}.tolerations[{index}].value",
                "has no place beside operator: Exists (hint: leave it out)",
            )


def _autoscaling(at: str, found: Autoscaling) -> Iterator[Problem]:
    if found.min_replicas > found.max_replicas:
        seen = f"{found.min_replicas} is more than maxReplicas, {found.max_replicas}"
        yield f"{at}.minReplicas", f"{seen} (hint: raise maxReplicas)"


def _disruption(at: str, found: Disruption) -> Iterator[Problem]:
    for name, value in (("maxUnavailable", found.max_unavailable), ("minAvailable", found.min_available)):
        share = _PERCENT.fullmatch(value) if isinstance(value, str) else None
        is_share = share is not None and int(share[1]) <= 100
        if not (value is None or is_share or (isinstance(value, int) and value >= 0)):
            yield f"{at}.{name}", f"cannot be {value!r} (hint: a number of pods, or a share such as 50%)"


def _gateway(at: str, found: Gateway) -> Iterator[Problem]:
    yield from _pods(at, found)
    yield from _resources(f"{at}.resources", found.resources)
    seen: set[str] = set()
    for index, each in enumerate(found.service.ports):
        if not is_domain_label(each.name):
            yield (
                f"{at}.service.ports[{index}].name",
                f"cannot be {each.name!r} (hint: such as http2 or tcp-mysql)",
            )
        if each.name in seen:
            yield (
                f"{at}.service.ports[{index}].name",
                f"{each.name} stands twice (hint: each port has its own name)",
            )
        seen.add(each.name)


def _namespaces(at: str, names: tuple[str, ...]) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if not is_domain_label(name):
            yield f"{at}[{index}]", f"cannot be {name!r} (hint: lower case letters, digits and -)"


def touched(spec: Mapping[str, object], at: str = "$") -> Iterator[str]:
    """The paths of all that `spec` says."""
    for key, value in spec.items():
        path = f"{at}.{key}"
        yield path
        if isinstance(value, Mapping):
            yield from touched(value, path)
