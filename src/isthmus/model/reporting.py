"""What a proxy reports of calls: access logs and traces, merged from the mesh's settings and Telemetries.

Each scope (mesh, namespace, workload) says what it says, field by field; the rest is as the wider scope has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from isthmus.api.istio.extension_provider import ExtensionProvider, FileAccessLog, LogFormat
from isthmus.api.istio.proxy_config import CustomTag, ProxyConfig
from isthmus.api.istio.proxy_config import Tracing as ProxyTracing
from isthmus.api.istio.telemetry import AccessLogging, ModeMatch, Telemetry, TracingRule
from isthmus.kit.ip import host_and_port
from isthmus.model.setting_parts import ListenerSettings, LogSettings

CLIENT, SERVER = "CLIENT", "SERVER"
"""Whose proxy reports: the caller's (a gateway is one), or that of who is called."""

LOGS = frozenset({"envoyFileAccessLog", "envoyHttpAls", "envoyTcpAls", "envoyOtelAls"})
TRACES = frozenset({"zipkin", "datadog", "skywalking", "opentelemetry"})
GONE = {
    "lightstep": "Envoy speaks with it by OpenTelemetry now (hint: opentelemetry)",
    "opencensus": "Envoy knows OpenCensus no more (hint: opentelemetry)",
    "stackdriver": "Envoy knows OpenCensus no more, by which it was spoken to (hint: opentelemetry)",
}
"""Kinds of providers that proxies cannot report to any more."""
SAMPLING = 1.0
"""Of a hundred calls, where nobody says more."""

V = TypeVar("V")


class LogTo(msgspec.Struct, frozen=True, kw_only=True):
    """An access log."""

    provider: ExtensionProvider
    expression: str = ""  # in CEL; empty: every call


class TraceTo(msgspec.Struct, frozen=True, kw_only=True):
    """How calls are traced."""

    provider: ExtensionProvider
    sampling: float = SAMPLING
    tags: dict[str, CustomTag] = {}
    istio_tags: bool = True
    by_request_id: bool = True
    propagates: bool = True
    path_length: int = 0  # 0: as Envoy has it


class Reporting(msgspec.Struct, frozen=True, kw_only=True):
    """What is reported of calls, as seen from one side."""

    logs: tuple[LogTo, ...] = ()
    trace: TraceTo | None = None


def reporting(
    scopes: tuple[Telemetry, ...], settings: ListenerSettings, own: ProxyConfig, side: str
) -> Reporting:
    """What proxies for which `scopes` hold report as `side`; `own` is what holds for single proxies."""
    return Reporting(
        logs=tuple(_logs(scopes, settings, side)),
        trace=_trace(scopes, settings, own, side),
    )


def file_log(settings: LogSettings) -> ExtensionProvider:
    """The log of the mesh's settings, as a provider: the one that is called envoy."""
    if settings.as_json:
        labels = msgspec.json.decode(settings.format) if settings.format else {}
        form: LogFormat | None = LogFormat(labels=labels)
    else:
        form = LogFormat(text=settings.format) if settings.format else None
    path = settings.path or "/dev/stdout"
    return ExtensionProvider(name="envoy", envoy_file_access_log=FileAccessLog(path=path, log_format=form))


class _Log(msgspec.Struct, frozen=True, kw_only=True):
    disabled: bool = False
    expression: str = ""


def _logs(scopes: tuple[Telemetry, ...], settings: ListenerSettings, side: str) -> Iterator[LogTo]:
    usual = settings.default_providers.access_logging
    has_file = bool(settings.logs.path)
    found: dict[str, _Log] = {name: _Log() for name in usual or (("envoy",) if has_file else ())}
    for scope in scopes:
        found = _scope_of_logs([rule for rule in scope.spec.access_logging if is_of(rule.match, side)], found)
    known = log_providers(settings)
    for name, log in found.items():
        provider = known.get(name)
        if provider is not None and not log.disabled and LOGS & set(provider.chosen):
            yield LogTo(provider=provider, expression=log.expression)


