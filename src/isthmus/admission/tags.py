"""Tags: names by which namespaces ask for a revision without knowing which it is (ADR 0052). Pure.

A tag is a MutatingWebhookConfiguration made of the revision's own: who answers is the same, and who is asked for is the
tag. Tag `default` is asked for by all that name no revision, and has a validator beside it for configuration of these.

Source: Istio's "Canary Upgrades" ("Stable revision labels") and `istioctl tag`.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import msgspec

from isthmus.admission.configurations import Serving, mutating, validating
from isthmus.model.revision import DEFAULT, LABEL, ROOT, TAG_LABEL, tag_name

Json = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"
_PILOT, _INJECTOR = "istio-pilot-service-account", "istio-sidecar-injector-service-account"
_READER = "istio-reader-service-account"  # of who is asked by a URL: a Pilot elsewhere
_INJECTORS_SERVICE = "istio-sidecar-injector"
_KEPT = ("clientConfig", "failurePolicy", "timeoutSeconds", "sideEffects", "admissionReviewVersions")
"""What a tag's webhook has of its revision's, and not of ours: it may be of another release, or of Istio."""
_SILENCED = {"key": "istio.io/deactivated", "operator": "In", "values": ["never-match"]}


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """A name, the revision that it stands for now, and the control plane's namespace."""

    name: str
    revision: str
    namespace: str = ROOT
    everywhere: bool = False
    """Of tag `default`: whether pods that say nothing, in namespaces that say nothing, are injected too."""

    @property
    def injector(self) -> str:
        """The name of its MutatingWebhookConfiguration."""
        return tag_name(self.name, self.namespace)

    @property
    def validator(self) -> str:
        """The name of the ValidatingWebhookConfiguration of tag `default`; other tags have none."""
        return f"istiod-default-validator{self.injector.removeprefix(tag_name(self.name))}"


def tag_objects(tag: Tag, injector: Json, validator: Json | None) -> list[Json]:
    """A tag's webhooks and the right to keep their roots true, made of the webhooks of its revision."""
    serving = Serving(namespace=tag.namespace, revision=tag.name, everywhere=tag.everywhere)
    found = [_of(tag, tag.injector, mutating(serving), injector)]
    if tag.name == DEFAULT and validator is not None:
        made = validating(serving)
        # Objects that are labelled for a revision are that one's to validate, also where it is called as the tag.
        made["webhooks"] = [each for each in made["webhooks"] if each["name"] == "validation.istio.io"]
        found.append(_of(tag, tag.validator, made, validator))
    return [*found, *_rights(tag, found)]


def silenced(configuration: Json, *, silent: bool) -> Json:
    """A configuration that asks about no pod, or that asks again; all else of it stays."""
    made = deepcopy(configuration)
    for webhook in made.get("webhooks") or ():
        selector = webhook.setdefault("namespaceSelector", {})
        others = [each for each in selector.get("matchExpressions") or () if each != _SILENCED]
        selector["matchExpressions"] = [*others, *([_SILENCED] if silent else [])]
    return made


def is_silenced(configuration: Json) -> bool:
    """Whether it was told to ask about no pod."""
    hooks = configuration.get("webhooks") or ()
    return any(
        _SILENCED in ((each.get("namespaceSelector") or {}).get("matchExpressions") or ()) for each in hooks
    )


def _of(tag: Tag, name: str, made: Json, revisions: Json) -> Json:
    """`made` under the tag's name, answered as the revision's own are."""
    told = {key: value for key, value in revisions["webhooks"][0].items() if key in _KEPT}
    labels = made["metadata"]["labels"] | {LABEL: tag.revision, TAG_LABEL: tag.name}
    hooks = [webhook | deepcopy(told) for webhook in made["webhooks"]]
    return made | {"metadata": {"name": name, "labels": labels}, "webhooks": hooks}


def _rights(tag: Tag, configurations: list[Json]) -> list[Json]:
    """Who answers may write their roots: rights name objects, and no role could name tags that are yet to come."""
    meta = {"name": tag.injector, "labels": {LABEL: tag.revision, TAG_LABEL: tag.name}}
    rules = [
        {
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": [f"{each['kind'].lower()}s"],
            "resourceNames": [each["metadata"]["name"]],
            "verbs": ["get", "patch"],
        }
        for each in configurations
    ]
    client = configurations[0]["webhooks"][0]["clientConfig"]
    called = client.get("service") or {}
    account = _INJECTOR if str(called.get("name", "")).startswith(_INJECTORS_SERVICE) else _PILOT
    account = _READER if client.get("url") else account
    return [
        {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": tag.injector},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": tag.namespace}],
        },
    ]
