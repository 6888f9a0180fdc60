"""The settings of an installation, as `-f FILE`, `--set` and profiles say them: every value with what it does.

What `isthmus install` prints, the Helm chart and the kustomize base are made of the same values.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, field

from isthmus.api.resource import Part

API_VERSION: Final = "install.isthmus.io/v1alpha1"
KIND: Final = "Installation"

Replicas = Annotated[int, Meta(ge=0, le=1000)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Percent = Annotated[int, Meta(ge=1, le=1000)]


class Resources(Part, frozen=True, kw_only=True):
    """What a container asks of its node, and the most that it gets."""

    requests: dict[str, str] = {}
    """What the scheduler keeps free for it, as `cpu: 500m`, `memory: 1Gi`."""
    limits: dict[str, str] = {}
    """The most that it gets. Beyond `memory` it is ended and started anew; beyond `cpu` it is slowed down, which
    is why no profile limits that: a Pilot that is slow when much changes is slow when it matters."""


class Autoscaling(Part, frozen=True, kw_only=True):
    """A HorizontalPodAutoscaler, which needs a metrics server in the cluster."""

    enabled: bool = False
    """Whether there is one. It decides on the number of pods then, and `replicas` has no say."""
    min_replicas: Annotated[int, Meta(ge=1, le=1000)] = 1
    """The fewest pods."""
    max_replicas: Annotated[int, Meta(ge=1, le=1000)] = 5
    """The most pods."""
    cpu: Percent = 80
    """The share of the requested CPU, in per cent, above which there are more pods."""
    memory: Annotated[int, Meta(ge=0, le=1000)] = 0
    """The same of the requested memory; 0: memory does not matter."""


class Disruption(Part, frozen=True, kw_only=True):
    """A PodDisruptionBudget: what who drains nodes must leave alive."""

    enabled: bool = True
    """Whether there is one."""
    max_unavailable: int | str = 1
    """How many pods, or `30%` of them, may be away at once. 1 never stops a drain, also not of the only pod."""
    min_available: int | str | None = None
    """How many must stay instead. As many as there are pods stops every drain."""


class Toleration(Part, frozen=True, kw_only=True):
    """A taint of nodes that pods bear, as Kubernetes has it."""

    key: str = ""
    """The taint's key; empty, with `operator: Exists`: every one."""
    operator: Literal["", "Exists", "Equal"] = ""
    """How the value is compared; empty: `Equal`."""
    value: str = ""
    """The taint's value."""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    """Of which effect; empty: of each."""
    toleration_seconds: int | None = None
    """How long a pod stays on a node that comes to have it (`NoExecute`); without it for ever."""


class Pods(Part, frozen=True, kw_only=True):
    """How many pods of a Deployment there are, and where."""

    replicas: Replicas = 1
    """How many, where no autoscaler decides."""
    autoscaling: Autoscaling = Autoscaling()
    """Whether and how their number follows their load."""
    disruption: Disruption = Disruption()
    """What must stay while nodes are drained."""
    spread: Literal["none", "preferred", "required"] = "preferred"
    """Whether pods are spread over zones and then nodes: `required` leaves a pod pending rather than beside
    another."""
    priority_class: str = ""
    """PriorityClass, as `system-cluster-critical`: who stays where nodes are full. Some clouds allow that one
    outside of `kube-system` only with a ResourceQuota that names it."""
    node_selector: dict[str, str] = {}
    """Labels of the nodes on which they may run."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints of nodes that they bear."""
    affinity: dict[str, object] = {}
    """Affinity as Kubernetes has it in pods."""
    labels: dict[str, str] = {}
    """Further labels of the pods."""
    annotations: dict[str, str] = {}
    """Further annotations of the pods."""


class Container(Part, frozen=True, kw_only=True):
    """One container of the control plane."""

    resources: Resources = Resources()
    """What it asks for, and gets."""
    arguments: tuple[str, ...] = ()
    """Further flags, as `--log-level=debug`: see `isthmus run pilot --help` and `isthmus run citadel --help`."""
    environment: dict[str, str] = {}
    """Further environment variables."""


class PilotContainer(Container, frozen=True, kw_only=True):
    """Pilot's container."""

    resources: Resources = Resources(requests={"cpu": "100m", "memory": "256Mi"}, limits={"memory": "2Gi"})
    """What it asks for, and gets."""
    kept_clusters_claim: str = ""
    """PersistentVolumeClaim in the control plane's namespace in which clusters are kept as they were last, for when
    one is away while Pilot starts; several Pilots may share it (`ReadWriteMany`). Empty: an `emptyDir`, which
    survives that a container starts again, and goes with its pod."""
    plain_xds: bool = False
    """Whether xDS in plain text, port 15010, answers the network. It proves nobody's identity, and is for tools
    and old proxies."""


