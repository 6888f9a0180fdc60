"""Checks of what the API server asks before it takes objects of the mesh, or pods."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from isthmus.console.check.cluster import Cluster, Json, few, labels, named, placed
from isthmus.console.check.endpoints import is_ready
from isthmus.console.check.trust import roots
from isthmus.console.check.verdict import Check, Said, State, When, broken, doubtful, fine
from isthmus.kit.certified import certified_pem
from isthmus.kit.x509 import InvalidCertificate

T = TypeVar("T")
_PLURALS = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
_OF_ISTIO = ("istio.io", "isthmus.io")
_HINDERED = ("failed calling webhook", "sidecar-injector")
"""What an API server says where nobody answers it, or an injector refuses. What policies of others refuse of a pod that
nobody wrote says nothing of the mesh.
"""


class Hook(NamedTuple):
    """One webhook that hears of pods or of the mesh's configuration."""

    plural: str
    configuration: str
    said: Json
    is_ours: bool = False
    """Whether an installation of ours made it: then its roots are kept by who serves it."""

    @property
    def service(self) -> tuple[str, str] | None:
        """Namespace and name; None where it is asked by a URL."""
        service = self.said.get("clientConfig", {}).get("service")
        return (str(service["namespace"]), str(service["name"])) if service else None

    @property
    def refuses(self) -> bool:
        """Whether objects are refused while nobody answers."""
        return str(self.said.get("failurePolicy", "Fail")) == "Fail"


def _together(found: Iterable[tuple[Hook, T]]) -> Iterator[tuple[str, T]]:
    """What is to be said of webhooks, once for all in one configuration of which it is the same."""
    by_what: dict[tuple[str, str, T], list[str]] = {}
    for hook, what in found:
        by_what.setdefault((hook.plural, hook.configuration, what), []).append(hook.said["name"])
    for (_, configuration, what), names in by_what.items():
        yield f"{configuration} ({few(names)})", what


def hooks(cluster: Cluster) -> Iterator[Hook]:
    """Those that concern the mesh."""
    for plural in _PLURALS:
        for configuration in cluster.all(plural):
            for said in configuration.get("webhooks") or ():
                if any(_concerns(rule) for rule in said.get("rules") or ()):
                    ours = labels(configuration).get("app.kubernetes.io/part-of") == "isthmus"
                    yield Hook(plural, named(configuration), said, ours)


def _concerns(rule: Json) -> bool:
    groups, resources = rule.get("apiGroups") or (), rule.get("resources") or ()
    pods = "" in groups and {"pods", "*", "*/*"} & set(resources)
    return bool(pods) or any(str(group).endswith(_OF_ISTIO) for group in groups)


def webhooks_answer(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Whoever is asked about pods and about configuration is there.

    While nobody answers, no pod starts and no rule is taken (failurePolicy Fail), or pods start without
    sidecars and wrong rules are taken (Ignore).
    """
    found = [hook for hook in hooks(cluster) if hook.service is not None]
    silent = [hook for hook in found if not is_ready(cluster, *(hook.service or ("", "")))]
    asking = [(each, (*(each.service or ("", "")), each.refuses)) for each in silent]
    for told, (namespace, name, refuses) in _together(asking):
        seen = f"{told} asks Service {namespace}/{name}, which has no endpoint that is ready"
        mend = cluster.kubectl(f"-n {namespace} describe service {name}")
        yield broken(seen, mend) if refuses else doubtful(seen, mend)
    if not silent:
        yield fine(f"{len(found)} webhooks")


def injection(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """A pod that were made now in a namespace of the mesh would be taken, and have a sidecar.

    The API server is asked so without making one: between it and the injector may stand what no object shows, as a
    firewall of the cloud, or a certificate that it does not believe.
    """
    for tried in cluster.tries:
        where = tried.namespace
        look = cluster.kubectl(f"get mutatingwebhookconfigurations,namespace/{where} --show-labels")
        if any(word in tried.error for word in _HINDERED):
            yield broken(f"none starts in {where}: {tried.error}", look)
        elif tried.error:
            yield Said(State.UNKNOWN, f"in {where}: {tried.error}", look)
        elif not tried.has_sidecar:
            seen = (
                f"one in {where} would have none: no webhook hears of it, or it may be passed over (Ignore)"
            )
            yield broken(seen, look)
        else:
            yield fine(f"in {where}")


def webhook_roots(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """The API server has roots by which it believes its webhooks, and they live; ours have those of the mesh.

    Without them each call of the webhook fails, as if nobody were there.
    """
    found = [hook for hook in hooks(cluster) if hook.service is not None or hook.is_ours]
    wrong = [
        (hook, (why, f"get {hook.plural.removesuffix('s')} {hook.configuration} -o yaml"))
        for hook in found
        if (why := _why_not_believed(hook, cluster))
    ]
    for told, (why, look) in _together(wrong):
        yield broken(f"{told}: caBundle {why}", cluster.kubectl(look))
    if not wrong:
        yield fine(f"{len(found)} webhooks")


def _why_not_believed(hook: Hook, cluster: Cluster) -> str:
    bundle = hook.said.get("clientConfig", {}).get("caBundle", "")
    return _root_problem(bundle, cluster.now) or (_lacking(bundle, cluster) if _is_kept(hook) else "")


def _is_kept(hook: Hook) -> bool:
    """Whether who serves it writes its roots; of one elsewhere they may be the operator's own."""
    return hook.is_ours and hook.service is not None


def _root_problem(bundle: str, now: float) -> str:
    if not bundle:
        return "is empty"
    try:
        roots = certified_pem(b64decode(bundle))
    except (InvalidCertificate, Error, ValueError) as error:
        return f"is none: {error}"
    return "" if any(root.begin <= now < root.end for root in roots) else "has no certificate that lives"


def _lacking(bundle: str, cluster: Cluster) -> str:
    """What is to be said of a bundle in which roots of the mesh are missing, by which its servers may be signed."""
    try:
        wanted = roots(cluster, cluster.root)
    except InvalidCertificate:
        return ""  # told by another check
    held = {each.sha256 for each in certified_pem(b64decode(bundle))}
    missing = [each.name for each in wanted if each.sha256 not in held]
    return f"lacks {few(missing)} of the mesh: who serves the webhook does not write it" if missing else ""


def other_meshes(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """No other control plane takes care of the same pods.

    Two that inject give a pod two Envoys; two that write statuses take turns for ever.
    """
    other = [
        placed(pod)
        for pod in cluster.all("pods")
        if labels(pod).get("app") == "istiod" and labels(pod).get("istio") == "pilot" and _is_istiod(pod)
    ]
    injecting = [hook.configuration for hook in hooks(cluster) if _is_istios(hook)]
    if other or injecting:
        seen = f"Istio is here: {few([*other, *injecting])}"
        yield doubtful(seen, "istioctl uninstall --purge   (or label namespaces for one of them alone)")
    else:
        yield fine("none")


def _is_istiod(pod: Json) -> bool:
    images = [str(each.get("image", "")) for each in pod.get("spec", {}).get("containers") or ()]
    return any(image.split(":")[0].rsplit("/", 1)[-1] == "pilot" for image in images)


def _is_istios(hook: Hook) -> bool:
    return hook.service is not None and hook.service[1].startswith("istiod") and not hook.is_ours


CHECKS = (
    Check(webhooks_answer, needs=(*_PLURALS, "endpointslices")),
    Check(injection, When.AFTER),
    Check(webhook_roots, needs=_PLURALS),
    Check(other_meshes, needs=("pods", *_PLURALS)),
)
