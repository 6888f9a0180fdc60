from __future__ import annotations

import pytest

from isthmus.model.endpoint import Locality
from isthmus.model.proxy import ProxyKind, proxy_from_node

NODE = "sidecar~10.0.0.1~reviews-v1.shop~shop.svc.cluster.local"
HERE = Locality("eu")


def test_a_node_is_a_proxy():
    metadata = {
        "CLUSTER_ID": "east",
        "NETWORK": "n",
        "LABELS": {"b": "2", "a": "1"},
        "SERVICE_ACCOUNT": "bob",
    }
    found = proxy_from_node(NODE, metadata, HERE)
    assert (found.kind, found.address, found.name) == (ProxyKind.SIDECAR, "10.0.0.1", "reviews-v1")
    assert (found.namespace, found.cluster, found.network) == ("shop", "east", "n")
    assert (found.labels, found.service_account) == ((("a", "1"), ("b", "2")), "bob")
    assert (found.domain, found.locality) == ("cluster.local", HERE)
    assert found.has_labels({"a": "1"})
    assert not found.has_labels({"a": "2"})
    assert proxy_from_node(NODE.replace("cluster.local", "corp"), metadata, HERE).domain == "corp"


def test_names_may_have_dots():
    node = "router~10.0.0.1~a.b.shop~shop.svc.cluster.local"
    found = proxy_from_node(node, {"CLUSTER_ID": "east"}, HERE)
    assert (found.kind, found.name, found.namespace) == (ProxyKind.ROUTER, "a.b", "shop")


@pytest.mark.parametrize(
    ("node", "metadata", "words"),
    [
        ("", {"CLUSTER_ID": "east"}, "has not the form"),
        ("sidecar~~a.b~c", {"CLUSTER_ID": "east"}, "has not the form"),
        (NODE, {}, "says no CLUSTER_ID"),
        (NODE, {"CLUSTER_ID": ""}, "says no CLUSTER_ID"),
        (NODE, {"CLUSTER_ID": 5}, "says no CLUSTER_ID"),
        (NODE.replace("sidecar", "boat"), {"CLUSTER_ID": "east"}, "boat"),
    ],
)
def test_a_node_that_lacks_something_is_refused(node, metadata, words):
    with pytest.raises(ValueError, match=words):
        proxy_from_node(node, metadata, HERE)
