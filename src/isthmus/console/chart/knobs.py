"""What the chart's values do to objects: which stand in them as they are, and which decide what is there.

Each setting is of one of a few sorts. A text, a number or a part stands in an object wherever its mark does; a list or
map makes something of each entry; a choice has some ways to be taken.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from isthmus.kit import x509

NAMESPACE, USUAL, PLACE = "zz-namespace-zz", "istio-system", "zz-place-zz"
_HERE, _THERE = '(include "isthmus.namespace" $)', '(include "isthmus.place" $)'


class Knob(NamedTuple):
    """A value of the chart that decides something: its ways, and when each is taken. The first is the usual one."""

    path: str
    values: tuple[Any, ...]  # of the setting, a way each
    tests: tuple[str, ...]  # expressions of templates


class Each(NamedTuple):
    """A mark that stands for something of each entry of a list or map."""

    opening: str  # what goes over the entries
    expression: str
    path: str


class Marks(NamedTuple):
    """What stands in objects in place of a value, and the expression that puts the value there."""

    texts: dict[str, str]
    numbers: dict[int, str]
    parts: dict[str, str]  # by the JSON of a map, list or single value
    each: dict[str, Each]


class Shape(NamedTuple):
    """Objects that are laid over each other: of a role, and of a layout where it has several."""

    name: str
    role: str
    layout: str = ""
    pods: str = "controlPlane"
    fixed: tuple[str, ...] = ()  # texts that must be there

    @property
    def is_gateway(self) -> bool:
        """Whether it is an Envoy at an edge."""
        return self.pods.endswith("Gateway")


SHAPES = (
    Shape("primary-together", "primary", "together"),
    Shape("primary-apart", "primary", "apart"),
    Shape("remote", "remote"),
    Shape("gateway", "gateway", pods="ingressGateway"),
    Shape("egress-gateway", "egress-gateway", pods="egressGateway"),
    Shape("eastwest", "eastwest", pods="eastWestGateway", fixed=("network",)),
    Shape("networks", "networks", pods=""),
    Shape("secret-reader", "secret-reader", pods=""),
    Shape("remote-secrets", "remote-secrets", pods=""),
)
_TEXTS = {
    "cluster": "zz-cluster-zz",
    "network": "zz-network-zz",
    "revision": "zz-revision-zz",
    "image": "zz-image-zz:1",
    "trustDomain": "zz-trust-zz",
    "pilotTrustDomain": "zz-pilots-zz",
    "domain": "zz-domain-zz",
    "accessLog": "/zz-log-zz",
    "clustersDir": "/zz-clusters-zz",
    "pilot.keptClustersClaim": "zz-claim-zz",
}
_MAY_BE_EMPTY = {
    "network",
    "revision",
    "accessLog",
    "pilotTrustDomain",
    "clustersDir",
    "pilot.keptClustersClaim",
}
_WORDS: dict[str, tuple[Any, ...]] = {
    "managedGateways": (True, False),
    "ca": ("", "plugged-in", "self-signed", "either"),
    "renewals": (False, True),
    "networkPolicies.enabled": (True, False),
    "pilot.plainXds": (False, True),
    "webhooks.enabled": (True, False),
    "webhooks.failurePolicy": ("Fail", "Ignore"),
    "webhooks.validationFailurePolicy": ("Ignore", "Fail"),
    "webhooks.injectByDefault": (False, True),
}
_LISTS = {
    "vouch": "zz-vouch-zz=*",
    "networkPolicies.monitoringNamespaces": "zz-monitoring-zz",
    "pilot.arguments": "--zz-pilot-zz",
    "citadel.arguments": "--zz-citadel-zz",
    "injector.arguments": "--zz-injector-zz",
}
_CONTAINERS = ("pilot", "citadel", "injector")
_ELSEWHERE = "https://zz-elsewhere-zz:15017"
BESIDE = {
    "revision",
    "webhooks.enabled",
    "webhooks.injectByDefault",
    "renewals",
    "gatewayNamespace",
    "accountSecrets",
}
"""What brings along, or puts in order, something that other values change."""
TOGETHER = (
    ("injectionURL", "namespace"),
    ("injectionURL", "network"),
    ("injectionURL", "injectionRoots"),
    ("injectionURL", "network", "webhooks.injectByDefault"),
    ("injectionURL", "injectionRoots", "webhooks.injectByDefault"),
)
"""What changes something in webhooks that ask elsewhere, and in one that only the last of three brings along."""


@cache
def _some_roots() -> str:
    """A root in PEM, of which nothing stays in the chart."""
    return x509.bundle_pem([x509.root(x509.new_key(), "mark", x509.Life(0, 1))]).decode()


def value(path: str) -> str:
    """The expression of a value."""
    return f"$.Values.{path}"


class Knobs:
    """The knobs of a shape, and the marks that stand in its objects."""

    def __init__(self, shape: Shape) -> None:
        self.found: list[Knob] = []
        self.marks = Marks({NAMESPACE: _HERE[1:-1], PLACE: _THERE[1:-1]}, {}, {}, {})
        self.fixed: dict[str, Any] = {"layout": shape.layout} if shape.layout else {}
        self._texts(_TEXTS, _MAY_BE_EMPTY - {*shape.fixed})
        # One name is that of Istio's own where the namespace is the usual one.
        self._knob("namespace", (NAMESPACE, USUAL), (f'(ne {_HERE} "{USUAL}")', f'(eq {_HERE} "{USUAL}")'))
        self._words({"imagePullPolicy": ("", "Always", "IfNotPresent", "Never")})
        self._lists({"imagePullSecrets": "zz-puller-zz"})
        if shape.pods:
            self._pods(shape.pods)
        if shape.is_gateway or not shape.pods:
            self._places()
        if shape.is_gateway:
            self._service(f"{shape.pods}.service")
            self._resources(f"{shape.pods}.resources")
        elif shape.pods:
            self._control_plane()
        if shape.role == "remote":
            self._injector_elsewhere()

    def _places(self) -> None:
        self._knob("gatewayNamespace", (PLACE, ""), (f"(ne {_THERE} {_HERE})", f"(eq {_THERE} {_HERE})"))
        self._lists({"readableSecrets": "zz-read-secret-zz"})

    def _control_plane(self) -> None:
        self._words(_WORDS)
        self._numbers({"webhooks.timeoutSeconds": 29})
        self._lists(_LISTS | {"pilotAddresses": "203.0.113.73"})
        path = "accountSecrets"
        all_, some = f'(has "*" {value(path)})', f"{value(path)}"
        self._knob(
            path,
            ([], ["zz-accounts-zz"], ["*"]),
            (f"(not {some})", f"(and {some} (not {all_}))", all_),
        )
        self._entry("zz-accounts-zz", path, "$each := ", "$each")
        for each in _CONTAINERS:
            self._resources(f"{each}.resources")
            self._map(f"{each}.environment", f"zz-{each}-variable-zz", f"zz-{each}-said-zz")

    def _injector_elsewhere(self) -> None:
        url, roots, pem = value("injectionURL"), value("injectionRoots"), _some_roots()
        self.marks.texts[_ELSEWHERE] = f'{url} | trimSuffix "/"'
        self.marks.texts[b64encode(pem.encode()).decode()] = f"{roots} | b64enc"
        self._knob("injectionURL", ("", _ELSEWHERE), (f"(not {url})", url))
        self._knob("injectionRoots", ("", pem), (f"(not {roots})", roots))

    def _pods(self, at: str) -> None:
        self._texts({f"{at}.priorityClass": "zz-priority-zz"}, {f"{at}.priorityClass"})
        scaling = f"{at}.autoscaling"
        self._words(
            {
                f"{scaling}.enabled": (True, False),
                f"{at}.disruption.enabled": (True, False),
                f"{at}.spread": ("preferred", "none", "required"),
            }
        )
        names = ("minReplicas", "maxReplicas", "cpu")
        self._numbers({f"{at}.replicas": 731})
        self._numbers({f"{scaling}.{name}": number for number, name in enumerate(names, 732)})
        self._or_none(f"{scaling}.memory", 735, 0)
        self.fixed[f"{at}.disruption.maxUnavailable"] = "71%"
        self.marks.parts['"71%"'] = f"{value(f'{at}.disruption.maxUnavailable')} | toJson"
        self._or_none(f"{at}.disruption.minAvailable", "72%", None)
        self._parts(
            {
                f"{at}.nodeSelector": {"zz-node": "zz"},
                f"{at}.affinity": {"zz-affinity": "zz"},
                f"{at}.tolerations": [{"key": "zz-taint"}],
            }
        )
        self._map(f"{at}.labels", "zz-label-zz", "zz-labelled-zz")
        self._map(f"{at}.annotations", "zz-annotation-zz", "zz-annotated-zz")

    def _service(self, at: str) -> None:
        types = (None, "LoadBalancer", "NodePort", "ClusterIP")
        self._knob(f"{at}.type", types, tuple(_test(f"{at}.type", each) for each in types))
        self._parts({f"{at}.annotations": {"zz-noted": "zz"}})
        self._parts({f"{at}.loadBalancerSourceRanges": ["203.0.113.0/27"]})
        self._texts({f"{at}.loadBalancerClass": "zz-balancer-zz"}, {f"{at}.loadBalancerClass"})
        self._words({f"{at}.externalTrafficPolicy": ("", "Cluster", "Local")})
        path = f"{at}.ports"
        self._knob(path, ([], [{"name": "zz-port", "port": 7399}]), (f"(not {value(path)})", value(path)))
        made = [{"name": "zz-port", "port": 7399, "targetPort": 7399}]
        self.marks.parts[_json(made)] = f'include "isthmus.ports" {value(path)}'

    def _resources(self, at: str) -> None:
        for number, name in enumerate(("requests", "limits"), len(self.marks.parts)):
            self._parts({f"{at}.{name}": {"cpu": f"73{number:02}m"}})

    def _knob(self, path: str, values: tuple[Any, ...], tests: tuple[str, ...]) -> None:
        self.found.append(Knob(path, values, tests))

    def _texts(self, texts: dict[str, str], may_be_empty: set[str]) -> None:
        for path, text in texts.items():
            self.marks.texts[text] = value(path)
            if path in may_be_empty:
                self._knob(path, ("", text), (f"(not {value(path)})", value(path)))
            else:
                self.fixed[path] = text

    def _words(self, words: dict[str, tuple[Any, ...]]) -> None:
        for path, ways in words.items():
            self._knob(path, ways, tuple(_test(path, each) for each in ways))

    def _numbers(self, numbers: dict[str, int]) -> None:
        for path, number in numbers.items():
            self.marks.numbers[number] = f"{value(path)} | int"
            self.fixed[path] = number

    def _or_none(self, path: str, mark: int | str, none: int | None) -> None:
        """A value that is left out when it is `none`."""
        self.marks.parts[_json(mark)] = f"{value(path)} | toJson"
        without = f"(not {value(path)})" if none == 0 else f'(kindIs "invalid" {value(path)})'
        there = value(path) if none == 0 else f"(not {without})"
        self._knob(path, (none, mark), (without, there))

    def _parts(self, parts: dict[str, Any]) -> None:
        for path, part in parts.items():
            self.marks.parts[_json(part)] = f"toYaml {value(path)}"
            self._knob(path, (part, type(part)()), (value(path), f"(not {value(path)})"))

    def _lists(self, lists: dict[str, str]) -> None:
        for path, mark in lists.items():
            self._entry(mark, path, "$each := ", "$each")
            self._knob(path, ([], [mark]), (f"(not {value(path)})", value(path)))

    def _map(self, path: str, name: str, said: str) -> None:
        self._entry(name, path, "$name, $each := ", "$name")
        self._entry(said, path, "$name, $each := ", "$each")
        self._knob(path, ({}, {name: said}), (f"(not {value(path)})", value(path)))

    def _entry(self, mark: str, path: str, opening: str, expression: str) -> None:
        self.marks.each[mark] = Each(opening, expression, path)


def _json(part: Any) -> str:
    return json.dumps(part, sort_keys=True)


def _test(path: str, way: object) -> str:
    match way:
        case True:
            return value(path)
        case False | None:
            return f"(not {value(path)})"
    return f"(eq (toString {value(path)}) {json.dumps(way)})"


def paths(shape: Shape) -> Iterator[str]:
    """All values that a shape looks at."""
    knobs = Knobs(shape)
    yield from knobs.fixed
    yield from (each.path for each in knobs.found)
