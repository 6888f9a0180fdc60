"""WasmPlugins as patches: the filter, its settings over ECDS or in it, and from where the module is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

import msgspec

from isthmus.api.istio.envoy_filter import (
    EnvoyConfigObjectMatch,
    FilterChainMatch,
    ListenerMatch,
    PolicyTargetReference,
)
from isthmus.api.istio.wasm_plugin import TrafficSelector, WasmPlugin
from isthmus.api.resource import Ref
from isthmus.kit.ip import is_address
from isthmus.model.findings import Code, Finding, Severity
from isthmus.translate.patch.compiled import Patch, references_without_proxies
from isthmus.translate.patch.decoded import decoded
from isthmus.translate.patch.phases import PREFIX

Tree = dict[str, object]

_TYPES = "type.googleapis.com/envoy.extensions"
_REFUSAL: dict[str, Tree] = {
    "HTTP_FILTER": {
        "@type": f"{_TYPES}.filters.http.fault.v3.HTTPFault",
        "abort": {"http_status": 503, "percentage": {"numerator": 100}},
    },
    # Rules that allow nobody.
    "NETWORK_FILTER": {
        "@type": f"{_TYPES}.filters.network.rbac.v3.RBAC",
        "rules": {},
        "stat_prefix": "wasm_plugin_",
    },
}
"""In the place of a plugin that must not be passed by and cannot be had.

Source: Istio's reference, FAIL_CLOSE: an error in fetching makes all requests fail with 5xx.
"""
_FAILURE = {"FAIL_CLOSE": "FAIL_CLOSED", "FAIL_OPEN": "FAIL_OPEN", "FAIL_RELOAD": "FAIL_RELOAD"}
_FETCH_S, _CONNECT_S = 30, 5


def compiled_plugin(found: WasmPlugin) -> tuple[tuple[Patch | None, ...], tuple[Finding, ...]]:
    """The patches that put the plugin into proxies, none where it cannot be fetched; and the findings."""
    meta, spec = found.metadata, found.spec
    ref = Ref("WasmPlugin", meta.namespace, meta.name)
    given = {f"$.spec.targetRefs[{index}]": one for index, one in enumerate(spec.target_refs)}
    references: dict[str, PolicyTargetReference] = given
    if spec.target_ref is not None:
        references["$.spec.targetRef"] = spec.target_ref
    wrong = [*references_without_proxies(ref, references), *_unheeded(found, ref)]
    if unfetched := _unfetched(found, ref):
        closed = (
            tuple(_filters(found, ref, {"typed_config": _REFUSAL[_kind(found)]}))
            if found.spec.fail_strategy != "FAIL_OPEN"
            else ()
        )
        return closed, (unfetched, *wrong)
    return tuple(_patches(found, ref)), tuple(wrong)


def _scheme(url: str) -> str:
    return urlsplit(url).scheme if "://" in url else "oci"


def _unfetched(found: WasmPlugin, ref: Ref) -> Finding | None:
    """Why proxies cannot have the module, and what becomes of calls."""
    spec = found.spec
    if _scheme(spec.url) == "oci":
        path, why = "url", "is an image of a registry, which nobody here unpacks"
        hint = "the module itself by https:// with sha256, or by file://"
    elif _scheme(spec.url) in {"http", "https"} and not spec.sha256:
        path, why = "sha256", "is missing: Envoy fetches by checksum alone"
        hint = "sha256sum MODULE"
    else:
        return None
    is_open = spec.fail_strategy == "FAIL_OPEN"
    then = (
        "calls pass without the plugin"
        if is_open
        else f"{spec.fail_strategy} refuses calls that would pass it"
    )
    return Finding(ref=ref, path=f"$.spec.{path}", message=f"{why}: {then} (hint: {hint})", code=Code.PATCH)


def _unheeded(found: WasmPlugin, ref: Ref) -> Iterator[Finding]:
    """Fields that have no effect."""
    spec, is_image = found.spec, _scheme(found.spec.url) == "oci"
    fields = {
        "imagePullPolicy": spec.image_pull_policy != "UNSPECIFIED_POLICY" and not is_image,
        "imagePullSecret": bool(spec.image_pull_secret) and not is_image,
        "verificationKey": bool(spec.verification_key),
        "sha256": bool(spec.sha256) and _scheme(spec.url) == "file",
    }
    why = {
        "sha256": "is not compared with a file of the proxy's own",
        "verificationKey": "has no effect, as in Istio",
    }
    for name, is_set in fields.items():
        if is_set:
            message = why.get(name, "has no effect: it is about images of registries")
            path = f"$.spec.{name}"
            yield Finding(ref=ref, path=path, message=message, severity=Severity.WARNING, code=Code.PATCH)


def _patches(found: WasmPlugin, ref: Ref) -> Iterator[Patch]:
    name, everywhere = _name_of(found), EnvoyConfigObjectMatch()
    where = urlsplit(found.spec.url)
    if where.scheme == "file":
        extension = decoded("EXTENSION_CONFIG", {"name": name, "typed_config": _wasm(found, name)})
        yield Patch(ref, "$.spec", "EXTENSION_CONFIG", everywhere, "ADD", extension)
        yield from _filters(found, ref, {"config_discovery": _discovery(_type_of(found))})
    else:
        # Seen with Envoy 1.40: settings that come over ECDS to a listener that is warm fetch nothing.
        yield Patch(ref, "$.spec.url", "CLUSTER", everywhere, "ADD", decoded("CLUSTER", _upstream(where)))
        yield from _filters(found, ref, {"typed_config": _wasm(found, name)})


def _filters(found: WasmPlugin, ref: Ref, config: Tree) -> Iterator[Patch]:
    """The plugin's filter wherever it is wanted."""
    value = decoded(_kind(found), {"name": _name_of(found), **config})
    for path, match in _matches(found):
        yield Patch(ref, path, _kind(found), match, "ADD", value, phase=found.spec.phase)


