"""By which API servers know the webhooks: names, paths and selectors as Istio's, so that labels mean the same. Pure.

Source: Istio's documentation, "Installing the Sidecar" and "Canary Upgrades": which labels of namespaces and pods ask
for which revision, and which of them wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from isthmus.admission.paths import INJECT, VALIDATE
from isthmus.api import KINDS
from isthmus.model.revision import DEFAULT, ROOT, suffix
from isthmus.sidecar.inject.rules import INJECT as POD
from isthmus.sidecar.inject.rules import NAMESPACE, OF_KUBERNETES, REVISION

Json = dict[str, Any]

_API = "admissionregistration.k8s.io/v1"
_NAME = "kubernetes.io/metadata.name"
_GROUPS = tuple(sorted({kind.group for kind in KINDS if kind.is_config and kind.group.endswith(".istio.io")}))


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers, and for whom."""

    namespace: str = ROOT
    revision: str = DEFAULT
    service: str = "istiod"
    port: int = 443
    url: str = ""
    """Of an injector that is none of this cluster's Services, without a path."""
    where: tuple[str, str] = ("", "")
    """Cluster and network that are said in the path, for an injector that serves several."""
    failure_policy: str = "Fail"
    """Of pods, while the injector does not answer: Fail: they are not made; Ignore: they have no sidecar."""
    validation_failure_policy: str = "Ignore"
    everywhere: bool = False
    """Whether pods that say nothing, in namespaces that say nothing, are injected too (enableNamespacesByDefault)."""
    timeout_s: int = 10
    bundle: str = ""
    """The roots, in base64; empty: the server writes them itself."""

    @property
    def host(self) -> str:
        """The name that the server's certificate must bear."""
        return f"{self.service}.{self.namespace}.svc"


def injector_name(revision: str = DEFAULT, namespace: str = ROOT) -> str:
    """Of the MutatingWebhookConfiguration."""
    return f"istio-sidecar-injector{suffix(revision)}{'' if namespace == ROOT else f'-{namespace}'}"


def validator_name(revision: str = DEFAULT, namespace: str = ROOT) -> str:
    """Of the ValidatingWebhookConfiguration."""
    return f"istio-validator{suffix(revision)}-{namespace}"


def mutating(serving: Serving) -> Json:
    """The configuration of the injector: of its webhooks never more than one hears of a pod."""
    said = zip(("cluster", "net"), serving.where, strict=True)
    path = "/".join((INJECT, *(part for key, value in said if value for part in (key, value))))
    return _configuration(
        "MutatingWebhookConfiguration",
        injector_name(serving.revision, serving.namespace),
        serving,
        [
            {
                "name": f"{name}.sidecar-injector.istio.io",
                **_called(serving, path),
                "rules": [_rule(["CREATE"], [""], ["v1"], ["pods"])],
                "namespaceSelector": {"matchExpressions": [*namespaces, _left_out(serving)]},
                "objectSelector": {"matchExpressions": pods},
                "failurePolicy": serving.failure_policy,
                "reinvocationPolicy": "Never",
            }
            for name, namespaces, pods in _selectors(serving)
        ],
    )


def validating(serving: Serving) -> Json:
    """The configuration of the validator, for objects of its revision, and of none where that is the default one."""
    revision = serving.revision or DEFAULT
    asked = [("rev.validation.istio.io", _in(REVISION, revision))]
    if revision == DEFAULT:
        asked.append(("validation.istio.io", _absent(REVISION)))
    return _configuration(
        "ValidatingWebhookConfiguration",
        validator_name(serving.revision, serving.namespace),
        serving,
        [
            {
                "name": name,
                **_called(serving, VALIDATE),
                "rules": [_rule(["CREATE", "UPDATE"], list(_GROUPS), ["*"], ["*"])],
                "objectSelector": {"matchExpressions": [objects]},
                "failurePolicy": serving.validation_failure_policy,
            }
            for name, objects in asked
        ],
    )


def _selectors(serving: Serving) -> list[tuple[str, list[Json], list[Json]]]:
    """By name which namespaces, and which pods in them, are the revision's."""
    revision = serving.revision or DEFAULT
    silent = [_absent(NAMESPACE), _absent(REVISION)]
    found = [
        ("rev.namespace", [_in(REVISION, revision), _absent(NAMESPACE)], [_not_in(POD, "false")]),
        ("rev.object", silent[::-1], [_not_in(POD, "false"), _in(REVISION, revision)]),
    ]
    if revision == DEFAULT:
        found += [
            ("namespace", [_in(NAMESPACE, "enabled")], [_not_in(POD, "false")]),
            ("object", silent, [_in(POD, "true"), _absent(REVISION)]),
        ]
        if serving.everywhere:
            found.append(("auto", silent, [_absent(POD), _absent(REVISION)]))
    return found


def _left_out(serving: Serving) -> Json:
    """The namespaces without which there would be no injector, and no cluster: they must not wait for it."""
    own = () if serving.namespace in OF_KUBERNETES else (serving.namespace,)
    return _not_in(_NAME, *sorted(OF_KUBERNETES), *own)


def _configuration(kind: str, name: str, serving: Serving, webhooks: Sequence[Json]) -> Json:
    labels = {"app": "istiod", REVISION: serving.revision or DEFAULT}
    if kind.startswith("Mutating"):
        labels["app"] = "sidecar-injector"
    return {
        "apiVersion": _API,
        "kind": kind,
        "metadata": {"name": name, "labels": labels},
        "webhooks": list(webhooks),
    }


def _called(serving: Serving, path: str) -> Json:
    client: Json = {"url": f"{serving.url.rstrip('/')}{path}"}
    if not serving.url:
        service = {
            "name": serving.service,
            "namespace": serving.namespace,
            "path": path,
            "port": serving.port,
        }
        client = {"service": service}
    if serving.bundle:
        client["caBundle"] = serving.bundle
    return {
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": serving.timeout_s,
        "clientConfig": client,
    }


def _rule(operations: list[str], groups: list[str], versions: list[str], resources: list[str]) -> Json:
    return {
        "operations": operations,
        "apiGroups": groups,
        "apiVersions": versions,
        "resources": resources,
        "scope": "*",  # the default, said: or who applies the same a second time has a conflict with it
    }


def _in(key: str, *values: str) -> Json:
    return {"key": key, "operator": "In", "values": list(values)}


def _not_in(key: str, *values: str) -> Json:
    return {"key": key, "operator": "NotIn", "values": list(values)}


def _absent(key: str) -> Json:
    return {"key": key, "operator": "DoesNotExist"}
