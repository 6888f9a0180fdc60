"""Which Telemetries hold for a proxy: of the mesh, of its namespace, of its workload; one of each, the oldest.

Source: Istio's Telemetry reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.api.istio.telemetry import Telemetry
from isthmus.api.resource import Ref
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.proxy import Proxy
from isthmus.model.rules import age
from isthmus.model.selection import labels_of, references_of, selects


class Telemetries:
    """All Telemetries of a mesh, by namespace."""

    def __init__(self, found: Iterable[Telemetry], root: str) -> None:
        self._root = root
        self._whole: dict[str, Telemetry] = {}
        self._selecting: dict[str, list[Telemetry]] = {}
        self._late: list[tuple[Telemetry, Telemetry]] = []  # and those that came before them
        for each in sorted(found, key=age):
            namespace = each.metadata.namespace
            if _selects(each):
                self._selecting.setdefault(namespace, []).append(each)
            elif (first := self._whole.setdefault(namespace, each)) is not each:
                self._late.append((each, first))
        self.labels = frozenset(
            label for several in self._selecting.values() for one in several for label in labels_of(one)
        )
        self.by_reference = any(references_of(one) for several in self._selecting.values() for one in several)

    def holding(self, proxy: Proxy) -> tuple[Telemetry, ...]:
        """Those for `proxy`, the widest first."""
        namespaces = dict.fromkeys((self._root, proxy.namespace))
        found = [self._whole[namespace] for namespace in namespaces if namespace in self._whole]
        own = next((each for each in self._selecting.get(proxy.namespace, ()) if selects(each, proxy)), None)
        return (*found, own) if own is not None else tuple(found)

    def findings(self) -> Iterator[Finding]:
        """Those that have no effect, since older ones are for the same workloads."""
        for late, first in self._late:
            yield _overruled(late, first, Code.SEVERAL_TELEMETRIES)
        for several in self._selecting.values():
            seen: dict[tuple[object, ...], Telemetry] = {}
            for each in several:
                first = seen.setdefault(_target(each), each)
                if first is not each:
                    yield _overruled(each, first, Code.SAME_TELEMETRY_SELECTOR)


def _overruled(late: Telemetry, first: Telemetry, code: Code) -> Finding:
    older = first.metadata.name
    message = f"has no effect: {older} is for the same workloads, and older (hint: put both into one)"
    return Finding(ref=ref_of(late), message=message, severity=Severity.WARNING, code=code)


def ref_of(found: Telemetry) -> Ref:
    """By which findings name it."""
    return Ref("Telemetry", found.metadata.namespace, found.metadata.name)


def _selects(found: Telemetry) -> bool:
    return bool(references_of(found) or labels_of(found))


def _target(found: Telemetry) -> tuple[object, ...]:
    return (tuple(sorted(labels_of(found).items())), *references_of(found))
