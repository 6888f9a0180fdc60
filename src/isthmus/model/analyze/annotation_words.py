"""What each annotation and label of Istio's does here, or why it does nothing: for the reference, and for findings."""

from __future__ import annotations

from collections.abc import Mapping

_AMBIENT = "there are no node proxies of ambient mode here: traffic is captured in each pod"

NO_EFFECT: Mapping[str, str] = {
    "sidecar.istio.io/enableCoreDump": "an agent and its Envoy leave no core, for there are keys in it",
    "sidecar.istio.io/statsCompression": "statistics are asked for over loopback or inside the cluster",
    "sidecar.istio.io/controlPlaneAuthPolicy": "Pilot is always spoken to in mutual TLS",
    "readiness.status.sidecar.istio.io/applicationPorts": "a proxy is ready once it has the listeners of all ports",
    "ambient.istio.io/redirection": _AMBIENT,
    "ambient.istio.io/bypass-inbound-capture": _AMBIENT,
    "ambient.istio.io/dns-capture": _AMBIENT,
    "ambient.istio.io/waypoint-inbound-binding": _AMBIENT,
    "networking.istio.io/address-type": "addresses of Gateways are as they stand in their spec",
    "gateway.istio.io/controller-version": "of several controllers the one that the class names is heard",
    "gateway.istio.io/service-account": "Gateways have accounts of their own",
    "gateway.istio.io/tls-terminate-mode": "it is an option of a listener's TLS, under `options`, and read there",
    "topology.istio.io/controlPlaneClusters": "namespaces are of every Pilot that follows their cluster",
    "security.istio.io/autoMTLS": "mutual TLS is spoken wherever the other side does",
    "alpha.istio.io/identity": "who a pod is says its account",
}
"""Why an annotation does nothing."""

