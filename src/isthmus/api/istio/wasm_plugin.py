"""WasmPlugin: WebAssembly modules in proxies. Source: Istio's WasmPlugin reference, every field.

Words that must be one of several are plain strings here, so that `wasm_plugin_problems` can name the nearest.
"""

from __future__ import annotations

from isthmus.api.istio.envoy_filter import EnvoyValue, PolicyTargetReference
from isthmus.api.resource import Object, Part

PHASES = ("UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS")
FAIL_STRATEGIES = ("FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD")
PULL_POLICIES = ("UNSPECIFIED_POLICY", "IfNotPresent", "Always")
PLUGIN_TYPES = ("UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK")
MODES = ("UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER")
ENV_SOURCES = ("INLINE", "HOST")


class MatchLabelsSelector(Part, frozen=True, kw_only=True):
    """Workloads with certain labels."""

    match_labels: dict[str, str] = {}
    """The labels that a workload must have."""


class EnvVar(Part, frozen=True, kw_only=True):
    """A variable that the module sees in its environment."""

    name: str = ""
    """Its name; each only once. Envoy: a key of `vm_config.environment_variables.key_values`, or of its
    `host_env_keys`."""
    value_from: str = "INLINE"
    """From where its value is: INLINE is `value`, HOST the environment of the proxy's own process.
    Envoy: `key_values` or `host_env_keys`."""
    value: str = ""
    """Its value, with INLINE alone. Envoy: a value of `key_values`."""


class VmConfig(Part, frozen=True, kw_only=True):
    """The machine that the module runs in."""

    env: tuple[EnvVar, ...] = ()
    """What the module sees as its environment. Envoy: `vm_config.environment_variables`."""


class PortSelector(Part, frozen=True, kw_only=True):
    """A port."""

    number: int = 0
    """Its number, 1 to 65535: outbound and at gateways that of the service, inbound that which the process has
    bound."""


class TrafficSelector(Part, frozen=True, kw_only=True):
    """Traffic that passes the module: of callers, of those that are called, or both; on some ports or all."""

    mode: str = "CLIENT_AND_SERVER"
    """CLIENT: calls that the workload makes, and those that pass a gateway. SERVER: those that it takes.
    CLIENT_AND_SERVER, UNDEFINED: both. Envoy: in which listeners' filter chains the filter stands."""
    ports: tuple[PortSelector, ...] = ()
    """The only ports; without any, all. Envoy: as of `mode`."""


class WasmPluginSpec(Part, frozen=True, kw_only=True):
    """A module, for whom, where it comes from, and what it is told."""

    selector: MatchLabelsSelector | None = None
    """For which workloads of its namespace, of all namespaces where that is the root's; without a word for all of them.
    Not beside `targetRefs`."""
    target_ref: PolicyTargetReference | None = None
    """Superseded by `targetRefs`, to which it adds one."""
    target_refs: tuple[PolicyTargetReference, ...] = ()
    """For the proxies of which Gateways or GatewayClasses of the Gateway API, in place of `selector`."""
    url: str = ""
    """Where the module is: `https://…` and `http://…` are fetched by Envoy, `file://…` is a file of the proxy's own.
    Images (`oci://…`, or without a scheme) are not fetched, and `failStrategy` decides.
    Envoy: `vm_config.code`, and an upstream `wasm-modules|SCHEME|PORT|HOST`."""
    sha256: str = ""
    """The module's checksum, 64 hexadecimal digits. What is fetched must have one; a file is not compared with it.
    Envoy: `vm_config.code.remote.sha256`."""
    image_pull_policy: str = "UNSPECIFIED_POLICY"
    """When an image is fetched anew. It has no effect, for images are not fetched."""
    image_pull_secret: str = ""
    """The Secret to fetch an image with. It has no effect, for images are not fetched."""
    verification_key: str = ""
    """A key to verify an image with. It has no effect."""
    plugin_config: dict[str, EnvoyValue] | None = None
    """What the module is told, as JSON. Envoy: the plugin's `configuration`."""
    plugin_name: str = ""
    """Which of several plugins in one module it is. Envoy: `root_id`."""
    phase: str = "UNSPECIFIED_PHASE"
    """Where it stands: AUTHN at the beginning, AUTHZ after filters for authentication, STATS and without a word after
    those for authorisation; plugins of one place in this order of phases. Envoy: the filter's place in its list."""
    priority: int | None = None
    """Within a phase the greater comes first, then the name decides; 0 without a word.
    Envoy: the filter's place in its list."""
    fail_strategy: str = "FAIL_CLOSE"
    """What becomes of calls when the module fails or cannot be had: FAIL_CLOSE refuses them, FAIL_OPEN lets them pass,
    FAIL_RELOAD refuses them and starts the module anew. Envoy: `failure_policy`; a filter that refuses all where the
    module cannot be had."""
    vm_config: VmConfig | None = None
    """The machine that the module runs in. Envoy: `vm_config`."""
    match: tuple[TrafficSelector, ...] = ()
    """Which traffic passes it: what any of these selects; without a word all.
    Envoy: in which listeners' filter chains the filter stands."""
    type: str = "UNSPECIFIED_PLUGIN_TYPE"
    """NETWORK is a filter of connections; HTTP, and without a word, one of HTTP requests.
    Envoy: in `filters` or `http_filters`."""


class WasmPlugin(Object, frozen=True, kw_only=True):
    """A WebAssembly module in the filter chains of proxies."""

    spec: WasmPluginSpec
