"""What the operator of a mesh decides for all sidecars of a cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Literal, TypeVar

import msgspec
import yaml

from isthmus.api.core.label_selector import LabelSelector
from isthmus.api.istio.proxy_config import ProxyConfig, ProxyConfigObject
from isthmus.model.revision import suffix
from isthmus.sidecar.capture import CaptureSettings

PROXY_USER = 1337
_NATIVE_SINCE = (1, 33)
"""Where they are stable, and each kubelet has them: it is of 1.30 or later, where they are on.

Source: Kubernetes' "Sidecar Containers", "Version Skew Policy".
"""
_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})")
_Shape = TypeVar("_Shape")


class Policy(Enum):
    """What holds for pods that say nothing themselves."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    FORBIDDEN = "forbidden"  # not even those that ask get sidecars; a namespace says so, never the ConfigMap


class InjectorConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Who gets a sidecar, and of which templates it is made: key `config` of ConfigMap `istio-sidecar-injector`."""

    policy: Policy = Policy.ENABLED
    always_inject_selector: tuple[LabelSelector, ...] = ()
    never_inject_selector: tuple[LabelSelector, ...] = ()  # wins
    injected_annotations: dict[str, str] = {}
    templates: dict[str, str] = {}
    default_templates: tuple[str, ...] = ()
    aliases: dict[str, tuple[str, ...]] = {}


class InjectSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Parameters of injection; the keys of ConfigMap `istio-sidecar-injector` are their camel-case names."""

    cluster: str
    network: str = ""
    mesh_id: str = "cluster.local"
    trust_domain: str = "cluster.local"
    pilot_trust_domain: str = ""  # Pilot's, where the cluster has one of its own; empty: the same
    domain: str = "cluster.local"
    namespace: str = "istio-system"  # where the control plane is
    image: str = "isthmus/isthmus:0.1.0"
    image_pull_policy: str = ""
    log_level: str = "warning"
    component_log_level: str = ""  # of parts of Envoy: `upstream:debug`
    revision: str = "default"  # of the control plane that pods are told to be of
    # Whether proxies are native sidecars; `auto`: where the API server, of version `kubernetes`, has them.
    native_sidecars: bool | Literal["auto"] = "auto"
    kubernetes: str = ""
    concurrency: int = 2
    cpu: str = "10m"
    memory: str = "64Mi"
    cpu_limit: str = "2"
    memory_limit: str = "1Gi"
    drain_s: int = 5
    hold_application: bool = False  # holdApplicationUntilProxyStarts
    # How capture tells Envoy's connections from the application's: by their mark, which takes
    # CAP_NET_ADMIN in the sidecar, or by user 1337, which takes a second user in the pod.
    by_user: bool = False
    dns_capture: bool = True  # whether the agent answers the pod's DNS
    capture: CaptureSettings = CaptureSettings()
    discovery: str = ""  # Pilot's address; empty: that of its revision's Service
    merge_metrics: bool = True  # the agent shows the application's metrics beside Envoy's
    rewrite_probes: bool = True  # kubelets ask the agent for the application's probes
    injector: InjectorConfig = InjectorConfig()
    # What MeshConfig's `defaultConfig` and ProxyConfigs say.
    proxy: ProxyConfig = ProxyConfig()
    proxy_configs: tuple[ProxyConfigObject, ...] = ()

    @property
    def has_native_sidecars(self) -> bool:
        """Whether a proxy is one where its pod says nothing."""
        if self.native_sidecars != "auto":
            return self.native_sidecars
        found = _VERSION.match(self.kubernetes)
        return found is not None and (int(found[1]), int(found[2])) >= _NATIVE_SINCE

    @property
    def discovery_address(self) -> str:
        service = f"istio-pilot{suffix(self.revision)}"
        return self.discovery or f"{service}.{self.namespace}.svc.{self.domain}:15012"

    @property
    def ca_address(self) -> str:
        return f"istio-citadel.{self.namespace}.svc.{self.domain}:8060"


class InvalidSettings(ValueError):
    """Values of ConfigMap `istio-sidecar-injector` that cannot be used; says where."""


def read_settings(values: str, config: str = "") -> InjectSettings:
    """The settings in YAML, as ConfigMap `istio-sidecar-injector` holds them under `values` and `config`.

    Raises `InvalidSettings`.
    """
    settings = _read("values", values, InjectSettings)
    return msgspec.structs.replace(settings, injector=_read("config", config or "{}", InjectorConfig))


def settings_in(data: Mapping[str, str] | None) -> InjectSettings:
    """Those of a whole ConfigMap. Raises `InvalidSettings`."""
    found = data or {}
    return read_settings(found.get("values", ""), found.get("config", ""))


def _read(key: str, text: str, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.yaml.decode(text, type=shape)
    except (msgspec.MsgspecError, yaml.YAMLError) as error:
        raise InvalidSettings(f"istio-sidecar-injector, {key}: {error}") from error
