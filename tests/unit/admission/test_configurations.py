from __future__ import annotations

import itertools

import pytest

from isthmus.admission.configurations import Serving, injector_name, mutating, validating, validator_name
from isthmus.lab.apiserver.selectors import labels_match

YES, NO = "enabled", "disabled"
NAMESPACES = [
    {"kubernetes.io/metadata.name": name} | injection | revision
    for name in ("shop", "kube-system", "istio-system")
    for injection in ({}, {"istio-injection": YES}, {"istio-injection": NO})
    for revision in ({}, {"istio.io/rev": "default"}, {"istio.io/rev": "canary"})
]
PODS = [
    asked | revision
    for asked in ({}, {"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"})
    for revision in ({}, {"istio.io/rev": "default"}, {"istio.io/rev": "canary"})
]


def heard_by(namespace, pod, *servings):
    """The webhooks that hear of the pod, each with its revision."""
    return [
        (serving.revision, each["name"].removesuffix(".sidecar-injector.istio.io"))
        for serving in servings
        for each in mutating(serving)["webhooks"]
        if labels_match(each["namespaceSelector"], namespace) and labels_match(each["objectSelector"], pod)
    ]


DEFAULT, CANARY = Serving(), Serving(revision="canary", service="istiod-canary")
EVERYWHERE = Serving(everywhere=True)


@pytest.mark.parametrize("first", [DEFAULT, EVERYWHERE], ids=["labelled", "everywhere"])
def test_never_more_than_one_webhook_hears_of_a_pod(first):
    for namespace, pod in itertools.product(NAMESPACES, PODS):
        assert len(heard_by(namespace, pod, first, CANARY)) <= 1, (namespace, pod)


def test_nothing_waits_for_the_injector_that_it_needs_itself():
    for namespace, pod in itertools.product(NAMESPACES, PODS):
        if namespace["kubernetes.io/metadata.name"] != "shop":
            assert not heard_by(namespace, pod, EVERYWHERE, CANARY)


@pytest.mark.parametrize(
    ("namespace", "pod", "heard"),
    [
        ({}, {}, None),
        ({"istio-injection": YES}, {}, ("default", "namespace")),
        ({"istio-injection": YES}, {"sidecar.istio.io/inject": "false"}, None),
        ({}, {"sidecar.istio.io/inject": "true"}, ("default", "object")),
        ({"istio-injection": NO}, {"sidecar.istio.io/inject": "true"}, None),
        ({"istio.io/rev": "canary"}, {}, ("canary", "rev.namespace")),
        ({"istio.io/rev": "canary"}, {"sidecar.istio.io/inject": "false"}, None),
        ({}, {"istio.io/rev": "canary"}, ("canary", "rev.object")),
        ({}, {"istio.io/rev": "canary", "sidecar.istio.io/inject": "true"}, ("canary", "rev.object")),
        ({"istio-injection": YES, "istio.io/rev": "canary"}, {}, ("default", "namespace")),
        ({"istio.io/rev": "default"}, {}, ("default", "rev.namespace")),
        ({"istio-injection": NO}, {"istio.io/rev": "canary"}, None),
    ],
)
def test_labels_say_who_injects_as_in_istio(namespace, pod, heard):
    named = {"kubernetes.io/metadata.name": "shop"} | namespace
    assert heard_by(named, pod, DEFAULT, CANARY) == ([heard] if heard else [])


def test_everywhere_only_who_refuses_has_no_sidecar():
    shop = {"kubernetes.io/metadata.name": "shop"}
    assert heard_by(shop, {}, EVERYWHERE, CANARY) == [("default", "auto")]
    assert not heard_by(shop, {"sidecar.istio.io/inject": "false"}, EVERYWHERE, CANARY)
    assert not heard_by(shop | {"istio-injection": NO}, {}, EVERYWHERE, CANARY)


def test_an_object_is_validated_by_its_revision_and_else_by_the_default_one():
    for labels, wanted in (
        ({}, ["validation.istio.io"]),
        ({"istio.io/rev": "default"}, ["rev.validation.istio.io"]),
        ({"istio.io/rev": "canary"}, ["rev.validation.istio.io"]),
    ):
        heard = [
            each["name"]
            for serving in (DEFAULT, CANARY)
            for each in validating(serving)["webhooks"]
            if labels_match(each["objectSelector"], labels)
        ]
        assert heard == wanted


def test_names_are_istios():
    assert (injector_name(), validator_name()) == ("istio-sidecar-injector", "istio-validator-istio-system")
    assert injector_name("canary") == "istio-sidecar-injector-canary"
    assert validator_name("canary") == "istio-validator-canary-istio-system"
    assert injector_name("canary", "mesh") == "istio-sidecar-injector-canary-mesh"
    assert validator_name("default", "mesh") == "istio-validator-mesh"


def test_policies_and_paths_are_as_chosen():
    near, far = mutating(DEFAULT), mutating(Serving(url="https://hook.example/", where=("west", "far")))
    assert {each["failurePolicy"] for each in near["webhooks"]} == {"Fail"}
    assert {each["failurePolicy"] for each in validating(DEFAULT)["webhooks"]} == {"Ignore"}
    service = {"name": "istiod", "namespace": "istio-system", "path": "/inject", "port": 443}
    assert all(each["clientConfig"] == {"service": service} for each in near["webhooks"])
    assert far["webhooks"][0]["clientConfig"] == {"url": "https://hook.example/inject/cluster/west/net/far"}