EFFECT: Mapping[str, str] = {
    "galley.istio.io/analyze-suppress": "Findings with these codes are not told of the object.",
    "sidecar.istio.io/inject": "Whether the pod gets a sidecar. The label of the same name wins.",
    "sidecar.istio.io/status": "Written by injection: what was added, and what stood there before.",
    "sidecar.istio.io/proxyCPU": "CPU that the sidecar requests.",
    "sidecar.istio.io/proxyCPULimit": "CPU that it gets at most.",
    "sidecar.istio.io/proxyMemory": "Memory that the sidecar requests.",
    "sidecar.istio.io/proxyMemoryLimit": "Memory that it gets at most.",
    "sidecar.istio.io/rewriteAppHTTPProbers": "Whether kubelets ask the agent for the application's probes.",
    "sidecar.istio.io/nativeSidecar": "Whether the sidecar is an init container that goes on: it starts before the "
    "application's own init containers, ends after the application, and lets Jobs end.",
    "sidecar.istio.io/proxyImage": "Image of the sidecar.",
    "sidecar.istio.io/proxyImageType": "Build of the image, at the end of its tag: `debug`, `distroless`.",
    "sidecar.istio.io/logLevel": "How much Envoy logs, and the agent: `trace` to `off`.",
    "sidecar.istio.io/componentLogLevel": "How much parts of Envoy log: `upstream:debug,http:trace`.",
    "sidecar.istio.io/agentLogLevel": "How much the agent logs: `debug`, or `default:debug`.",
    "sidecar.istio.io/bootstrapOverride": "A ConfigMap whose `custom_bootstrap.json` is laid over Envoy's bootstrap; "
    "what Envoy would not take is logged and left out.",
    "sidecar.istio.io/extraStatTags": "Further labels of Envoy's statistics.",
    "sidecar.istio.io/interceptionMode": "`REDIRECT`; `TPROXY`: the application sees its callers' addresses; `NONE`: "
    "no capture.",
    "sidecar.istio.io/userVolume": "Volumes for the sidecar: JSON, by name.",
    "sidecar.istio.io/userVolumeMount": "Where the sidecar has them: JSON, by name.",
    "sidecar.istio.io/statsHistogramBuckets": "Bounds of histograms, by how their names begin: JSON.",
    "sidecar.istio.io/statsEvictionInterval": "How often statistics go that nothing counts any more.",
    "sidecar.istio.io/statsInclusionPrefixes": "Statistics that are kept beside the usual ones, by their beginnings.",
    "sidecar.istio.io/statsInclusionSuffixes": "As before, by their ends.",
    "sidecar.istio.io/statsInclusionRegexps": "As before, by regular expressions.",
    "sidecar.istio.io/discoveryAddress": "Pilot's address.",
    "traffic.sidecar.istio.io/includeInboundPorts": "Ports whose callers go to Envoy; `*`: all, which is usual.",
    "traffic.sidecar.istio.io/excludeInboundPorts": "Ports whose callers do not.",
    "traffic.sidecar.istio.io/includeOutboundPorts": "Ports that are called by Envoy, whatever their addresses.",
    "traffic.sidecar.istio.io/excludeOutboundPorts": "Ports that are not.",
    "traffic.sidecar.istio.io/includeOutboundIPRanges": "Addresses that are called by Envoy; `*`: all.",
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": "Addresses that are not.",
    "traffic.sidecar.istio.io/excludeInterfaces": "Interfaces whose traffic is not captured.",
    "traffic.sidecar.istio.io/kubevirtInterfaces": "Interfaces of virtual machines: what comes from there goes out.",
    "istio.io/reroute-virtual-interfaces": "As `kubevirtInterfaces`.",
    "status.sidecar.istio.io/port": "Where the agent answers. 0: no readiness probe, and no probe is led to it.",
    "readiness.status.sidecar.istio.io/initialDelaySeconds": "Of the sidecar's readiness probe.",
    "readiness.status.sidecar.istio.io/periodSeconds": "Of the sidecar's readiness probe.",
    "readiness.status.sidecar.istio.io/failureThreshold": "Of the sidecar's readiness probe.",
    "prometheus.istio.io/merge-metrics": "Whether the agent shows the application's metrics beside Envoy's, and "
    "`prometheus.io/port` and `path` lead there.",
    "proxy.istio.io/config": "A [ProxyConfig](MeshConfig.md) for this pod, in YAML.",
    "proxy.istio.io/overrides": "Written by injection: containers as the user wrote them.",
    "inject.istio.io/templates": "Of which templates the sidecar is made: `sidecar`, `gateway`, and those of the "
    "ConfigMap.",
    "networking.istio.io/exportTo": "Namespaces that see the Service.",
    "networking.istio.io/traffic-distribution": "Whether near endpoints are preferred.",
    "traffic.istio.io/nodeSelector": "Nodes by which other networks reach a gateway of type NodePort.",
    "networking.istio.io/service-type": "Type of the Service that a Gateway gets.",
    "gateway.istio.io/name-override": "Name of the Deployment and Service that a Gateway gets.",
    "istio.io/rev": "On pods: the revision that injected them. As a label: the revision that is to.",
    "istio.io/dry-run": "The policy only counts what it would do.",
    "istio.io/autoRegistrationGroup": "Written by Pilot: the WorkloadGroup that the entry is of.",
    "istio.io/workloadController": "Written by Pilot: which one the workload talks with.",
    "istio.io/connectedAt": "Written by Pilot: since when.",
    "istio.io/disconnectedAt": "Written by Pilot: since when no more.",
    "proxy.istio.io/health-checks-enabled": "Written by Pilot: whether the workload says how it is.",
    "install.operator.istio.io/chart-owner": "Written by installers, for themselves.",
    "install.operator.istio.io/owner-generation": "Written by installers, for themselves.",
    "install.operator.istio.io/version": "Written by installers, for themselves.",
    "internal.istio.io/parents": "Written by control planes, for themselves.",
    "internal.istio.io/route-semantics": "Written by control planes, for themselves.",
    "internal.istio.io/parent": "Written by control planes, for themselves.",
    "internal.istio.io/service-account-names": "Written by control planes, for themselves.",
    "alpha.istio.io/kubernetes-serviceaccounts": "Accounts as which the Service may answer, beside its pods' own.",
    "alpha.istio.io/canonical-serviceaccounts": "As before, in full.",
}
"""What an annotation does."""

LABEL_EFFECT: Mapping[str, str] = {
    "sidecar.istio.io/inject": "On pods: whether they get a sidecar; goes over the annotation.",
    "istio-injection": "On namespaces: `enabled` or `disabled`; goes over `istio.io/rev`.",
    "istio.io/rev": "On namespaces and pods: the control plane whose sidecars they get.",
    "security.istio.io/tlsMode": "On pods: `istio` where mutual TLS is spoken; injection sets it where it is not set.",
    "service.istio.io/canonical-name": "On pods: the service that they stand for, in metrics and traces.",
    "service.istio.io/canonical-revision": "On pods: its version.",
    "topology.istio.io/network": "On namespaces, nodes and pods: the network they are in.",
    "topology.istio.io/cluster": "On the control plane's namespace: the cluster's name.",
    "topology.istio.io/subzone": "On nodes: the third part of their locality.",
    "networking.istio.io/gatewayPort": "On gateways' Services: the port for other networks.",
}
"""What those labels do that users write on pods, namespaces and Services."""
