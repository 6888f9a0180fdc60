"""What is wrong with an AuthorizationPolicy by itself is told all at once, with its path and the mend."""

from __future__ import annotations

import pytest
import yaml

from isthmus.api import kind_of
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig


def wrong(spec):
    kind = kind_of("security.istio.io/v1beta1", "AuthorizationPolicy")
    with pytest.raises(InvalidConfig) as caught:
        decode(kind, {"metadata": {"name": "a", "namespace": "b"}, "spec": yaml.safe_load(spec)})
    return [f"{path.removeprefix('$.spec.')}: {message}" for path, message in caught.value.problems]


def source(text):
    return f"{{rules: [{{from: [{{source: {{{text}}}}}]}}]}}"


def operation(text):
    return f"{{rules: [{{to: [{{operation: {{{text}}}}}]}}]}}"


def when(text):
    return f"{{rules: [{{when: [{{{text}}}]}}]}}"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("{action: ALOW}", "action: is 'ALOW' (hint: did you mean ALLOW?)"),
        ("{action: CUSTOM, rules: [{}]}", "provider.name: is missing"),
        ("{provider: {name: a}}", "provider: stands beside ALLOW, which asks nobody (hint: action: CUSTOM)"),
        ("{selector: {matchLabels: {}}}", "selector.matchLabels: is empty"),
        (
            "{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: a}]}",
            "targetRefs: cannot stand",
        ),
        ("{targetRef: {kind: Pod, name: a}}", "targetRef.kind: no group, 'Pod' is nothing to be for"),
        ("{targetRefs: [{kind: Service}]}", "targetRefs[0].name: is missing"),
        ("{rules: [{from: []}]}", "rules[0].from: is empty (hint: leave it out for any"),
        ("{rules: [{to: [{}]}]}", "rules[0].to[0].operation: is missing"),
        ("{rules: [{from: [{}]}]}", "rules[0].from[0].source: is missing"),
        (source(""), "rules[0].from[0].source: says nothing (hint: one of principals"),
        (source("principals: []"), "rules[0].from[0].source.principals: is empty"),
        (source("notPrincipals: ['']"), "rules[0].from[0].source.notPrincipals[0]: is empty"),
        (
            source("ipBlocks: [10.0.0.0/33]"),
            "rules[0].from[0].source.ipBlocks[0]: '10.0.0.0/33' is no address",
        ),
        (source("notRemoteIpBlocks: [a]"), "rules[0].from[0].source.notRemoteIpBlocks[0]: 'a' is no address"),
        (
            source("serviceAccounts: ['a/*']"),
            "rules[0].from[0].source.serviceAccounts[0]: 'a/*' is no service account",
        ),
        (
            source("serviceAccounts: [a], namespaces: [b]"),
            "rules[0].from[0].source.serviceAccounts: cannot stand beside namespaces",
        ),
        (source(f"namespaces: [{'a' * 5000}]"), "rules[0].from[0].source.namespaces[0]: is longer than 4096"),
        (source("principal: [a]"), "rules[0].from[0].source.principal: is no field"),
        (
            operation("ports: ['80a']"),
            "rules[0].to[0].operation.ports[0]: '80a' is no port (hint: 1 to 65535)",
        ),
        (operation("notPorts: ['65536']"), "rules[0].to[0].operation.notPorts[0]: '65536' is no port"),
        (operation("ports: [80]"), "rules[0].to[0].operation.ports[0]: is 80 (hint: text: put it in quotes)"),
        (
            operation("paths: ['/a/{**}/b/{*}']"),
            "rules[0].to[0].operation.paths[0]: '/a/{**}/b/{*}' has more behind",
        ),
        (operation("paths: ['/a{*}']"), "rules[0].to[0].operation.paths[0]: '/a{*}' has 'a{*}' in it"),
        (operation("paths: ['/a/{*}/*']"), "rules[0].to[0].operation.paths[0]: '/a/{*}/*' has '*' in it"),
        (operation("paths: ['{*}']"), "rules[0].to[0].operation.paths[0]: '{*}' does not begin with /"),
        (when("values: [a]"), "rules[0].when[0].key: is missing"),
        (when("key: source.ip"), "rules[0].when[0].values: is missing (hint: values, or notValues)"),
        (
            when("key: source.name, values: [a]"),
            "rules[0].when[0].key: is 'source.name' (hint: did you mean source.name",
        ),
        (
            when("key: request.headers, values: [a]"),
            "rules[0].when[0].key: is 'request.headers' (hint: did you mean",
        ),
        (
            when("key: 'request.headers[a b]', values: [a]"),
            "rules[0].when[0].key: 'a b' is no name of a header",
        ),
        (
            when("key: 'request.auth.claims[a', values: [a]"),
            "rules[0].when[0].key: is 'request.auth.claims[a'",
        ),
        (when("key: destination.port, values: [a]"), "rules[0].when[0].values[0]: 'a' is no port"),
        (when("key: remote.ip, notValues: [a]"), "rules[0].when[0].notValues[0]: 'a' is no address"),
    ],
)
def test_what_is_wrong_is_told_where_it_is(spec, said):
    assert [each for each in wrong(spec) if each.startswith(said)], wrong(spec)


def test_all_of_it_is_told_at_once():
    assert (
        len(wrong("{action: DENI, rules: [{from: []}, {to: [{operation: {ports: [x], paths: []}}]}]}")) == 4
    )


def test_names_of_ranges_may_have_more_bits_than_they_need():
    kind = kind_of("security.istio.io/v1", "AuthorizationPolicy")
    decode(kind, {"metadata": {"name": "a"}, "spec": yaml.safe_load(source("ipBlocks: [10.1.2.3/16]"))})
