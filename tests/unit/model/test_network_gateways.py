"""Where a Service lets calls into a network, and what is said where it cannot."""

from __future__ import annotations

import pytest

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.api.yaml import documents
from isthmus.model.network_gateways import Wrong, entrances

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: eastwest, labels: {LABELS}, annotations: {ANNOTATIONS}}
spec: {externalIPs: [203.0.113.9], ports: [{name: tls, port: 15443, nodePort: 30443}, {name: bare, port: 15444}]}
status: {loadBalancer: {ingress: [{ip: 203.0.113.7}, {hostname: lb.example.com}]}}
"""
NODES = """
apiVersion: v1
kind: Node
metadata: {name: a, labels: {edge: "yes"}}
status: {addresses: [{type: InternalIP, address: 10.0.0.1}, {type: ExternalIP, address: 203.0.113.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: b}
status: {addresses: [{type: InternalIP, address: 10.0.0.2}]}
"""


def read(kind, text):
    return [decode(kind_named(kind), each.value) for each in documents(text)]


def entered(labels="", annotations=""):
    text = SERVICE.replace("{LABELS}", f"{{{labels}}}")
    (service,) = read("Service", text.replace("{ANNOTATIONS}", f"{{{annotations}}}"))
    return [f"{each.address}:{each.port}" for each in entrances(service, read("Node", NODES))]


AT_NODES = "traffic.istio.io/nodeSelector: '%s'"


@pytest.mark.parametrize(
    ("labels", "annotations", "expected"),
    [
        ("", "", ["203.0.113.7:15443", "lb.example.com:15443", "203.0.113.9:15443"]),
        (
            'networking.istio.io/gatewayPort: "443"',
            "",
            ["203.0.113.7:443", "lb.example.com:443", "203.0.113.9:443"],
        ),
        ("", AT_NODES % '{"edge": "yes"}', ["203.0.113.1:30443"]),
        ("", AT_NODES % "{}", ["203.0.113.1:30443", "10.0.0.2:30443"]),
        ("", AT_NODES % '{"edge": "no"}', []),
    ],
)
def test_a_network_is_entered_at_balancers_external_addresses_or_nodes(labels, annotations, expected):
    assert entered(labels, annotations) == expected


@pytest.mark.parametrize(
    ("labels", "annotations", "message"),
    [
        ("networking.istio.io/gatewayPort: tls", "", "label networking.istio.io/gatewayPort is 'tls'"),
        ('networking.istio.io/gatewayPort: "0"', "", "label networking.istio.io/gatewayPort is '0'"),
        ("", AT_NODES % "edge", "which is no JSON"),
        ("", AT_NODES % "[]", "is '\\[\\]' \\(hint"),
        ('networking.istio.io/gatewayPort: "15444"', AT_NODES % "{}", "has no nodePort for port 15444"),
        ('networking.istio.io/gatewayPort: "15445"', AT_NODES % "{}", "has no nodePort for port 15445"),
    ],
)
def test_what_cannot_be_read_is_said_with_the_mend(labels, annotations, message):
    with pytest.raises(Wrong, match=message) as raised:
        entered(labels, annotations)
    assert "(hint: " in str(raised.value)
