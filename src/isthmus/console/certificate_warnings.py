"""What is wrong, or will soon be, in the certificates that clusters hold. Pure: what was said, and the time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from isthmus.console.held_certificates import HeldByCitadel, HeldByProxy, HeldInCluster, Published
from isthmus.kit.certified import Certified
from isthmus.kit.duration import show
from isthmus.model.findings import Severity
from isthmus.model.holdings import CitadelHolding, Holding

_DAY_S = 86_400.0
AUTHORITY_SOON_S = 30 * _DAY_S
"""Roots and intermediates are told this long before their end, or in the last quarter of shorter lives."""
_LATE_S = 60.0
_LAST_PART = 0.1


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody should look at."""

    severity: Severity
    cluster: str
    who: str
    message: str

    def __str__(self) -> str:
        return f"{self.severity.value}: cluster {self.cluster!r}, {self.who}: {self.message}"


def warnings(clusters: Sequence[HeldInCluster], now: float) -> tuple[Warned, ...]:
    """What is wrong in `clusters`, what is worst first."""
    found = [
        *(one for each in clusters for one in _of_cluster(each, clusters, now)),
        *_between(clusters),
        *(one for each in clusters for one in _of_connected(each, clusters, now)),
        *_of_denied(clusters, now),
    ]
    order = list(Severity)
    return tuple(sorted(dict.fromkeys(found), key=lambda one: order.index(one.severity)))


def age(seconds: float) -> str:
    """`seconds` as a person says them: the two biggest units at most."""
    whole = abs(round(seconds))
    days, rest = divmod(whole, round(_DAY_S))
    if days >= 2:
        return f"{days} d"
    return show(float(whole - whole % 60 if whole >= 3600 else whole)) if days or rest else "0s"


def roots_of(cluster: HeldInCluster) -> dict[str, Certified]:
    """The roots that the Citadels of a cluster stand for, by SHA-256."""
    return {root.sha256: root for each in _said(cluster) for root in each.roots}


def _said(cluster: HeldInCluster) -> list[CitadelHolding]:
    return [each.said for each in cluster.citadels if each.said is not None]


def _of_cluster(cluster: HeldInCluster, all_: Sequence[HeldInCluster], now: float) -> Iterator[Warned]:
    if not cluster.citadels:
        yield _warn(cluster, "citadel", "no Citadel runs here (hint: isthmus install, or look at its pods)")
    for citadel in cluster.citadels:
        yield from _of_citadel(cluster, citadel, now)
    for published in cluster.published:
        yield from _of_namespace(cluster, published)
    known = {root for each in all_ for root in roots_of(each)}
    signing = {one.chain[0].sha256 for each in all_ for one in _said(each) if one.chain}
    for proxy in cluster.proxies:
        who = f"{proxy.namespace}/{proxy.pod}"
        if proxy.said is None:
            yield _warn(cluster, who, f"does not say what it holds: {proxy.error}", Severity.INFO)
            continue
        yield from _of_life(cluster, who, proxy.said, now)
        yield from _of_trust(cluster, proxy, proxy.said, known, signing)


def _of_citadel(cluster: HeldInCluster, citadel: HeldByCitadel, now: float) -> Iterator[Warned]:
    who = f"Citadel {citadel.pod}"
    if citadel.said is None:
        yield _warn(cluster, who, f"does not answer: {citadel.error}", Severity.ERROR)
        return
    for each in (*citadel.said.chain, *citadel.said.roots):
        if soon := ends_soon(each, now):
            yield _warn(cluster, who, *soon)
    for refusal in citadel.said.refused:
        times = f" ({refusal.count} times)" if refusal.count > 1 else ""
        text = f"gave {refusal.identity or 'a caller'} at {refusal.address} no certificate"
        yield _warn(cluster, who, f"{text}, {age(now - refusal.at)} ago{times}: {refusal.reason}")


def ends_soon(authority: Certified, now: float) -> tuple[str, Severity] | None:
    """What is to be said of the end of a root or an intermediate, if it is near."""
    left = authority.end - now
    mend = "hint: docs/guides/look-at-certificates.md"
    what = f"{authority.name!r} ({authority.sha256[:12]}…)"
    if left <= 0:
        return f"{what} ended {age(left)} ago ({mend})", Severity.ERROR
    if left < min(AUTHORITY_SOON_S, (authority.end - authority.begin) / 4):
        return f"{what} ends in {age(left)} ({mend})", Severity.WARNING
    return None


def _of_namespace(cluster: HeldInCluster, published: Published) -> Iterator[Warned]:
    who = f"namespace {published.namespace}"
    ours = roots_of(cluster)
    if published.error:
        yield _warn(cluster, who, f"its pods get no roots: {published.error}")
    elif ours and {each.sha256 for each in published.roots} != set(ours):
        held = ", ".join(_names(published.roots)) or "none"
        yield _warn(cluster, who, f"its pods get other roots than Citadel's: {held}")


