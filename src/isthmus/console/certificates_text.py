"""The certificates of a mesh as a person reads them: what is wrong first, then who signs, then what expires next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from isthmus.ca.denied import Denial
from isthmus.console.certificate_warnings import Warned, age, roots_of
from isthmus.console.held_certificates import HeldInCluster
from isthmus.console.render import table
from isthmus.kit import date
from isthmus.kit.certified import Certified
from isthmus.model.holdings import Holding

_SHOWN = 20
_MOMENTS = frozenset({"begin", "end", "at", "since", "until", "renews"})


class CertificateStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds which certificate at a moment, and what is wrong with it."""

    at: float
    warnings: tuple[Warned, ...]
    clusters: tuple[HeldInCluster, ...]


def as_tree(status: CertificateStatus) -> Any:
    """The status for programs: as it is, moments in RFC 3339."""
    return _dated(msgspec.to_builtins(status))


def as_text(status: CertificateStatus, *, whole: bool = False) -> str:
    """The status for people; of workloads those that end first, all of them where it is to be `whole`."""
    parts = [
        _warnings(status.warnings),
        _roots(status.clusters, status.at),
        _authorities(status.clusters, status.at),
        _workloads(status.clusters, status.at, None if whole else _SHOWN),
        denied_table(_all_denied(status)),
    ]
    return "\n\n".join(part for part in parts if part)


def denied_table(denials: Sequence[Denial]) -> str:
    """Who is denied, and which certificates; empty where nobody is."""
    rows = [
        (
            each.identity,
            each.serial[:12] or "all of it",
            f"{datetime.fromtimestamp(each.since, UTC):%Y-%m-%d %H:%M}",
            f"{datetime.fromtimestamp(each.until, UTC):%Y-%m-%d %H:%M}" if each.serial else "allowed",
            each.by or "-",
            each.reason or "-",
        )
        for each in sorted(denials, key=lambda each: (each.identity, each.serial))
    ]
    return table(("DENIED", "CERTIFICATE", "SINCE", "UNTIL", "BY", "REASON"), rows) if rows else ""


def _all_denied(status: CertificateStatus) -> list[Denial]:
    found = {each.name: each for cluster in status.clusters for each in cluster.denied}
    return [each for each in found.values() if each.stands(status.at)]


def _warnings(found: Sequence[Warned]) -> str:
    if not found:
        return "all is well: nothing ends soon, nobody failed to renew"
    rows = [(each.severity.value.upper(), each.cluster, each.who, each.message) for each in found]
    return table(("SEVERITY", "CLUSTER", "WHO", "WHAT"), rows)


def _roots(clusters: Sequence[HeldInCluster], now: float) -> str:
    """A line for each root that anybody stands for, publishes or believes."""
    rows = []
    for sha256, root in sorted(_all_roots(clusters).items(), key=lambda item: item[1].end):
        stands = [each.name for each in clusters if sha256 in roots_of(each)]
        spaces = [each for cluster in clusters for each in cluster.published]
        holders = [each.said for cluster in clusters for each in cluster.proxies if each.said]
        published = sum(_has(each.roots, sha256) for each in spaces)
        believed = sum(_has(each.roots, sha256) for each in holders)
        believers = f"{believed} of {len(holders)}"
        names = (root.name, sha256[:12], root.key, ", ".join(stands) or "-")
        rows.append((*names, f"{published} of {len(spaces)}", believers, *_end(root.end, now)))
    head = ("ROOT", "SHA-256", "KEY", "CITADELS", "NAMESPACES", "PROXIES", "ENDS", "IN")
    return table(head, rows) if rows else ""


def _authorities(clusters: Sequence[HeldInCluster], now: float) -> str:
    """A line for each CA below a root, and one for each external issuer."""
    rows: dict[tuple[str, str], Sequence[str]] = {}
    for cluster in clusters:
        for citadel in cluster.citadels:
            said = citadel.said
            if said is None:
                continue
            if not said.chain:
                rows[cluster.name, said.issuer] = (cluster.name, said.issuer, "-", "-", _issued(cluster, ""))
            for each in said.chain:
                if each.sha256 in roots_of(cluster) and each is not said.chain[0]:
                    continue
                names = (cluster.name, each.name, each.sha256[:12], each.key, _issued(cluster, each.sha256))
                rows[cluster.name, each.sha256] = (*names, *_end(each.end, now))
    full = [(*row, *["-"] * (7 - len(row))) for row in rows.values()]
    head = ("CLUSTER", "AUTHORITY", "SHA-256", "KEY", "PROXIES", "ENDS", "IN")
    return table(head, full) if full else ""


def _issued(cluster: HeldInCluster, sha256: str) -> str:
    """How many proxies of the cluster hold a certificate of this authority (empty: of any)."""
    holders = [each.said for each in cluster.proxies if each.said and each.said.chain]
    of_it = [each for each in holders if not sha256 or _has((*each.chain[1:], *each.roots), sha256)]
    return f"{len(of_it)} of {len(cluster.proxies)}"


class _Line(NamedTuple):
    cluster: str
    who: str
    end: float
    said: Holding


def _workloads(clusters: Sequence[HeldInCluster], now: float, most: int | None) -> str:
    lines = sorted(
        (
            _Line(cluster.name, f"{each.namespace}/{each.pod}", each.said.chain[0].end, each.said)
            for cluster in clusters
            for each in cluster.proxies
            if each.said and each.said.chain
        ),
        key=lambda line: line.end,
    )
    if not lines:
        return "no proxy says that it holds a certificate"
    rows = []
    for cluster, who, end, said in lines[:most]:
        renews = f"in {age(said.renews - now)}" if said.renews > now else "now"
        leaf = said.chain[0]
        names = (cluster, who, said.identity.partition("://")[2], leaf.serial[:12], leaf.issuer)
        rows.append((*names, renews, *_end(end, now)))
    shown = table(("CLUSTER", "PROXY", "IDENTITY", "SERIAL", "ISSUER", "RENEWS", "ENDS", "IN"), rows)
    hidden = len(lines) - len(rows)
    return shown + (f"\n… and {hidden} that end later (hint: --all)" if hidden else "")


def _all_roots(clusters: Iterable[HeldInCluster]) -> dict[str, Certified]:
    found: dict[str, Certified] = {}
    for cluster in clusters:
        found |= roots_of(cluster)
        for published in cluster.published:
            found |= {each.sha256: each for each in published.roots}
        for proxy in cluster.proxies:
            found |= {each.sha256: each for each in proxy.said.roots} if proxy.said else {}
    return found


def _has(roots: Iterable[Certified], sha256: str) -> bool:
    return any(each.sha256 == sha256 for each in roots)


def _end(end: float, now: float) -> tuple[str, str]:
    return f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M}", age(end - now) if end > now else "ENDED"


def _dated(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {
            key: _moment(value) if key in _MOMENTS and isinstance(value, float) else _dated(value)
            for key, value in tree.items()
        }
    return [_dated(each) for each in tree] if isinstance(tree, list | tuple) else tree


def _moment(seconds: float) -> str | None:
    return date.show(seconds) if seconds else None
