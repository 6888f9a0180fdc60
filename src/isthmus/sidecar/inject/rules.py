"""Should this pod have a sidecar? The decision and its reason, apart from how it is carried out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from isthmus.model.revision import LABEL
from isthmus.sidecar.inject.pod import Pod
from isthmus.sidecar.inject.settings import InjectorConfig, Policy

INJECT = "sidecar.istio.io/inject"
"""As an annotation or, which wins, as a label of the pod."""

_YES = {"y", "yes", "true", "on"}
OF_KUBERNETES = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""Namespaces without which there is no cluster: nothing in them is injected."""

NAMESPACE, REVISION = "istio-injection", LABEL
"""Labels by which a namespace, and by the second one a pod, asks for sidecars."""

_SILENT = InjectorConfig()


class Decision(NamedTuple):
    inject: bool
    reason: str


def decide(pod: Pod, policy: Policy = Policy.ENABLED, config: InjectorConfig = _SILENT) -> Decision:
    """Whether `pod` gets a sidecar.

    `kube-inject` asks with `ENABLED`, for to call it is to want sidecars. Other than Istio's of 2018 it
    still honours a pod's own "false": in a file of many documents only the pod can speak for itself.
    """
    if pod.spec.get("hostNetwork"):
        return Decision(False, "it uses the network of its node")
    if pod.namespace in OF_KUBERNETES:
        return Decision(False, f"namespace {pod.namespace} belongs to Kubernetes")
    if policy is Policy.FORBIDDEN:
        return Decision(False, f"label {NAMESPACE} of namespace {pod.namespace} says no")
    said = _said(pod.labels) or _said(pod.annotations)
    if said:
        wanted = said.lower() in _YES
        return Decision(wanted, f'{INJECT} is "{said}"')
    if any(each.selects(pod.labels) for each in config.never_inject_selector):
        return Decision(False, "neverInjectSelector selects it")
    if any(each.selects(pod.labels) for each in config.always_inject_selector):
        return Decision(True, "alwaysInjectSelector selects it")
    return Decision(policy is Policy.ENABLED, f"injection is {policy.value} here")


def policy_in(namespace: Mapping[str, str], labels: Mapping[str, str], usual: Policy) -> Policy:
    """What holds in a namespace with these labels for pods with those; `usual` where they say nothing.

    Which revision is meant is up to the webhooks' selectors. Source: Istio's "Controlling the injection policy".
    """
    said = namespace.get(NAMESPACE)
    if said == "disabled":
        return Policy.FORBIDDEN
    if said == "enabled" or labels.get(REVISION) or (said is None and namespace.get(REVISION)):
        return Policy.ENABLED
    return usual


def _said(values: Mapping[str, str]) -> str:
    return str(values.get(INJECT, "")).strip()
