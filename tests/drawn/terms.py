"""On which terms workloads are called: who has a sidecar, what PeerAuthentications and DestinationRules say of TLS."""

from __future__ import annotations

from hypothesis import strategies as st

from drawn.http_rules import pick
from drawn.worlds import document

SIDECAR = {"security.istio.io/tlsMode": "istio"}
_FILES = {"clientCertificate": "/c.pem", "privateKey": "/k.pem", "caCertificates": "/r.pem"}
_TLS = (
    {"mode": "DISABLE"},
    {"mode": "SIMPLE"},
    {"mode": "SIMPLE", "sni": "one.example.net"},
    {"mode": "MUTUAL", **_FILES},
    {"mode": "ISTIO_MUTUAL"},
)


def with_sidecars(served):
    """The same, where two of three pods have a sidecar."""
    return [_with_sidecar(each) if _is_chosen(each) else each for each in served]


def _is_chosen(found):
    return found["kind"] == "Pod" and not found["metadata"]["name"].endswith("-2")


def _with_sidecar(pod):
    meta = pod["metadata"]
    return {**pod, "metadata": {**meta, "labels": {**meta["labels"], **SIDECAR}}}


@st.composite
def on_terms(draw, worlds):
    """What `worlds` draws, with something said of TLS."""
    documents = draw(worlds)
    return [_spoken(draw, each) for each in documents] + draw(_peers())


def _spoken(draw, found):
    if found["kind"] != "DestinationRule" or draw(pick((0, 1))):
        return found
    policy = {**found["spec"].get("trafficPolicy", {}), "tls": draw(pick(_TLS))}
    return {**found, "spec": {**found["spec"], "trafficPolicy": policy}}


@st.composite
def _peers(draw):
    found, api = [], "security.istio.io/v1"
    for name, labels in (("all", {}), ("v1", {"version": "v1"})):
        if draw(pick((0, 1))):
            spec = {"mtls": {"mode": draw(pick(("DISABLE", "DISABLE", "STRICT", "PERMISSIVE")))}}
            if labels:
                numbers = draw(st.lists(pick((9080, 12306, 9443)), max_size=2, unique=True))
                ports = {str(each): {"mode": draw(pick(("DISABLE", "STRICT")))} for each in numbers}
                spec |= {"selector": {"matchLabels": labels}, "portLevelMtls": ports}
            found.append(document("PeerAuthentication", name, spec, api=api))
    return found
