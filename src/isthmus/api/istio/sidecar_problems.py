"""What the shape of a Sidecar cannot say."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.errors import Problem
from isthmus.api.istio import text_problems as texts
from isthmus.api.istio.gateway import ServerTLSSettings
from isthmus.api.istio.sidecar import IstioEgressListener, IstioIngressListener, Sidecar
from isthmus.kit.ip import is_address

_UNIX = "unix://"
_HERE = frozenset({"127.0.0.1", "::1", "0.0.0.0", "::"})


def problems(found: Sidecar) -> Iterator[Problem]:
    """Everything wrong with a decoded Sidecar, but its durations."""
    spec = found.spec
    selector = spec.workload_selector
    if selector is not None:
        yield from texts.workloads("$.spec.workloadSelector.labels", selector.labels)
    for index, egress in enumerate(spec.egress):
        yield from _egress(f"$.spec.egress[{index}]", egress)
    ports = [listener.port.number for listener in spec.ingress]
    for index, ingress in enumerate(spec.ingress):
        if ingress.port.number in ports[:index]:
            yield f"$.spec.ingress[{index}].port.number", f"{ingress.port.number} is there twice"
        yield from _ingress(f"$.spec.ingress[{index}]", ingress, selector is not None)
    policy = spec.outbound_traffic_policy
    if policy is not None and policy.egress_proxy is not None:
        at = "$.spec.outboundTrafficPolicy"
        if policy.mode != "ALLOW_ANY":
            yield (
                f"{at}.egressProxy",
                "would get nothing: unknown destinations are refused (hint: mode: ALLOW_ANY)",
            )
        if policy.egress_proxy.port is None or not policy.egress_proxy.port.number:
            yield f"{at}.egressProxy.port.number", "is missing (hint: the port of that service)"


def _egress(at: str, listener: IstioEgressListener) -> Iterator[Problem]:
    if not listener.hosts:
        yield f"{at}.hosts", 'is empty (hint: "./*" for this namespace, "*/*" for all, "~/*" for none)'
    for number, host in enumerate(listener.hosts):
        namespace, slash, name = host.partition("/")
        if not slash or not namespace or not name or "/" in name:
            hint = f"hint: ./{host.strip('/') or '*'}"
            yield f"{at}.hosts[{number}]", f"{host!r} is not NAMESPACE/HOST ({hint})"
    has_port = listener.port is not None and listener.port.number
    if listener.bind.startswith(_UNIX):
        if len(listener.bind) == len(_UNIX):
            yield f"{at}.bind", f"{listener.bind!r} has no path (hint: unix:///var/run/mesh.sock)"
        return
    if listener.bind:
        yield from _address(f"{at}.bind", listener.bind)
    if not has_port and (listener.bind or listener.capture_mode == "NONE"):
        yield f"{at}.port.number", "is missing (hint: the port that the application calls)"


def _ingress(at: str, listener: IstioIngressListener, has_selector: bool) -> Iterator[Problem]:
    if not listener.port.number:
        yield f"{at}.port.number", "is missing"
    if listener.bind:
        yield from _address(f"{at}.bind", listener.bind)
    if listener.default_endpoint:
        yield from _endpoint(f"{at}.defaultEndpoint", listener.default_endpoint)
    elif listener.capture_mode == "NONE":
        yield f"{at}.defaultEndpoint", "is missing: calls are not captured (hint: 127.0.0.1:8080)"
    if listener.tls is not None:
        yield from _tls(f"{at}.tls", listener.tls, has_selector)


def _tls(at: str, tls: ServerTLSSettings, has_selector: bool) -> Iterator[Problem]:
    if tls.mode not in {"SIMPLE", "MUTUAL"}:
        yield f"{at}.mode", f"is {tls.mode} (hint: SIMPLE or MUTUAL)"
    if tls.credential_name:
        if not has_selector:
            hint = "hint: workloadSelector, so that not all of the namespace is sent it"
            yield f"{at}.credentialName", f"is for selected workloads only ({hint})"
        return
    files = {"serverCertificate": tls.server_certificate, "privateKey": tls.private_key}
    if tls.mode == "MUTUAL":
        files["caCertificates"] = tls.ca_certificates
    for name, said in files.items():
        if not said:
            yield f"{at}.{name}", "is missing (hint: a file in the proxy's container, or credentialName)"


def _address(at: str, text: str) -> Iterator[Problem]:
    if not is_address(text):
        yield at, f"{text!r} is no address (hint: 127.0.0.1)"


def _endpoint(at: str, text: str) -> Iterator[Problem]:
    hint = "hint: 127.0.0.1:8080, 0.0.0.0:8080 or unix:///path"
    host, _, port = text.rpartition(":")
    if text.startswith(_UNIX):
        if len(text) == len(_UNIX):
            yield at, f"{text!r} has no path ({hint})"
    elif host.strip("[]") not in _HERE or not port.isdecimal() or not 0 < int(port) <= 65535:
        yield at, f"{text!r} is not a port of this workload ({hint})"
