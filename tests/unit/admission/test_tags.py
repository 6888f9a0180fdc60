from __future__ import annotations

import itertools

import pytest

from isthmus.admission.configurations import Serving, mutating, validating
from isthmus.admission.tags import Tag, is_silenced, silenced, tag_objects
from isthmus.lab.apiserver.selectors import labels_match

NAMESPACES = [
    {"kubernetes.io/metadata.name": name} | injection | revision
    for name in ("shop", "kube-system", "istio-system")
    for injection in ({}, {"istio-injection": "enabled"}, {"istio-injection": "disabled"})
    for revision in ({}, *({"istio.io/rev": each} for each in ("default", "canary", "prod")))
]
PODS = [
    asked | revision
    for asked in ({}, {"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"})
    for revision in ({}, *({"istio.io/rev": each} for each in ("default", "canary", "prod")))
]
CANARY = Serving(revision="canary", service="istiod-canary", bundle="Um9vdA==", timeout_s=3)
STABLE = Serving()


def made(name, *, everywhere=False, serving=CANARY):
    """The objects of a tag that stands for the canary."""
    tag = Tag(name=name, revision=serving.revision, everywhere=everywhere)
    return tag_objects(tag, mutating(serving), validating(serving))


def heard_by(namespace, pod, *configurations):
    """The Services that are asked about the pod."""
    return [
        webhook["clientConfig"]["service"]["name"]
        for each in configurations
        for webhook in each["webhooks"]
        if labels_match(webhook["namespaceSelector"], namespace)
        and labels_match(webhook["objectSelector"], pod)
    ]


def test_a_tag_is_answered_by_its_revision_and_asked_for_by_its_own_name():
    webhooks, *_ = made("prod")
    assert webhooks["metadata"] == {
        "name": "istio-revision-tag-prod",
        "labels": {"app": "sidecar-injector", "istio.io/rev": "canary", "istio.io/tag": "prod"},
    }
    assert [each["name"] for each in webhooks["webhooks"]] == [
        "rev.namespace.sidecar-injector.istio.io",
        "rev.object.sidecar-injector.istio.io",
    ]
    for each, own in zip(webhooks["webhooks"], mutating(CANARY)["webhooks"], strict=True):
        assert each["clientConfig"] == own["clientConfig"]
        assert each["timeoutSeconds"] == 3
    shop = {"istio.io/rev": "prod"}
    assert heard_by(shop, {}, webhooks) == ["istiod-canary"]
    assert heard_by({}, {"istio.io/rev": "prod"}, webhooks) == ["istiod-canary"]
    assert heard_by({"istio.io/rev": "canary"}, {}, webhooks) == []


@pytest.mark.parametrize("everywhere", [False, True])
def test_with_tags_never_more_than_one_webhook_hears_of_a_pod(everywhere):
    prod, *_ = made("prod")
    default, *_ = made("default", everywhere=everywhere)
    all_of_them = (mutating(CANARY), prod, default, silenced(mutating(STABLE), silent=True))
    for namespace, pod in itertools.product(NAMESPACES, PODS):
        assert len(heard_by(namespace, pod, *all_of_them)) <= 1, (namespace, pod)
    asks = {"istio-injection": "enabled"}
    assert heard_by(asks, {}, *all_of_them) == ["istiod-canary"]
    assert heard_by({}, {}, *all_of_them) == (["istiod-canary"] if everywhere else [])
    for space in ("kube-system", "istio-system"):
        assert not heard_by(asks | {"kubernetes.io/metadata.name": space}, {}, *all_of_them)


def test_the_default_revision_is_silent_while_another_one_is_the_default_and_as_before_then():
    own = mutating(STABLE)
    silent = silenced(own, silent=True)
    assert is_silenced(silent)
    assert not is_silenced(own)
    assert silenced(silent, silent=True) == silent
    assert silenced(silent, silent=False) == own
    assert not any(heard_by(*each, silent) for each in itertools.product(NAMESPACES, PODS))


def test_only_tag_default_validates_what_names_no_revision():
    assert not [each for each in made("prod") if each["kind"].startswith("Validating")]
    (validator,) = (each for each in made("default") if each["kind"].startswith("Validating"))
    assert validator["metadata"]["name"] == "istiod-default-validator"
    (webhook,) = validator["webhooks"]
    assert webhook["name"] == "validation.istio.io"
    assert labels_match(webhook["objectSelector"], {})
    assert not labels_match(webhook["objectSelector"], {"istio.io/rev": "default"})
    assert webhook["clientConfig"]["service"]["name"] == "istiod-canary"
    assert webhook["clientConfig"]["service"]["path"] == "/validate"


@pytest.mark.parametrize(
    ("serving", "account"),
    [
        (CANARY, "istio-pilot-service-account"),
        (
            Serving(revision="canary", service="istio-sidecar-injector-canary"),
            "istio-sidecar-injector-service-account",
        ),
    ],
)
def test_who_answers_may_write_the_roots_of_this_tag_and_of_no_other(serving, account):
    *_, role, binding = made("default", serving=serving)
    assert [(rule["resources"], rule["resourceNames"], rule["verbs"]) for rule in role["rules"]] == [
        (["mutatingwebhookconfigurations"], ["istio-revision-tag-default"], ["get", "patch"]),
        (["validatingwebhookconfigurations"], ["istiod-default-validator"], ["get", "patch"]),
    ]
    assert [each["name"] for each in binding["subjects"]] == [account]


def test_another_control_plane_in_the_cluster_has_tags_of_its_own():
    tag = Tag(name="default", revision="canary", namespace="mesh-two")
    assert (tag.injector, tag.validator) == (
        "istio-revision-tag-default-mesh-two",
        "istiod-default-validator-mesh-two",
    )
