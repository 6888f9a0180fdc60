"""What is wrong with a Sidecar by itself."""

from __future__ import annotations

import pytest

from fakes.manifests import config
from isthmus.api.errors import InvalidConfig

SELECTED = "workloadSelector: {labels: {app: a}}, "


def ingress(tls, selector=""):
    return f"{{{selector}ingress: [{{port: {{number: 8443, protocol: HTTP}}, tls: {tls}}}]}}"


@pytest.mark.parametrize(
    "spec",
    [
        ingress("{mode: SIMPLE, serverCertificate: /a, privateKey: /b}"),
        ingress("{mode: MUTUAL, serverCertificate: /a, privateKey: /b, caCertificates: /c}"),
        ingress("{mode: MUTUAL, credentialName: a}", SELECTED),
    ],
)
def test_certificates_are_in_files_or_secrets(spec):
    assert config("Sidecar", "a", spec).spec.ingress


@pytest.mark.parametrize(
    ("spec", "field", "said"),
    [
        (ingress("{mode: SIMPLE, credentialName: a}"), "credentialName", "is for selected workloads only"),
        (ingress("{mode: ISTIO_MUTUAL, credentialName: a}", SELECTED), "mode", "is ISTIO_MUTUAL"),
        (ingress("{mode: SIMPLE, serverCertificate: /a}"), "privateKey", "is missing"),
        (
            ingress("{mode: MUTUAL, serverCertificate: /a, privateKey: /b}"),
            "caCertificates",
            "or credentialName",
        ),
    ],
)
def test_what_is_missing_is_said_with_its_place(spec, field, said):
    with pytest.raises(InvalidConfig) as wrong:
        config("Sidecar", "a", spec)
    assert wrong.value.path == f"$.spec.ingress[0].tls.{field}"
    assert said in wrong.value.message
