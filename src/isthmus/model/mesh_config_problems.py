"""What is wrong with a MeshConfig whose shape is right: names, references, texts that Envoy would refuse."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from urllib.parse import urlsplit

import msgspec

from isthmus.api.core.label_problems import label_selector
from isthmus.api.durations import duration_problems
from isthmus.api.errors import InvalidConfig, Problem
from isthmus.api.istio.authorizer_problems import authorizer_problems
from isthmus.api.istio.balancer_problems import localities, zones
from isthmus.api.istio.extension_provider import (
    Collector,
    ExtensionProvider,
    ExternalAuthorizer,
    FileAccessLog,
    LogFormat,
)
from isthmus.api.istio.key_uri import wrong_uri
from isthmus.api.istio.mesh_config import CertificateData, MeshConfig, TlsConfig, read_mesh_config
from isthmus.envoy.format_string import format_string
from isthmus.envoy.tls_names import CIPHERS, CURVES
from isthmus.kit.unreadable import UNREADABLE
from isthmus.model.identity import is_trust_domain
from isthmus.model.mesh_wide_tls import with_effect
from isthmus.model.proxy_config_problems import OWN_PORTS, client_tls_of_proxies, proxy_problems

_VARIABLE = re.compile(r"%([^%]*)%")
_OUTBOUND = ("SERVICE", "SERVICE_FQDN", "SERVICE_PORT", "SERVICE_PORT_NAME", "SUBSET_NAME")
_INBOUND = ("SERVICE", "SERVICE_FQDN", "SERVICE_PORT", "SERVICE_PORT_NAME", "TARGET_PORT")


def checked_mesh_config(text: str) -> tuple[MeshConfig, tuple[Problem, ...]]:
    """The mesh configuration in `text`, YAML, and the fields in it that nobody knows or that cannot hold.

    Raises `InvalidConfig` with all that is wrong.
    """
    read = read_mesh_config(text)
    kept, silent = with_effect(read.rest) if read.rest is not None else (None, ())
    read = read._replace(rest=kept)
    wrong = read.all_wrong(problems)
    if wrong or read.rest is None:
        raise InvalidConfig(*wrong[0], others=wrong[1:])
    return read.rest, (*read.unread, *silent)


def problems(found: MeshConfig) -> Iterator[Problem]:
    """Everything that is wrong, by its path in the text."""
    for name, value in (("trustDomain", found.trust_domain), ("rootNamespace", found.root_namespace)):
        if value == "":
            yield f"$.{name}", "is empty (hint: leave it out for the usual one)"
    for index, alias in enumerate(found.trust_domain_aliases):
        if not alias or "/" in alias:
            yield f"$.trustDomainAliases[{index}]", f"{alias!r} is no trust domain (hint: like old.example)"
    for index, each in enumerate(found.ca_certificates):
        yield from _ca_certificates(f"$.caCertificates[{index}]", each)
    yield from _ports(found)
    if found.access_log_format:
        yield from _log_format("$.accessLogFormat", found.access_log_format, found.access_log_encoding)
    yield from _pattern("$.inboundClusterStatName", found.inbound_cluster_stat_name, _INBOUND)
    yield from _pattern("$.outboundClusterStatName", found.outbound_cluster_stat_name, _OUTBOUND)
    for name, tls in (("meshMTLS", found.mesh_mtls), ("tlsDefaults", found.tls_defaults)):
        yield from _tls(f"$.{name}", tls)
    yield from _selectors(found)
    if (outbound := found.outbound_traffic_policy) is not None:
        yield from client_tls_of_proxies("$.outboundTrafficPolicy.tls", outbound.tls)
    yield from _providers(found.extension_providers)
    yield from _defaults(found)
    if found.locality_lb_setting is not None:
        yield from localities("$.localityLbSetting", found.locality_lb_setting)
    if found.zone_aware_lb_setting is not None:
        yield from zones("$.zoneAwareLbSetting", found.zone_aware_lb_setting)
    yield from proxy_problems(found.default_config, "$.defaultConfig")
    yield from duration_problems(found)


def _ca_certificates(at: str, found: CertificateData) -> Iterator[Problem]:
    if not found.pem and not found.spiffe_bundle_url:
        yield at, "has no roots (hint: pem, or spiffeBundleUrl)"
    if found.pem and found.spiffe_bundle_url:
        yield f"{at}.spiffeBundleUrl", "cannot stand beside pem (hint: leave one of them out)"
    if found.spiffe_bundle_url and (wrong := wrong_bundle_url(found.spiffe_bundle_url)):
        yield f"{at}.spiffeBundleUrl", wrong
    for index, name in enumerate(found.trust_domains):
        if not is_trust_domain(name):
            yield f"{at}.trustDomains[{index}]", f"{name!r} is no trust domain (hint: like b.example)"


def wrong_bundle_url(url: str) -> str:
    """Why no bundle can be fetched from `url`; empty where one can. Source: SPIFFE Federation, section 5.2.1.1."""
    wrong = wrong_uri(url)
    if not wrong and urlsplit(url).scheme != "https":
        return f"{url!r} is not fetched: whoever is on the way could vouch for all (hint: https://HOST/PATH)"
    return wrong


def _selectors(found: MeshConfig) -> Iterator[Problem]:
    for index, selector in enumerate(found.discovery_selectors):
        yield from label_selector(f"$.discoverySelectors[{index}]", selector)


def _ports(found: MeshConfig) -> Iterator[Problem]:
    given = {
        "proxyListenPort": found.proxy_listen_port or 15001,
        "proxyInboundListenPort": found.proxy_inbound_listen_port or 15006,
        "proxyHttpPort": found.proxy_http_port,
    }
    seen: dict[int, str] = {}
    for name, port in given.items():
        if port in OWN_PORTS:
            yield f"$.{name}", f"{port} is the proxy's own (hint: another port)"
        elif port and port in seen:
            yield f"$.{name}", f"{port} is that of {seen[port]} (hint: another port)"
        seen[port] = name


def _log_format(at: str, text: str, encoding: str) -> Iterator[Problem]:
    if encoding == "JSON":
        try:
            tree = msgspec.json.decode(text)
        except UNREADABLE as error:
            yield (
                at,
                f"is not JSON, as accessLogEncoding says it is: {error} (hint: an object of keys and formats)",
            )
            return
        if not isinstance(tree, dict):
            yield at, 'is no object (hint: keys and formats, as in {"path": "%REQ(:PATH)%"})'
            return
        yield from labels_problems(at, tree)
    else:
        yield from text_problem(at, text)


def text_problem(at: str, text: str) -> Iterator[Problem]:
    """What is wrong with a format string."""
    # Commands that Envoy has where a formatter is named, as translation does.
    plain = text.replace("%REQ_WITHOUT_QUERY(", "%REQ(").replace("%METADATA(", "%DYNAMIC_METADATA(")
    try:
        format_string(plain)
    except ValueError as error:
        yield at, str(error)


def labels_problems(at: str, labels: object) -> Iterator[Problem]:
    """What is wrong with the format strings anywhere in an object."""
    match labels:
        case dict():
            for key, value in labels.items():
                yield from labels_problems(f"{at}.{key}", value)
        case list():
            for index, value in enumerate(labels):
                yield from labels_problems(f"{at}[{index}]", value)
        case str():
            yield from text_problem(at, labels)


def _pattern(at: str, text: str, known: Collection[str]) -> Iterator[Problem]:
    for name in _VARIABLE.findall(text):
        if name not in known:
            hint = ", ".join(f"%{each}%" for each in known)
            yield at, f"%{name}% is no variable of it (hint: {hint})"


def _tls(at: str, found: TlsConfig | None) -> Iterator[Problem]:
    if found is None:
        return
    given = (("cipherSuites", found.cipher_suites, CIPHERS), ("ecdhCurves", found.ecdh_curves, CURVES))
    for name, words, known in given:
        for index, word in enumerate(words):
            if word not in known:
                near = difflib.get_close_matches(word, sorted(known), 1, 0.5)
                yield (
                    f"{at}.{name}[{index}]",
                    f"Envoy does not know {word!r} (hint: {', '.join(near or sorted(known))})",
                )


def _providers(found: tuple[ExtensionProvider, ...]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, each in enumerate(found):
        at = f"$.extensionProviders[{index}]"
        if not each.name:
            yield f"{at}.name", "is missing (hint: by which Telemetry and others name it)"
        elif each.name in seen:
            yield f"{at}.name", f"{each.name!r} is there twice"
        seen.add(each.name)
        if len(each.chosen) != 1:
            kinds = ", ".join(field.encode_name for field in msgspec.structs.fields(ExtensionProvider)[1:])
            yield at, f"is {' and '.join(each.chosen) or 'nothing'} (hint: exactly one of {kinds})"
        for name in each.chosen:
            yield from _provider(f"{at}.{name}", getattr(each, _snake(name)))


def _provider(at: str, found: object) -> Iterator[Problem]:
    if isinstance(found, Collector):
        if not found.service:
            yield f"{at}.service", "is missing (hint: like zipkin.istio-system.svc.cluster.local)"
        if not found.port:
            yield f"{at}.port", "is missing"
    if isinstance(found, FileAccessLog) and not found.path:
        yield f"{at}.path", "is missing (hint: /dev/stdout)"
    if isinstance(found, ExternalAuthorizer):
        yield from authorizer_problems(at, found)
    form = getattr(found, "log_format", None)
    if isinstance(form, LogFormat):
        if form.text and form.labels is not None and isinstance(found, FileAccessLog):
            yield f"{at}.logFormat", "has text and labels (hint: leave one of them out)"
        yield from text_problem(f"{at}.logFormat.text", form.text)
        yield from labels_problems(f"{at}.logFormat.labels", form.labels or {})


def _defaults(found: MeshConfig) -> Iterator[Problem]:
    if found.default_providers is None:
        return
    known = [each.name for each in found.extension_providers]
    for kind in ("tracing", "metrics", "accessLogging"):
        for index, name in enumerate(getattr(found.default_providers, _snake(kind))):
            if name not in known and name not in BUILT_IN:
                hint = ", ".join(known) or "extensionProviders has none"
                yield f"$.defaultProviders.{kind}[{index}]", f"{name!r} is no provider (hint: {hint})"


BUILT_IN = frozenset({"envoy", "prometheus", "stackdriver"})
"""Providers that Istio has without anybody naming them: the file log to standard output is called envoy."""


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