class CitadelContainer(Container, frozen=True, kw_only=True):
    """Citadel's container."""

    resources: Resources = Resources(requests={"cpu": "50m", "memory": "64Mi"}, limits={"memory": "512Mi"})
    """What it asks for, and gets."""


class ServicePort(Part, frozen=True, kw_only=True):
    """A port of a gateway's Service."""

    name: str
    """Its name, as `http2` or `tcp-mysql`."""
    port: Port
    """The port that callers use."""
    target_port: Port | None = None
    """The port of the gateway's Envoy; without it the same."""
    node_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """The port on nodes; 0: Kubernetes chooses."""
    protocol: Literal["TCP", "UDP"] = "TCP"
    """How it is spoken."""


class GatewayService(Part, frozen=True, kw_only=True):
    """The Service by which a gateway is reached."""

    type: Literal["LoadBalancer", "NodePort", "ClusterIP"] | None = None
    """How; without it `LoadBalancer`, of an egress gateway `ClusterIP`."""
    annotations: dict[str, str] = {}
    """What a cloud must know to make a balancer, as its documentation says."""
    ports: tuple[ServicePort, ...] = ()
    """Its ports; empty: those of its role."""
    load_balancer_class: str = ""
    """Who makes the balancer; empty: who does usually."""
    load_balancer_source_ranges: tuple[str, ...] = ()
    """From which addresses the balancer takes calls; empty: from all."""
    external_traffic_policy: Literal["", "Cluster", "Local"] = ""
    """`Local` keeps callers' addresses, and uses the pods of the node that was reached only."""


class Gateway(Pods, frozen=True, kw_only=True):
    """A gateway: the pods of its Envoy and the Service before them."""

    service: GatewayService = GatewayService()
    """The Service by which it is reached."""
    resources: Resources = Resources(requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "1Gi"})
    """What its Envoy and agent ask for, and get."""


class NetworkPolicies(Part, frozen=True, kw_only=True):
    """NetworkPolicies of the control plane: in comes what [doors](../guides/doors.md) names, and nothing else."""

    enabled: bool = True
    """Whether there are some. Where the network plugin does not enforce any they have no effect."""
    monitoring_namespaces: tuple[str, ...] = ()
    """Namespaces from which the ports for metrics are reached; empty: from everywhere."""


class InjectorContainer(Container, frozen=True, kw_only=True):
    """The injector's container, which a remote cluster has."""

    resources: Resources = Resources(requests={"cpu": "50m", "memory": "96Mi"}, limits={"memory": "512Mi"})
    """What it asks for, and gets."""


class Webhooks(Part, frozen=True, kw_only=True):
    """What API servers ask before they take pods and configuration: see [injection](../guides/injection.md)."""

    enabled: bool = True
    """Whether they ask at all. Without it sidecars come by `isthmus kube-inject` only."""
    failure_policy: Literal["Fail", "Ignore"] = "Fail"
    """Of pods in labelled namespaces, while the injector does not answer: `Fail`: they are not made; `Ignore`: they
    have no sidecar."""
    validation_failure_policy: Literal["Fail", "Ignore"] = "Ignore"
    """Of configuration, while the validator does not answer: `Fail`: it is refused; `Ignore`: it is taken unseen."""
    inject_by_default: bool = False
    """Whether pods are injected too that say nothing, in namespaces that say nothing."""
    timeout_seconds: Annotated[int, Meta(ge=1, le=30)] = 10
    """How long API servers wait for an answer."""


