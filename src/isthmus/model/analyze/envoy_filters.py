"""EnvoyFilters: that proxies take them, and nothing but their age places them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from isthmus.api.istio.envoy_filter import EnvoyConfigObjectPatch, EnvoyFilter
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.codes import Code, Severity
from isthmus.model.findings import Finding

_RELATIVE = frozenset(
    {"INSERT_BEFORE", "INSERT_AFTER", "REPLACE", "MERGE", "MERGE_AND_REPLACE_LIST", "REMOVE"}
)
_ADDING = frozenset({"ADD", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST"})


def have_proxies(subject: Subject) -> Iterator[Finding]:
    """Each EnvoyFilter selects some workload."""
    for found in subject.of(EnvoyFilter):
        namespace, selector = found.metadata.namespace, found.spec.workload_selector
        if selector is None:
            continue
        everywhere = namespace == subject.root
        if not subject.finds(selector.labels, "" if everywhere else namespace):
            yield finding(found, "$.spec.workloadSelector", "selects no pod", Code.NO_WORKLOADS)


def are_placed(subject: Subject) -> Iterator[Finding]:
    """No patch refers to what another EnvoyFilter of the same priority adds, or ends with a version of proxies."""
    adding = _adding(subject)
    for found in subject.of(EnvoyFilter):
        for index, patch in enumerate(found.spec.config_patches):
            if patch.patch is None or patch.patch.operation not in _RELATIVE:
                continue
            at = f"$.spec.configPatches[{index}]"
            others = adding.get((found.spec.priority, _meant(patch)), ())
            other = next((each for each in others if each is not found and _meet(subject, each, found)), None)
            if other is not None:
                meta = other.metadata
                message = (
                    f"finds what EnvoyFilter {meta.namespace}/{meta.name} adds only while that one is older "
                    f"(hint: a priority above {other.spec.priority})"
                )
                yield finding(found, at, message, Code.RELATIVE_PATCH)
            match = patch.match.proxy
            if match is not None and match.proxy_version and not found.spec.priority:
                message = (
                    f"is for proxies of version {match.proxy_version!r} alone, and ends with the next upgrade "
                    "(hint: leave proxyVersion out, or keep a patch for each version)"
                )
                where = f"{at}.match.proxy.proxyVersion"
                yield finding(found, where, message, Code.PATCH_OF_VERSION, Severity.INFO)


def _adding(subject: Subject) -> dict[tuple[int, str], list[EnvoyFilter]]:
    """The EnvoyFilters that add something, by their priority and its name."""
    found: dict[tuple[int, str], list[EnvoyFilter]] = defaultdict(list)
    for each in subject.of(EnvoyFilter):
        for patch in each.spec.config_patches:
            if patch.patch is not None and patch.patch.operation in _ADDING and patch.patch.value:
                found[each.spec.priority, str(patch.patch.value.get("name", ""))].append(each)
    return found


def _meant(patch: EnvoyConfigObjectPatch) -> str:
    """The name of the filter by which a patch is placed."""
    chain = patch.match.listener.filter_chain if patch.match.listener is not None else None
    if chain is None or chain.filter is None:
        return ""
    return (chain.filter.sub_filter.name if chain.filter.sub_filter else "") or chain.filter.name


def _meet(subject: Subject, one: EnvoyFilter, other: EnvoyFilter) -> bool:
    """Whether some proxy may take both."""
    namespaces = {one.metadata.namespace, other.metadata.namespace} - {subject.root}
    return len(namespaces) <= 1
