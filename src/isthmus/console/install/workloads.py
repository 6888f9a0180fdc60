"""What settings say of Deployments: how many pods, where, with which resources; their budgets and autoscalers."""

from __future__ import annotations

from typing import Any

import msgspec

from isthmus.console.install.settings import Container, Gateway, Installation, Pods, Resources

Json = dict[str, Any]
_TOPOLOGIES = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")


def shaped_control_plane(deployment: Json, installation: Installation) -> list[Json]:
    """The objects that come with a Deployment of the control plane; it is changed to what the settings say."""
    spec = deployment["spec"]["template"]["spec"]
    by_name: dict[str, Container] = {
        "discovery": installation.pilot,
        "citadel": installation.citadel,
        "sidecar-injector": installation.injector,
    }
    for container in spec["containers"]:
        said = by_name.get(container["name"])
        if said is not None:
            _shape_container(container, said)
        _pull(container, installation)
    _pull_by(spec, installation)
    if claim := installation.pilot.kept_clusters_claim:
        spec["volumes"] = [_claimed(each, claim) for each in spec["volumes"]]
    return _shape(deployment, installation.control_plane)


def _claimed(volume: Json, claim: str) -> Json:
    if volume["name"] != "kept":
        return volume
    return {"name": volume["name"], "persistentVolumeClaim": {"claimName": claim}}


def shaped_gateway(deployment: Json, gateway: Gateway, installation: Installation) -> list[Json]:
    """The objects that come with a gateway's Deployment; it is changed to what the settings say."""
    spec = deployment["spec"]["template"]["spec"]
    for container in spec["containers"]:
        container["resources"] = _resources(gateway.resources)
        _pull(container, installation)
    _pull_by(spec, installation)
    return _shape(deployment, gateway)


def shape_service(service: Json, gateway: Gateway, usual: str) -> None:
    """Make a gateway's Service as the settings say; without a word of them its type is `usual`."""
    said, spec = gateway.service, service["spec"]
    spec["type"] = said.type or usual
    if said.annotations:
        service["metadata"]["annotations"] = dict(said.annotations)
    if said.ports:
        spec["ports"] = [_port(msgspec.structs.asdict(each)) for each in said.ports]
    if said.load_balancer_class:
        spec["loadBalancerClass"] = said.load_balancer_class
    if said.load_balancer_source_ranges:
        spec["loadBalancerSourceRanges"] = list(said.load_balancer_source_ranges)
    if said.external_traffic_policy:
        spec["externalTrafficPolicy"] = said.external_traffic_policy


def _port(said: Json) -> Json:
    made = {"name": said["name"], "port": said["port"], "targetPort": said["target_port"] or said["port"]}
    if said["protocol"] != "TCP":
        made["protocol"] = said["protocol"]
    if said["node_port"]:
        made["nodePort"] = said["node_port"]
    return made


def _shape_container(container: Json, said: Container) -> None:
    container["resources"] = _resources(said.resources)
    container["args"] = [*container["args"], *said.arguments]
    if said.environment:
        container["env"] = [{"name": name, "value": value} for name, value in said.environment.items()]


def _resources(said: Resources) -> Json:
    made = {"requests": dict(said.requests), "limits": dict(said.limits)}
    return {key: value for key, value in made.items() if value}


def _pull(container: Json, installation: Installation) -> None:
    if installation.image_pull_policy:
        container["imagePullPolicy"] = installation.image_pull_policy


def _pull_by(spec: Json, installation: Installation) -> None:
    if installation.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": each} for each in installation.image_pull_secrets]


def _shape(deployment: Json, pods: Pods) -> list[Json]:
    spec, template = deployment["spec"], deployment["spec"]["template"]
    pod, selector = template["spec"], spec["selector"]
    spec["replicas"] = pods.replicas
    # One more pod first: where there is only one, nobody is without it for a moment.
    spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    # Whom selectors pick is not to be changed by what users add.
    template["metadata"]["labels"] = {**pods.labels, **template["metadata"]["labels"]}
    template["metadata"]["annotations"] = {**pods.annotations, **template["metadata"].get("annotations", {})}
    if pods.priority_class:
        pod["priorityClassName"] = pods.priority_class
    if pods.node_selector:
        pod["nodeSelector"] = dict(pods.node_selector)
    if pods.tolerations:
        pod["tolerations"] = [
            {key: value for key, value in msgspec.to_builtins(each).items() if value not in ("", None)}
            for each in pods.tolerations
        ]
    if pods.affinity:
        pod["affinity"] = dict(pods.affinity)
    if pods.spread != "none":
        unsatisfied = "DoNotSchedule" if pods.spread == "required" else "ScheduleAnyway"
        pod["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": each,
                "whenUnsatisfiable": unsatisfied,
                "labelSelector": selector,
            }
            for each in _TOPOLOGIES
        ]
    return [*_budget(deployment, pods), *_autoscaler(deployment, pods)]


def _beside(deployment: Json, api_version: str, kind: str, spec: Json) -> Json:
    """An object about `deployment`, with its name and labels."""
    meta = deployment["metadata"]
    own = {"name": meta["name"], "namespace": meta["namespace"], "labels": dict(meta["labels"])}
    return {"apiVersion": api_version, "kind": kind, "metadata": own, "spec": spec}


def _budget(deployment: Json, pods: Pods) -> list[Json]:
    said = pods.disruption
    if not said.enabled:
        return []
    bound = {"maxUnavailable": said.max_unavailable}
    if said.min_available is not None:
        bound = {"minAvailable": said.min_available}
    spec = {**bound, "selector": deployment["spec"]["selector"]}
    return [_beside(deployment, "policy/v1", "PodDisruptionBudget", spec)]


def _autoscaler(deployment: Json, pods: Pods) -> list[Json]:
    said = pods.autoscaling
    if not said.enabled:
        return []
    del deployment["spec"]["replicas"]  # or each new installation would undo what the autoscaler did
    shares = {"cpu": said.cpu, "memory": said.memory}
    spec = {
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": deployment["metadata"]["name"],
        },
        "minReplicas": said.min_replicas,
        "maxReplicas": said.max_replicas,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": share}},
            }
            for name, share in shares.items()
            if share
        ],
    }
    return [_beside(deployment, "autoscaling/v2", "HorizontalPodAutoscaler", spec)]
