"""Patches of HTTP filters, within connection managers."""

from __future__ import annotations

from isthmus.envoy.types import EnvoyHttpFilter, HttpConnectionManager
from isthmus.translate.patch.compiled import Patch
from isthmus.translate.patch.names import means
from isthmus.translate.patch.phases import insert_plugin
from isthmus.translate.patch.splice import picked, splice

_ROUTER = ".Router"
_AUTHENTICATION = ("jwt_authn",)
_AUTHORISATION = (*_AUTHENTICATION, "rbac", "ext_authz")
_STATISTICS = ("stats", "grpc_stats", "telemetry")


def patch_http_filters(manager: HttpConnectionManager, patch: Patch) -> bool:
    """Apply `patch` to the manager's filters; whether it found something to do."""
    if patch.phase:
        return insert_plugin(manager.http_filters, patch)
    wanted, filters = _wanted(patch), manager.http_filters
    named = None if wanted is None else picked(filters, lambda one: means(wanted, one.name))
    return splice(filters, patch, named, lambda patch: _place(list(filters), patch))


def _wanted(patch: Patch) -> str | None:
    """The name of the filter that the patch selects; None: any."""
    listener = patch.match.listener
    chain = listener.filter_chain if listener else None
    sub_filter = chain.filter.sub_filter if chain and chain.filter else None
    return sub_filter.name if sub_filter else None


def _place(filters: list[EnvoyHttpFilter], patch: Patch) -> int:
    """Where ADD adds: by its class, else at the end, but before the router, after which Envoy lets none be."""
    last = next(
        (i for i, each in enumerate(filters) if each.typed_config.type_url.endswith(_ROUTER)), len(filters)
    )
    match patch.filter_class:
        case "AUTHN":
            return _after(filters, _AUTHENTICATION)
        case "AUTHZ":
            return _after(filters, _AUTHORISATION)
        case "STATS":
            return next((i for i, each in enumerate(filters) if _is_one_of(each, _STATISTICS)), last)
    return last


def _after(filters: list[EnvoyHttpFilter], names: tuple[str, ...]) -> int:
    return max((i + 1 for i, each in enumerate(filters) if _is_one_of(each, names)), default=0)


def _is_one_of(one: EnvoyHttpFilter, names: tuple[str, ...]) -> bool:
    return one.name.rpartition(".")[2] in names
