"""The real Envoy asks providers about the calls that policies of action CUSTOM mean, and about no others."""

from __future__ import annotations

import msgspec
import pytest
import yaml

from fakes.authorizers import by_grpc, by_http
from fakes.guarded_envoy import Guarded, greeting, guard, upstream
from fakes.ports import free_ports
from isthmus.api.istio.extension_provider import ExtensionProvider
from isthmus.translate.authorization.external import Authorizer
from isthmus.translate.collector_places import Place

PROVIDERS = """
- {name: grpc, envoyExtAuthzGrpc: {service: judge, port: 9000, timeout: 5s}}
- name: http
  envoyExtAuthzHttp:
    service: judge
    port: 8000
    timeout: 5s
    pathPrefix: /check
    includeRequestHeadersInCheck: [x-team]
    includeAdditionalHeadersInCheck: {x-asked-by: edge}
- {name: gone, envoyExtAuthzGrpc: {service: gone, port: 9000, timeout: 0.5s, statusOnError: "503"}}
- {name: gone-open, envoyExtAuthzGrpc: {service: gone, port: 9000, timeout: 0.5s, failOpen: true}}
"""
AUTHORIZERS = tuple(
    Authorizer(provider, Place(upstream=provider.name, host="judge.example", port=9000))
    for provider in msgspec.convert(yaml.safe_load(PROVIDERS), list[ExtensionProvider])
)
ASKED = "action: CUSTOM\nprovider: {name: %s}\nrules: [{to: [{operation: {paths: ['/asked*']}}]}]"
BOTH = f"{ASKED % 'grpc'}\n---\n{(ASKED % 'http').replace('/asked', '/asked/both')}"
HTTP = [*(ASKED % name for name in ("grpc", "http", "gone", "gone-open", "nobody")), BOTH]
TCP = [(ASKED % name).replace("paths: ['/asked*']", "methods: [GET]") for name in ("grpc", "http")]


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """Ports at which providers are asked, and what they were asked."""
    seen = {"grpc": [], "http": []}
    http, tcp = ([guard(each, authorizers=AUTHORIZERS) for each in several] for several in (HTTP, TCP))
    with greeting() as served, by_grpc(seen["grpc"]) as grpc, by_http(seen["http"]) as over_http:
        (gone,) = free_ports(1)
        upstreams = [
            upstream("0", served),
            upstream("grpc", grpc, http2=True),
            upstream("http", over_http),
            *(upstream(each, gone, http2=True) for each in ("gone", "gone-open")),
        ]
        with Guarded(tmp_path_factory.mktemp("asking")).running(http, tcp, upstreams) as running:
            yield running, seen


@pytest.mark.parametrize(
    ("provider", "path", "status"),
    [
        ("grpc", "/asked/pass", 200),
        ("grpc", "/asked/not", 403),
        ("grpc", "/else", 200),
        ("http", "/asked/pass", 200),
        ("http", "/asked/not", 401),
        ("http", "/else", 200),
        ("gone", "/asked/pass", 503),
        ("gone", "/else", 200),
        ("gone-open", "/asked/not", 200),
        ("nobody", "/asked/pass", 403),
        ("nobody", "/else", 200),
    ],
)
def test_requests_pass_as_the_provider_says(provider, path, status, asking):
    running, seen = asking
    before = {name: len(found) for name, found in seen.items()}
    assert running.ask(running.http[HTTP.index(ASKED % provider)], path) == status
    asked = {name for name, found in seen.items() if len(found) > before[name]}
    assert asked == ({provider} & seen.keys() if path.startswith("/asked") else set())


def test_each_of_several_providers_is_asked_about_what_its_policies_mean(asking):
    running, seen = asking
    port = running.http[HTTP.index(BOTH)]
    before = len(seen["http"])
    assert running.ask(port, "/asked/pass") == 200
    assert len(seen["http"]) == before
    assert running.ask(port, "/asked/both/pass") == 200
    assert len(seen["http"]) == before + 1
    assert running.ask(port, "/asked/both/not") == 403


def test_over_http_it_sees_the_headers_that_the_provider_names(asking):
    running, seen = asking
    running.ask(running.http[1], "/asked/pass", headers=[("x-team", "red"), ("x-other", "1")])
    path, headers = seen["http"][-1]
    assert path == "/check/asked/pass"
    assert (headers["x-team"], headers["x-asked-by"]) == ("red", "edge")
    assert "x-other" not in headers


def test_connections_are_asked_about_by_grpc_alone(asking):
    running, seen = asking
    before = len(seen["grpc"])
    passing = (("spiffe://cluster.local/ns/pass/sa/a",), ())
    assert running.says(running.tcp[0], passing) == b"greeting"
    assert running.says(running.tcp[0], (("spiffe://cluster.local/ns/not/sa/a",), ())) == b""
    assert len(seen["grpc"]) == before + 2
    assert running.says(running.tcp[1], passing) == b""
