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
    value_from: str = "INLINE"
    value: str = ""


class VmConfig(Part, frozen=True, kw_only=True):
    """The machine that the module runs in."""

    env: tuple[EnvVar, ...] = ()


class PortSelector(Part, frozen=True, kw_only=True):
    """A port."""

    number: int = 0


class TrafficSelector(Part, frozen=True, kw_only=True):
    """Traffic that passes the module: of callers, of those that are called, or both; on some ports or all."""

    mode: str = "CLIENT_AND_SERVER"
    ports: tuple[PortSelector, ...] = ()


class WasmPluginSpec(Part, frozen=True, kw_only=True):
    """A module, for whom, where it comes from, and what it is told."""

    selector: MatchLabelsSelector | None = None
    target_ref: PolicyTargetReference | None = None  # superseded by `target_refs`
    target_refs: tuple[PolicyTargetReference, ...] = ()
    url: str = ""
    sha256: str = ""
    image_pull_policy: str = "UNSPECIFIED_POLICY"
    image_pull_secret: str = ""
    verification_key: str = ""
    plugin_config: dict[str, EnvoyValue] | None = None
    plugin_name: str = ""
    phase: str = "UNSPECIFIED_PHASE"
    priority: int | None = None
    fail_strategy: str = "FAIL_CLOSE"
    vm_config: VmConfig | None = None
    match: tuple[TrafficSelector, ...] = ()
    type: str = "UNSPECIFIED_PLUGIN_TYPE"


class WasmPlugin(Object, frozen=True, kw_only=True):
    """A WebAssembly module in the filter chains of proxies."""

    spec: WasmPluginSpec