class Installation(Part, frozen=True, kw_only=True):
    """What is installed into a cluster, whatever the role: what a role does not need it does not look at."""

    cluster: str = ""
    """Name of the cluster in the mesh. It must be given."""
    namespace: str = "istio-system"
    """Namespace of the control plane."""
    revision: str = ""
    """Name of this control plane beside others of the same cluster: its objects end in `-REVISION`, and its pods
    have the label `istio.io/rev`. Empty: the one without a name, `default`."""
    network: str = ""
    """Name of the cluster's network; empty: the one flat network."""
    image: str = "isthmus/isthmus:0.1.0"
    """Image of all containers."""
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    """When nodes fetch it; empty: `Always` for a tag `latest`, else `IfNotPresent`."""
    image_pull_secrets: tuple[str, ...] = ()
    """Secrets by which nodes may fetch it, in the namespaces of the pods."""
    trust_domain: str = "cluster.local"
    """Trust domain of all identities."""
    pilot_trust_domain: str = ""
    """That of Pilot, where this cluster has one of its own; empty: the same."""
    domain: str = "cluster.local"
    """DNS domain of the clusters."""
    access_log: str = ""
    """File for Envoy's access log, such as `/dev/stdout`; empty: none."""
    mesh: dict[str, object] = {}
    """Further settings of the mesh, as [MeshConfig](MeshConfig.md) has them: they go into ConfigMap `istio`."""
    sidecar: dict[str, object] = {}
    """Further settings of injection: they go into ConfigMap `istio-sidecar-injector`."""

    layout: Literal["together", "apart"] = "together"
    """`together`: Pilot and Citadel are containers of one Deployment, `istiod`, with one account. `apart`: a
    Deployment and an account with its own rights each, so that who takes over Pilot does not have the key of
    the CA."""
    control_plane: Pods = Pods()
    """The pods of the control plane; apart, of each of its Deployments."""
    pilot: PilotContainer = PilotContainer()
    """Pilot's container."""
    citadel: CitadelContainer = CitadelContainer()
    """Citadel's container."""
    injector: InjectorContainer = InjectorContainer()
    """The injector's container, in a remote cluster."""
    webhooks: Webhooks = Webhooks()
    """Who injects, and who refuses what is wrong."""
    injection_url: str = field(default="", name="injectionURL")
    """Whom a remote cluster asks for sidecars, instead of an injector of its own, which it does not have then: the
    `https://` URL, without a path, of a Pilot elsewhere, as its certificate names it. Empty: its own."""
    injection_roots: str = ""
    """The roots, in PEM, by which that one is believed. Empty: Pilot writes the mesh's and keeps them true, where it
    follows the cluster and is called so by its certificate."""
    network_policies: NetworkPolicies = NetworkPolicies()
    """Who reaches the control plane."""
    managed_gateways: bool = True
    """Whether Pilot may run an Envoy for each Gateway of the Gateway API, in any namespace."""
    clusters_dir: str = ""
    """Directory of the node that is mounted into Pilot as its cluster registry; empty: the registry is in
    labelled Secrets."""
    pilot_addresses: tuple[str, ...] = ()
    """Where a remote cluster finds Pilot until Pilot, once it follows that cluster, writes it itself: IP
    addresses of its pods."""

    ca: Literal["", "plugged-in", "self-signed", "either"] = ""
    """`plugged-in`: the CA comes from Secret `cacerts`, for which Citadel waits; `self-signed`: Citadel makes a
    root and keeps it in `istio-ca-secret`; `either`: the first, if it is there. Empty: `either` in a primary,
    `plugged-in` in a remote cluster."""
    renewals: bool = False
    """Whether port 8061 of Citadel is open, where a certificate proves who asks."""
    account_secrets: tuple[str, ...] = ()
    """Namespaces in which Citadel keeps a Secret `istio.ACCOUNT` for each service account, as in 2018; `*`: all."""
    vouched: tuple[str, ...] = field(default=(), name="vouch")
    """`CLUSTER=NAMESPACE,…` or `CLUSTER=*`: for whom a cluster's word counts at Citadel."""

    place: str = field(default="", name="gatewayNamespace")
    """Namespace of a gateway and of its Secrets; empty: that of the control plane."""
    secrets: tuple[str, ...] = field(default=(), name="readableSecrets")
    """Secrets there that Pilot may read; empty: all, but of the control plane's own namespace none."""
    ingress_gateway: Gateway = Gateway()
    """The gateway of role `gateway`."""
    egress_gateway: Gateway = Gateway()
    """The gateway of role `egress-gateway`."""
    east_west_gateway: Gateway = Gateway()
    """The gateway of role `eastwest`."""

    @property
    def suffix(self) -> str:
        """What the names of this revision's own objects end in."""
        return f"-{self.revision}" if self.revision else ""

    @property
    def label(self) -> str:
        """What label `istio.io/rev` says of this revision."""
        return self.revision or "default"


def field_of(path: str) -> str | None:
    """The attribute of `Installation` that a first word of a path, as users write it, means; None: there is none."""
    for each in msgspec.structs.fields(Installation):
        if each.encode_name == path:
            return each.name
    return None
