"""The parts of HTTPRoute and GRPCRoute rules that are alike: conditions on headers, shares, mirrors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from isthmus.api.gateway_api.grpc_route import GRPCBackendRef
from isthmus.api.gateway_api.http_filter import (
    GRPCRouteFilter,
    HTTPHeader,
    HTTPHeaderFilter,
    HTTPRequestMirrorFilter,
)
from isthmus.api.gateway_api.http_route import HTTPBackendRef, HTTPHeaderMatch, HTTPQueryParamMatch
from isthmus.api.gateway_api.reference import BackendObjectReference
from isthmus.api.istio.destination import Destination
from isthmus.api.istio.http_route import (
    Abort,
    HeaderOperations,
    Headers,
    HTTPFaultInjection,
    HTTPMirrorPolicy,
    HTTPRouteDestination,
    Percent,
    StringMatch,
)
from isthmus.model.from_gateway_api.references import Doubt, Referrer

UNSUPPORTED = "UnsupportedValue"


class Backends(Protocol):
    """Who knows where references to backends lead."""

    def backend(self, by: Referrer, ref: BackendObjectReference, path: str) -> Destination | Doubt:
        """Where `ref` leads, or what stands against it."""
        ...


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves references of one route."""

    by: Referrer
    references: Backends

    def backends(self, refs: Sequence[HTTPBackendRef | GRPCBackendRef], at: str) -> Shares:
        """Where the requests go, by shares. Those of wrong backends are lost: they must be refused."""
        found = Shares()
        for index, ref in enumerate(refs):
            path = f"{at}.backendRefs[{index}]"
            leads = self.references.backend(self.by, ref, path)
            found.total += ref.weight
            if isinstance(leads, Doubt):
                found.unresolved.append(leads)
                continue
            headers, wrong = _own_headers(ref.filters, path)
            found.unsupported.extend(wrong)
            if ref.weight:
                found.valid.append(
                    HTTPRouteDestination(destination=leads, weight=ref.weight, headers=headers)
                )
        return found

    def mirror(self, ref: HTTPRequestMirrorFilter, path: str) -> HTTPMirrorPolicy | Doubt:
        leads = self.references.backend(self.by, ref.backend_ref, f"{path}.backendRef")
        return (
            leads if isinstance(leads, Doubt) else HTTPMirrorPolicy(destination=leads, percentage=_share(ref))
        )

    def destination(self, ref: HTTPBackendRef, path: str) -> Destination | Doubt:
        return self.references.backend(self.by, ref, path)


@dataclass(slots=True)
class Shares:
    """The backends of a rule."""

    valid: list[HTTPRouteDestination] = field(default_factory=list)
    total: int = 0  # the weights of all, the wrong ones too
    unresolved: list[Doubt] = field(default_factory=list)
    unsupported: list[Doubt] = field(default_factory=list)

    @property
    def lost(self) -> HTTPFaultInjection | None:
        """The refusal of that share of the requests which no backend takes; None where all are taken."""
        kept = sum(share.weight for share in self.valid)
        if kept == self.total:
            return None
        percent = Percent(value=100.0 * (self.total - kept) / self.total)
        return HTTPFaultInjection(abort=Abort(http_status=500, percentage=percent))


def _share(ref: HTTPRequestMirrorFilter) -> Percent | None:
    if ref.fraction is not None:
        return Percent(value=100.0 * ref.fraction.numerator / ref.fraction.denominator)
    return None if ref.percent is None else Percent(value=float(ref.percent))


def _own_headers(filters: Iterable[GRPCRouteFilter], at: str) -> tuple[Headers | None, list[Doubt]]:
    """What happens to headers on the way to one backend; nothing else can happen there."""
    request = response = None
    wrong = []
    for index, each in enumerate(filters):
        match each.type:
            case "RequestHeaderModifier":
                request = each.request_header_modifier
            case "ResponseHeaderModifier":
                response = each.response_header_modifier
            case _:
                hint = "hint: only headers can be changed for one backend; put it into the rule's filters"
                message = f"{each.type} is not known for one backend of several ({hint})"
                wrong.append(Doubt(UNSUPPORTED, f"{at}.filters[{index}].type", message))
    return headers(request, response), wrong


def headers(request: HTTPHeaderFilter | None, response: HTTPHeaderFilter | None) -> Headers | None:
    """Both ways' operations; None where there are none."""
    if request is None and response is None:
        return None
    return Headers(request=_operations(request), response=_operations(response))


def _operations(asked: HTTPHeaderFilter | None) -> HeaderOperations:
    if asked is None:
        return HeaderOperations()
    return HeaderOperations(set=_first(asked.set), add=_first(asked.add), remove=asked.remove)


def _first(found: Iterable[HTTPHeader]) -> dict[str, str]:
    """Values by name; of equal names, which do not differ by case, the first counts."""
    by_name: dict[str, HTTPHeader] = {}
    for each in found:
        by_name.setdefault(each.name.lower(), each)
    return {each.name: each.value for each in by_name.values()}


def header_conditions(found: Iterable[HTTPHeaderMatch]) -> dict[str, StringMatch]:
    """Conditions by name, in lower case; of equal names the first counts."""
    by_name: dict[str, StringMatch] = {}
    for each in found:
        by_name.setdefault(each.name.lower(), _text(each))
    return by_name


def parameter_conditions(found: Iterable[HTTPQueryParamMatch]) -> dict[str, StringMatch]:
    """Conditions by name; of equal names the first counts."""
    by_name: dict[str, StringMatch] = {}
    for each in found:
        by_name.setdefault(each.name, _text(each))
    return by_name


def _text(found: HTTPHeaderMatch | HTTPQueryParamMatch) -> StringMatch:
    if found.type == "RegularExpression":
        return StringMatch(regex=found.value)
    return StringMatch(exact=found.value)


def unknown_matches(found: Sequence[HTTPHeaderMatch | HTTPQueryParamMatch], at: str) -> Iterator[Doubt]:
    """That a condition compares in a way that nobody knows."""
    for index, each in enumerate(found):
        if each.type not in {"Exact", "RegularExpression"}:
            message = f"is {each.type!r} (hint: Exact or RegularExpression)"
            yield Doubt(UNSUPPORTED, f"{at}[{index}].type", message)
