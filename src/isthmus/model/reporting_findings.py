"""What is wrong with what proxies shall report: providers that nobody knows, expressions that Envoy refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from isthmus.api.istio.extension_provider import ExtensionProvider
from isthmus.api.istio.proxy_config import CustomTag
from isthmus.api.istio.telemetry import ProviderRef, Telemetry
from isthmus.api.resource import Ref
from isthmus.api.without_effect import without_effect
from isthmus.envoy.cel import problem_of
from isthmus.envoy.format_string import format_string
from isthmus.model.collectors import collector, hostnames
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.mesh import Mesh
from isthmus.model.reporting import GONE, LOGS, TRACES, log_providers
from isthmus.model.service import Service
from isthmus.model.telemetries import Telemetries, ref_of

_OVER_GRPC = frozenset({"skywalking", "envoyHttpAls", "envoyTcpAls", "envoyOtelAls"})
_LEFT_OUT = "is left out: Envoy would refuse it"


def reporting_findings(mesh: Mesh) -> Iterator[Finding]:
    """Everything that keeps logs and traces from where they are meant to go."""
    found = mesh.of(Telemetry)
    yield from Telemetries(found, mesh.settings.root_namespace).findings()
    for each in found:
        yield from _telemetry(each, log_providers(mesh.settings.listener))
    yield from _collectors(mesh)


def _telemetry(found: Telemetry, known: Mapping[str, ExtensionProvider]) -> Iterator[Finding]:
    ref, spec = ref_of(found), found.spec
    for path, message in without_effect(spec, "$.spec"):
        yield Finding(ref=ref, path=path, message=message, severity=Severity.WARNING, code=Code.NO_EFFECT)
    for index, logging in enumerate(spec.access_logging):
        at = f"$.spec.accessLogging[{index}]"
        yield from _providers(ref, at, logging.providers, known, LOGS)
        expression = logging.filter.expression if logging.filter is not None else ""
        if expression and (wrong := problem_of(expression)):
            message = f"{expression!r} {wrong}: this log is not written (hint: like response.code >= 500)"
            yield Finding(ref=ref, path=f"{at}.filter.expression", message=message, code=Code.NOT_SENT)
    for index, rule in enumerate(spec.tracing):
        at = f"$.spec.tracing[{index}]"
        yield from _providers(ref, at, rule.providers, known, TRACES)
        if len(rule.providers) > 1:
            message = "has several: spans go to the first alone"
            yield Finding(
                ref=ref,
                path=f"{at}.providers",
                message=message,
                severity=Severity.WARNING,
                code=Code.NO_EFFECT,
            )
        yield from _tags(ref, f"{at}.customTags", rule.custom_tags)


def _providers(
    ref: Ref,
    at: str,
    asked: tuple[ProviderRef, ...],
    known: Mapping[str, ExtensionProvider],
    kinds: frozenset[str],
) -> Iterator[Finding]:
    for index, each in enumerate(asked):
        provider = known.get(each.name)
        if provider is None:
            hint = ", ".join(known)
            message = f"{each.name!r} is no provider of MeshConfig's extensionProviders (hint: {hint})"
        elif not kinds & set(provider.chosen):
            (kind,) = provider.chosen
            why = GONE.get(kind, f"it is {kind} (hint: one of {', '.join(sorted(kinds))})")
            message = f"{each.name!r} has no effect here: {why}"
        else:
            continue
        path = f"{at}.providers[{index}].name"
        yield Finding(ref=ref, path=path, message=message, code=Code.TELEMETRY_PROVIDER)


def _tags(ref: Ref, at: str, tags: Mapping[str, CustomTag]) -> Iterator[Finding]:
    for name, tag in tags.items():
        if tag.formatter is None:
            continue
        try:
            format_string(tag.formatter.value)
        except ValueError as error:
            path, message = f"{at}.{name}.formatter.value", f"{_LEFT_OUT}: {error}"
            yield Finding(ref=ref, path=path, message=message, code=Code.NOT_SENT)


def _collectors(mesh: Mesh) -> Iterator[Finding]:
    """Providers of the mesh's settings whose service nobody has."""
    settings = mesh.settings
    by_host: dict[str, Service] = {}
    wanted = {
        (index, provider.name): (provider, where)
        for index, provider in enumerate(settings.listener.providers)
        if (where := collector(provider)) is not None and set(provider.chosen) & (LOGS | TRACES)
    }
    if wanted:
        by_host = {key.hostname: service for key, service in mesh.services.items()}
    for (index, name), (provider, where) in wanted.items():
        (kind,) = provider.chosen
        at = f"$.data.mesh.extensionProviders[{index}].{kind}"
        services = [by_host[host] for host in hostnames(where, settings) if host in by_host]
        ports = [port for each in services if (port := each.port(where.port)) is not None]
        if not services:
            path, message = (
                f"{at}.service",
                f"{where.service!r} is no service of the mesh: {name!r} gets nothing",
            )
        elif not ports:
            path, message = f"{at}.port", f"{where.service!r} has no port {where.port}: {name!r} gets nothing"
        elif _is_grpc(provider, kind) and not ports[0].protocol.is_http2:
            path = f"{at}.port"
            message = (
                f"port {where.port} does not say that it speaks gRPC (hint: call it grpc-… in its Service)"
            )
        else:
            continue
        ref = settings.written_in
        cluster, severity, code = settings.config_cluster, Severity.WARNING, Code.NOT_FOUND
        yield Finding(ref=ref, path=path, message=message, cluster=cluster, severity=severity, code=code)


def _is_grpc(provider: ExtensionProvider, kind: str) -> bool:
    otel = provider.opentelemetry
    return kind in _OVER_GRPC or (otel is not None and otel.http is None)