def _scope_of_logs(rules: list[AccessLogging], found: dict[str, _Log]) -> dict[str, _Log]:
    """The logs after one scope: providers that it names replace those of wider scopes."""
    named = [each.name for rule in rules for each in rule.providers]
    logs = {name: found.get(name, _Log()) for name in named} if named else dict(found)
    for rule in rules:
        for name in [each.name for each in rule.providers] or list(logs):
            expression = rule.filter.expression if rule.filter is not None else logs[name].expression
            logs[name] = _Log(disabled=bool(rule.disabled), expression=expression)
    return logs


def log_providers(settings: ListenerSettings) -> dict[str, ExtensionProvider]:
    """All providers that a Telemetry may name, with the one that is there without anybody naming it."""
    return {"envoy": file_log(settings.logs), **{each.name: each for each in settings.providers}}


def _trace(
    scopes: tuple[Telemetry, ...], settings: ListenerSettings, own: ProxyConfig, side: str
) -> TraceTo | None:
    rules = [rule for scope in scopes for rule in scope.spec.tracing if is_of(rule.match, side)]
    named = {each.name: each for each in settings.providers}
    asked = next((rule.providers[0].name for rule in reversed(rules) if rule.providers), None)
    provider = _usual_provider(settings, own) if asked is None else named.get(asked)
    if provider is None or not TRACES & set(provider.chosen):
        return None
    if _last((rule.disable_span_reporting for rule in rules), False):
        return None
    return _trace_to(provider, rules, own.tracing or ProxyTracing())


def _trace_to(provider: ExtensionProvider, rules: list[TracingRule], own: ProxyTracing) -> TraceTo:
    usual = own.sampling if own.sampling is not None else SAMPLING
    tags = next((rule.custom_tags for rule in reversed(rules) if rule.custom_tags), own.custom_tags)
    istio_tags = own.enable_istio_tags is not False
    lengths = (getattr(getattr(provider, name), "max_tag_length", 0) for name in _TAG_LENGTHS)
    return TraceTo(
        provider=provider,
        sampling=_last((rule.random_sampling_percentage for rule in rules), usual),
        tags=tags,
        istio_tags=_last((rule.enable_istio_tags for rule in rules), istio_tags),
        by_request_id=_last((rule.use_request_id_for_trace_sampling for rule in rules), True),
        propagates=not _last((rule.disable_context_propagation for rule in rules), False),
        path_length=max(0, *lengths) or own.max_path_tag_length,
    )


_TAG_LENGTHS = ("zipkin", "datadog", "opentelemetry")


def _usual_provider(settings: ListenerSettings, own: ProxyConfig) -> ExtensionProvider | None:
    """The provider without any Telemetry: the first of the mesh's usual ones, else the proxy's own collector."""
    named = {each.name: each for each in settings.providers}
    for name in settings.default_providers.tracing:
        return named.get(name)
    return own_collector(own) if settings.traces else None


def own_collector(own: ProxyConfig) -> ExtensionProvider | None:
    """The collector that a ProxyConfig names by its address."""
    tracing = own.tracing or ProxyTracing()
    zipkin = tracing.zipkin.address if tracing.zipkin is not None else own.zipkin_address
    for kind, address in (("zipkin", zipkin), ("datadog", tracing.datadog and tracing.datadog.address)):
        where = host_and_port(address or "")
        if where is not None:
            written = {"name": "defaultConfig.tracing", kind: {"service": where[0], "port": where[1]}}
            return msgspec.convert(written, ExtensionProvider)
    return None


def is_of(match: ModeMatch | None, side: str) -> bool:
    return match is None or match.mode in {"CLIENT_AND_SERVER", side}


def _last(values: Iterable[V | None], usual: V) -> V:
    return next((each for each in reversed(list(values)) if each is not None), usual)
