"""What is wrong with a Gateway by itself: everything at once, each with its path."""

from __future__ import annotations

import pytest
import yaml

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig


def problems(*servers):
    """The problems of a Gateway with these servers, in YAML, by path."""
    spec = {"selector": {"istio": "ingressgateway"}, "servers": [yaml.safe_load(each) for each in servers]}
    try:
        decode(kind_named("Gateway"), {"metadata": {"name": "g", "namespace": "default"}, "spec": spec})
    except InvalidConfig as wrong:
        return {path.removeprefix("$.spec.servers"): message for path, message in wrong.problems}
    return {}


def https(tls, hosts="[a.example.com]", protocol="HTTPS", number=443):
    port = f"{{number: {number}, name: p, protocol: {protocol}}}"
    return f"{{port: {port}, hosts: {hosts}, tls: {tls}}}"


@pytest.mark.parametrize(
    "tls",
    [
        "{mode: SIMPLE, credentialName: a}",
        "{mode: SIMPLE, credentialNames: [a, b]}",
        "{mode: SIMPLE, serverCertificate: /a, privateKey: /b}",
        "{mode: SIMPLE, tlsCertificates: [{serverCertificate: /a, privateKey: /b}]}",
        "{mode: MUTUAL, credentialName: a}",
        "{mode: OPTIONAL_MUTUAL, credentialName: a, caCertCredentialName: 'configmap://ns/x'}",
        "{mode: MUTUAL, serverCertificate: /a, privateKey: /b, caCertificates: /c, caCrl: /d}",
        "{mode: ISTIO_MUTUAL}",
        "{mode: PASSTHROUGH}",
        "{mode: AUTO_PASSTHROUGH}",
        "{mode: SIMPLE, credentialName: a, minProtocolVersion: TLSV1_2, cipherSuites: [WHATEVER]}",
        # Istio takes these as well; analysis says that they change nothing.
        "{mode: SIMPLE, credentialName: a, serverCertificate: /a, privateKey: /b, httpsRedirect: true}",
    ],
)
def test_these_are_right(tls):
    assert problems(https(tls)) == {}
    assert problems(https(tls, protocol="TLS")) == {}


def test_plain_servers_need_no_tls_and_may_redirect():
    port = "{number: 80, name: p, protocol: http}"
    assert problems(f"{{port: {port}, hosts: ['*']}}") == {}
    assert problems(f"{{port: {port}, hosts: ['ns/*.a.com', ./b.com], tls: {{httpsRedirect: true}}}}") == {}
    assert problems("{port: {number: 1, name: p, protocol: TCP}, hosts: ['*'], bind: '::1'}") == {}


@pytest.mark.parametrize(
    ("tls", "path", "says"),
    [
        ("{mode: NONE}", ".mode", "is 'NONE' (hint: one of"),
        ("{mode: SIMPLE}", ".credentialName", "is missing"),
        (
            "{mode: SIMPLE, credentialName: a, credentialNames: [b]}",
            ".credentialNames",
            "cannot stand beside",
        ),
        ("{mode: SIMPLE, credentialNames: [a, b, c]}", ".credentialNames", "are 3"),
        ("{mode: SIMPLE, serverCertificate: /a}", ".privateKey", "is missing"),
        ("{mode: SIMPLE, tlsCertificates: [{serverCertificate: /a}]}", ".tlsCertificates[0]", "needs"),
        ("{mode: MUTUAL, serverCertificate: /a, privateKey: /b}", ".caCertificates", "is missing"),
        ("{mode: ISTIO_MUTUAL, credentialName: a}", ".credentialName", "cannot stand here"),
        (
            "{mode: MUTUAL, credentialName: a, verifyCertificateSpki: [x]}",
            ".verifyCertificateSpki[0]",
            "no SHA-256",
        ),
        (
            "{mode: MUTUAL, credentialName: a, verifyCertificateHash: [x]}",
            ".verifyCertificateHash[0]",
            "no SHA-256",
        ),
        (
            "{mode: MUTUAL, credentialName: a, insecureSkipVerify: true, subjectAltNames: [x]}",
            ".subjectAltNames",
            "cannot be checked",
        ),
        ("{mode: SIMPLE, credentialName: a, minProtocolVersion: SSL3}", ".minProtocolVersion", "is 'SSL3'"),
        (
            "{mode: SIMPLE, credentialName: a, minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2}",
            ".maxProtocolVersion",
            "older than",
        ),
        (
            "{mode: SIMPLE, credentialName: a, maxProtocolVersion: TLSV1_1}",
            ".minProtocolVersion",
            "newer than",
        ),
    ],
)
def test_tls_that_cannot_be_is_said_where_it_stands(tls, path, says):
    found = problems(https(tls))
    assert says in found[f"[0].tls{path}"]


@pytest.mark.parametrize(
    ("server", "path", "says"),
    [
        ("{port: {number: 80, protocol: HTTP}}", "[0].hosts", "is empty"),
        ("{port: {number: 80, protocol: SMTP}, hosts: ['*']}", "[0].port.protocol", "is 'SMTP'"),
        ("{port: {number: 80, protocol: HTTP}, hosts: ['a*b']}", "[0].hosts[0]", "not its first letter"),
        ("{port: {number: 80, protocol: HTTP}, hosts: ['/a.com']}", "[0].hosts[0]", "names no namespace"),
        ("{port: {number: 80, protocol: HTTP}, hosts: ['a b']}", "[0].hosts[0]", "is no host"),
        ("{port: {number: 80, protocol: HTTP}, hosts: ['*'], bind: here}", "[0].bind", "is no IP address"),
        ("{port: {number: 443, protocol: HTTPS}, hosts: ['*']}", "[0].tls", "is missing"),
        (https("{mode: SIMPLE, credentialName: a}", protocol="HTTP"), "[0].tls", "is not encrypted"),
    ],
)
def test_servers_that_cannot_be_are_said_where_they_stand(server, path, says):
    assert says in problems(server)[path]


def test_all_is_said_at_once():
    found = problems(https("{mode: SIMPLE}"), "{port: {number: 80, protocol: SMTP}}", https("{mode: MUTUAL}"))
    assert {path.partition(".")[0] for path in found} == {"[0]", "[1]", "[2]"}
    assert len(found) >= 5


def test_a_host_may_not_stand_twice_on_a_port_with_tls():
    one = https("{mode: SIMPLE, credentialName: a}", "[A.example.com, b.example.com]")
    other = https("{mode: SIMPLE, credentialName: b}", "[a.example.com]")
    elsewhere = https("{mode: SIMPLE, credentialName: b}", "[a.example.com]", number=8443)
    assert list(problems(one, other, elsewhere)) == ["[1].hosts[0]"]