def _kind(found: WasmPlugin) -> str:
    return "NETWORK_FILTER" if found.spec.type == "NETWORK" else "HTTP_FILTER"


def _name_of(found: WasmPlugin) -> str:
    return f"{PREFIX}{found.metadata.namespace}.{found.metadata.name}"


def _type_of(found: WasmPlugin) -> str:
    side = _kind(found).partition("_")[0].lower()
    return f"{_TYPES}.filters.{side}.wasm.v3.Wasm"


def _discovery(type_url: str) -> Tree:
    source: Tree = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    return {"config_source": source, "type_urls": [type_url]}


def _wasm(found: WasmPlugin, name: str) -> Tree:
    spec = found.spec
    env = spec.vm_config.env if spec.vm_config else ()
    machine: Tree = {"runtime": "envoy.wasm.runtime.v8", "code": _code(found)}
    if env:
        machine["environment_variables"] = {
            "host_env_keys": [each.name for each in env if each.value_from == "HOST"],
            "key_values": {each.name: each.value for each in env if each.value_from == "INLINE"},
        }
    config: Tree = {
        "name": name,
        "root_id": spec.plugin_name,
        "failure_policy": _FAILURE[spec.fail_strategy],
        "vm_config": machine,
    }
    if spec.plugin_config is not None:
        text = msgspec.json.encode(spec.plugin_config, order="sorted").decode()
        config["configuration"] = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text}
    return {"@type": _type_of(found), "config": config}


def _code(found: WasmPlugin) -> Tree:
    where = urlsplit(found.spec.url)
    if where.scheme == "file":
        return {"local": {"filename": f"{where.netloc}{where.path}"}}
    uri: Tree = {"uri": found.spec.url, "cluster": _name(where), "timeout": f"{_FETCH_S}s"}
    return {"remote": {"http_uri": uri, "sha256": found.spec.sha256}}


def _port(where: SplitResult) -> int:
    return where.port or (443 if where.scheme == "https" else 80)


def _name(where: SplitResult) -> str:
    return f"wasm-modules|{where.scheme}|{_port(where)}|{where.hostname}"


def _upstream(where: SplitResult) -> Tree:
    """The host of the module. Its certificate proves nothing here: what is fetched is known by its checksum."""
    name, host = _name(where), str(where.hostname)
    address: Tree = {"socket_address": {"address": host, "port_value": _port(where)}}
    made: Tree = {
        "name": name,
        "type": "STATIC" if is_address(host) else "STRICT_DNS",
        "connect_timeout": f"{_CONNECT_S}s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    if where.scheme == "https":
        tls: Tree = {"@type": f"{_TYPES}.transport_sockets.tls.v3.UpstreamTlsContext"}
        tls |= {} if is_address(host) else {"sni": host}
        made["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": tls}
    return made


def _matches(found: WasmPlugin) -> Iterator[tuple[str, EnvoyConfigObjectMatch]]:
    """Where the filter stands; a filter chain that several mean has it once."""
    for index, selector in enumerate(found.spec.match or (TrafficSelector(),)):
        path = f"$.spec.match[{index}]" if found.spec.match else "$.spec"
        for context in _CONTEXTS[selector.mode]:
            if not selector.ports:
                yield path, EnvoyConfigObjectMatch(context=context)
            for port in selector.ports:
                yield path, EnvoyConfigObjectMatch(context=context, listener=_on(context, port.number))


def _on(context: str, port: int) -> ListenerMatch:
    """Inbound it is the port that the process has bound, outbound that of the service."""
    if context == "SIDECAR_INBOUND":
        return ListenerMatch(filter_chain=FilterChainMatch(destination_port=port))
    return ListenerMatch(port_number=port)


_CLIENT, _SERVER = ("SIDECAR_OUTBOUND", "GATEWAY"), ("SIDECAR_INBOUND",)
_CONTEXTS = {
    "CLIENT": _CLIENT,
    "SERVER": _SERVER,
    "CLIENT_AND_SERVER": (*_SERVER, *_CLIENT),
    "UNDEFINED": (*_SERVER, *_CLIENT),
}
