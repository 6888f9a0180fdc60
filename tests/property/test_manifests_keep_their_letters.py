"""However a manifest is written: injection only adds to its letters, and `kube-uninject` gives back the very same."""

from __future__ import annotations

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from drawn.written_yaml import Writer
from isthmus.api.yaml import documents
from isthmus.sidecar.inject.manifest import inject_manifest, inject_object, uninject_manifest
from isthmus.sidecar.inject.settings import InjectSettings

_SETTINGS = (
    InjectSettings(cluster="gke"),
    InjectSettings(cluster="gke", hold_application=True, merge_metrics=False),
    InjectSettings(cluster="gke", native_sidecars=True),
)
_WORDS = st.sampled_from(
    ["a", "v1", "1e3", "y", "no", "it's", "a: b", "# no comment", "über", "tab\tbed", "two\nlines", "{}"]
)
_HANDLERS = st.sampled_from(
    [
        {"httpGet": {"path": "/healthz", "port": 8080}},
        {
            "httpGet": {
                "path": "/",
                "port": "http",
                "scheme": "HTTPS",
                "httpHeaders": [{"name": "A", "value": "b"}],
            }
        },
        {"tcpSocket": {"port": 8080}, "periodSeconds": 3},
        {"initialDelaySeconds": 1, "grpc": {"port": 8080, "service": ""}},
        {"exec": {"command": ["true"]}},
    ]
)


def optional(**usual):
    return st.fixed_dictionaries({}, optional=usual)


def container(name):
    fields = {
        "image": st.just("i:1"),
        "ports": st.just([{"name": "http", "containerPort": 8080}]),
        "env": st.lists(st.builds(lambda word: {"name": "A", "value": word}, _WORDS), max_size=1),
        "livenessProbe": _HANDLERS,
        "readinessProbe": _HANDLERS,
        "args": st.lists(_WORDS, max_size=2),
        "lifecycle": optional(preStop=st.just({"httpGet": {"port": 8080, "path": "/stop"}})),
    }
    return st.fixed_dictionaries({"name": st.just(name)}, optional=fields)


_AUTO = st.just({"name": "istio-proxy", "image": "auto", "resources": {"limits": {"cpu": "3"}}})
_TEXTS = st.dictionaries(st.sampled_from(["app", "version", "a/b"]), _WORDS, max_size=2)
_ANNOTATIONS = st.builds(
    lambda one, other: one | other,
    _TEXTS,
    optional(
        **{
            "prometheus.io/port": st.just("9090"),
            "prometheus.io/scrape": st.sampled_from(["true", "false"]),
            "traffic.sidecar.istio.io/excludeInboundPorts": st.just("1,65535"),
        }
    ),
)
_SPECS = st.fixed_dictionaries(
    {
        "containers": st.sampled_from(
            [["app"], ["app", "other"], ["istio-proxy", "app"], ["app", "istio-proxy"]]
        ).flatmap(
            lambda names: st.tuples(
                *(_AUTO if name == "istio-proxy" else container(name) for name in names)
            ).map(list)
        )
    },
    optional={
        "initContainers": st.lists(container("first"), max_size=1),
        "volumes": st.none() | st.lists(st.just({"name": "data", "emptyDir": {}}), max_size=1),
        "serviceAccountName": _WORDS,
        "nodeSelector": _TEXTS,
    },
)
_METADATA = optional(labels=_TEXTS | st.none(), annotations=_ANNOTATIONS)


@st.composite
def workloads(draw):
    template = draw(st.fixed_dictionaries({"spec": _SPECS}, optional={"metadata": _METADATA}))
    meta = {"name": draw(st.sampled_from(["reviews", "ratings"]))}
    if draw(st.booleans()):
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            **template,
            "metadata": {**(template.get("metadata") or {}), **meta},
        }
    spec = (
        {"template": template, "replicas": 1}
        if draw(st.booleans())
        else {"selector": {}, "template": template}
    )
    return {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": meta, "spec": spec}


@st.composite
def written(draw):
    """A stream of documents."""
    texts = [Writer(draw).document(each) for each in draw(st.lists(workloads(), min_size=1, max_size=2))]
    stream_ = "---\n".join(each if each.endswith("\n") else each + "\n" for each in texts[:-1])
    return stream_ + ("---\n" if stream_ else draw(st.sampled_from(["", "# first\n", "---\n"]))) + texts[-1]


def in_json(*names):
    """A Deployment with containers of these names, of which the sidecar's is only begun."""
    found = [{"name": name, "image": "auto" if name == "istio-proxy" else "i:1"} for name in names]
    spec = {"template": {"spec": {"containers": found}}}
    named = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "reviews"}, "spec": spec}
    return json.dumps(named, indent=2) + "\n"


@example(in_json("istio-proxy", "app"), _SETTINGS[0])
@example(in_json("app", "istio-proxy", "other"), _SETTINGS[0])
@example(in_json("app", "istio-proxy"), _SETTINGS[2])
@given(written(), st.sampled_from(_SETTINGS))
@settings(max_examples=60)
def test_what_is_injected_is_taken_out_again_to_the_letter(text, chosen):
    out = inject_manifest(text, chosen).text
    assert inject_manifest(out, chosen).text == out
    for before, after in zip(documents(text), documents(out), strict=True):
        meant, _ = inject_object(before.value, chosen, "default")
        assert without_status(after.value) == without_status(meant)
    assert uninject_manifest(out).text == text


def without_status(value):
    if isinstance(value, dict):
        return {key: without_status(each) for key, each in value.items() if key != "sidecar.istio.io/status"}
    return [without_status(each) for each in value] if isinstance(value, list) else value