def _of_life(cluster: HeldInCluster, who: str, said: Holding, now: float) -> Iterator[Warned]:
    why = f": {said.failure.reason}" if said.failure else ""
    if not said.chain:
        yield _warn(cluster, who, f"has no certificate{why}", Severity.ERROR)
        return
    leaf = said.chain[0]
    left = leaf.end - now
    if left <= 0:
        yield _warn(cluster, who, f"its certificate ended {age(left)} ago{why}", Severity.ERROR)
    elif said.failure:
        text = f"was not renewed {age(now - said.failure.at)} ago, and ends in {age(left)}{why}"
        yield _warn(cluster, who, text)
    elif said.renews and now > said.renews + _LATE_S:
        yield _warn(cluster, who, f"was to be renewed {age(now - said.renews)} ago, ends in {age(left)}")
    elif left < _LAST_PART * (leaf.end - leaf.begin):
        yield _warn(cluster, who, f"ends in {age(left)}")


def _of_trust(
    cluster: HeldInCluster, proxy: HeldByProxy, said: Holding, known: set[str], signing: set[str]
) -> Iterator[Warned]:
    who = f"{proxy.namespace}/{proxy.pod}"
    held = {each.sha256 for each in said.roots}
    old = [each for each in said.roots if known and each.sha256 not in known]
    if old:
        yield _warn(cluster, who, f"holds roots that no Citadel stands for: {', '.join(_names(old))}")
    lacked = [root for sha256, root in roots_of(cluster).items() if sha256 not in held]
    if held and lacked:
        yield _warn(cluster, who, f"does not hold {', '.join(_names(lacked))} yet")
    above = said.chain[1:] or said.roots[:1]
    if said.chain and signing and not any(each.sha256 in signing for each in above):
        issuer = said.chain[0].issuer
        text = f"its certificate is of {issuer!r}, which signs nowhere now, until it is renewed"
        yield _warn(cluster, who, text, Severity.INFO)


def _between(clusters: Sequence[HeldInCluster]) -> Iterator[Warned]:
    """Whether workloads of each cluster are believed in each other one."""
    for one in clusters:
        tops = {each.chain[-1].sha256: each.chain[-1] for each in _said(one) if each.chain}
        for other in clusters:
            believed = roots_of(other)
            strange = [top for sha256, top in tops.items() if sha256 not in believed]
            if other is not one and believed and strange:
                text = f"workloads are not believed in cluster {other.name!r}, which lacks"
                yield _warn(one, "all", f"{text} {', '.join(_names(strange))}", Severity.ERROR)


def _of_connected(pilots: HeldInCluster, clusters: Sequence[HeldInCluster], now: float) -> Iterator[Warned]:
    """Proxies that only Pilot knows: of clusters that were not asked, and workloads outside of all clusters."""
    asked = {(each.name, one.namespace, one.pod) for each in clusters for one in each.proxies}
    unasked: dict[str, int] = {}
    for each in pilots.connected:
        if (each.cluster, each.namespace, each.pod) in asked:
            continue
        unasked[each.cluster] = unasked.get(each.cluster, 0) + 1
        if each.end and each.end <= now:
            text = f"its certificate ended {age(now - each.end)} ago, as it told Pilot"
            who = f"{each.namespace}/{each.pod} of cluster {each.cluster}"
            yield _warn(pilots, who, text, Severity.ERROR)
    for cluster, count in sorted(unasked.items()):
        known = any(each.name == cluster for each in clusters)
        why = "are no pods of it" if known else "were not asked (hint: --context of that cluster)"
        text = f"{count} proxies of cluster {cluster!r} are connected, and {why}"
        yield _warn(pilots, "Pilot", text, Severity.INFO)


def _of_denied(clusters: Sequence[HeldInCluster], now: float) -> Iterator[Warned]:
    """Lists of the denied that are not the same everywhere, and pods that cannot call anybody by them."""
    everywhere = {one.name: one for each in clusters for one in each.denied if one.stands(now)}
    for cluster in clusters:
        hint = "hint: isthmus ca deny, with the --context of each cluster"
        if cluster.denied_error:
            yield _warn(cluster, "denied", f"the list cannot be read: {cluster.denied_error}", Severity.ERROR)
        elif missing := everywhere.keys() - {each.name for each in cluster.denied}:
            text = f"{', '.join(sorted(missing))} is denied elsewhere and not here ({hint})"
            yield _warn(cluster, "denied", text, Severity.ERROR)
        for proxy in cluster.proxies:
            if proxy.said is None or not proxy.said.chain:
                continue
            found = everywhere.get(proxy.said.identity) or everywhere.get(proxy.said.chain[0].serial)
            if found is not None:
                yield _warn(cluster, f"{proxy.namespace}/{proxy.pod}", f"is let in nowhere: {found.why}")


def _names(certificates: Iterable[Certified]) -> list[str]:
    return [f"{each.name} ({each.sha256[:12]}…)" for each in certificates]


def _warn(cluster: HeldInCluster, who: str, message: str, severity: Severity = Severity.WARNING) -> Warned:
    return Warned(severity=severity, cluster=cluster.name, who=who, message=message)
