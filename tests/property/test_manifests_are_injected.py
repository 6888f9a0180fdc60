"""Whatever a manifest says: injection names what is wrong, or does all of it, and nothing twice."""

from __future__ import annotations

import copy

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from isthmus.sidecar.inject.manifest import InvalidManifest, inject_manifest, uninject_manifest
from isthmus.sidecar.inject.settings import InjectSettings

SETTINGS = InjectSettings(cluster="gke")
KINDS = {
    "Pod": ("v1", ()),
    "ReplicationController": ("v1", ("spec", "template")),
    "Deployment": ("apps/v1", ("spec", "template")),
    "DaemonSet": ("apps/v1", ("spec", "template")),
    "ReplicaSet": ("apps/v1", ("spec", "template")),
    "StatefulSet": ("apps/v1", ("spec", "template")),
    "Job": ("batch/v1", ("spec", "template")),
    "CronJob": ("batch/v1", ("spec", "jobTemplate", "spec", "template")),
}
_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=6)
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70_000) | _WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_WORDS, inner, max_size=2),
    max_leaves=4,
)


def seldom_else(usual):
    """Mostly what it should be."""
    return st.integers(0, 29).flatmap(lambda number: usual if number else _ANYTHING)


def fields(**usual):
    """An object with some of the fields."""
    return st.fixed_dictionaries({}, optional={name: seldom_else(each) for name, each in usual.items()})


_NAMES = st.sampled_from(["app", "b-1", "istio-proxy", "istio-init", "istio-token", "data"])
_PORTS = st.sampled_from([80, 8080, 40_000, 65_535, "http", "8080", 0, 70_000])
_ANNOTATIONS = st.sampled_from(
    [
        ("sidecar.istio.io/inject", "false"),
        ("sidecar.istio.io/inject", "true"),
        ("sidecar.istio.io/rewriteAppHTTPProbers", "false"),
        ("sidecar.istio.io/rewriteAppHTTPProbers", "perhaps"),
        (
            "sidecar.istio.io/status",
            '{"containers": 7, "volumes": [1, {}], "probes": {"/app-health/app/livez": {}}}',
        ),
        ("sidecar.istio.io/status", "[]"),
        ("sidecar.istio.io/proxyImage", "mine:1"),
        ("sidecar.istio.io/userVolume", "{"),
        ("sidecar.istio.io/userVolume", '{"data": {"emptyDir": {}}}'),
        ("status.sidecar.istio.io/port", "0"),
        ("status.sidecar.istio.io/port", "x"),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "40000,65535"),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "65536"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "fd00::/8, 10.0.0.0/8"),
        ("proxy.istio.io/config", "concurrency: 3"),
        ("proxy.istio.io/config", "{a: ["),
        ("prometheus.io/scrape", "true"),
        ("own", "1e3"),
    ]
)
_HANDLERS = fields(
    httpGet=fields(port=_PORTS, path=_WORDS), tcpSocket=fields(port=_PORTS), timeoutSeconds=st.just(2)
)
_CONTAINER = seldom_else(
    fields(
        name=_NAMES,
        image=st.just("i"),
        ports=st.lists(fields(name=st.just("http"), containerPort=_PORTS), max_size=2),
        readinessProbe=_HANDLERS,
        lifecycle=fields(preStop=_HANDLERS, postStart=_HANDLERS),
        restartPolicy=st.just("Always"),
    )
)
_SPECS = st.fixed_dictionaries(
    {"containers": seldom_else(st.lists(_CONTAINER, min_size=1, max_size=2))},
    optional={
        "initContainers": seldom_else(st.lists(_CONTAINER, max_size=2)),
        "volumes": seldom_else(st.lists(fields(name=_NAMES), max_size=2)),
        "hostNetwork": seldom_else(st.just(False)),
    },
)
_METADATA = fields(
    labels=fields(app=st.just("a"), version=st.just("v1")),
    annotations=st.lists(_ANNOTATIONS, max_size=2).map(dict),
)
_TEMPLATES = st.fixed_dictionaries(
    {"spec": seldom_else(_SPECS)}, optional={"metadata": seldom_else(_METADATA)}
)


@st.composite
def workloads(draw):
    """A workload of any kind, mostly right."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    version, path = KINDS[kind]
    made = draw(seldom_else(_TEMPLATES))
    if not path and not isinstance(made, dict):
        made = {}
    for key in reversed(path):
        made = {key: made}
    meta = draw(seldom_else(fields(name=st.just("a"), namespace=st.sampled_from(["shop", "kube-system"]))))
    own = made.get("metadata") if not path else None
    if isinstance(meta, dict) and isinstance(own, dict):
        meta = {**own, **meta}
    return {"apiVersion": version, "kind": kind, **made, "metadata": meta}


SIDE_BY_SIDE = {"template": {"spec": {"containers": [{"name": "istio-proxy"}, {"name": "istio-init"}]}}}


NAMELESS = {
    "containers": [
        {"lifecycle": {"preStop": {"httpGet": {"path": path, "port": 80}}}} for path in ("/", "/b")
    ]
}

OWN_PROXY = {
    "containers": [{}],
    "initContainers": [{"name": "istio-proxy", "restartPolicy": "Always", "ports": False}],
}


@example([{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": SIDE_BY_SIDE}], False)
@example([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": NAMELESS}], False)
@example([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": OWN_PROXY}], False)
@given(st.lists(workloads(), max_size=2), st.booleans())
def test_a_stream_of_manifests_is_injected_or_what_is_wrong_in_it_is_named(documents, is_list):
    whole = [{"apiVersion": "v1", "kind": "List", "items": documents}] if is_list else documents
    text = yaml.safe_dump_all(whole, sort_keys=False, allow_unicode=True)
    before = copy.deepcopy(whole)
    try:
        found = inject_manifest(text, SETTINGS)
    except InvalidManifest as error:
        assert "document " in str(error)
        return
    assert whole == before
    assert len(found.outcomes) == len(documents)
    again = inject_manifest(found.text, SETTINGS)
    assert again.text == found.text, "twice is once"
    if not any(each.changed for each in found.outcomes):
        assert found.text == text
    was_injected = "sidecar.istio.io/status" in text
    bare = uninject_manifest(found.text)
    if not was_injected:
        assert [*map(without_empty, yaml.safe_load_all(bare.text))] == [*map(without_empty, whole)]
    assert uninject_manifest(bare.text).text == bare.text


def without_empty(value):
    """A document without what says nothing."""
    if isinstance(value, dict):
        kept = {key: without_empty(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in (None, {}, [])}
    return [without_empty(each) for each in value] if isinstance(value, list) else value
