"""What values make of the objects of an installation."""

from __future__ import annotations

import pytest

from isthmus.console.install.reading import Layer, profile, settings
from isthmus.console.install.roles import ROLES
from isthmus.console.installation import Installation, documents

PILOT = "istio-pilot-service-account"


def objects(role="primary", *, start="default", **spec):
    return documents(
        role, settings([profile(start), Layer("t", {"cluster": "east", "network": "cloud", **spec})])
    )


def of_kind(found, kind):
    return {each["metadata"]["name"]: each for each in found if each["kind"] == kind}


def pod_of(found, name="istiod"):
    return of_kind(found, "Deployment")[name]["spec"]["template"]["spec"]


def test_pilot_and_citadel_are_containers_of_one_deployment_by_default():
    found = objects()
    assert set(of_kind(found, "Deployment")) == {"istiod"}
    assert [each["name"] for each in pod_of(found)["containers"]] == ["discovery", "citadel"]
    assert set(of_kind(found, "ServiceAccount")) == {PILOT, "istio-reader-service-account"}
    subjects = [one["name"] for each in found for one in each.get("subjects", ())]
    assert "istio-citadel-service-account" not in subjects


def test_containers_of_one_pod_share_no_port_and_every_mount_has_its_volume():
    for spec in ({}, {"renewals": True, "pilot": {"plainXds": True}}):
        pod = pod_of(objects(**spec))
        ports = [port["containerPort"] for each in pod["containers"] for port in each["ports"]]
        assert len(ports) == len(set(ports))
        volumes = [each["name"] for each in pod["volumes"]]
        assert len(volumes) == len(set(volumes))
        assert {mount["name"] for each in pod["containers"] for mount in each["volumeMounts"]} == set(volumes)


@pytest.mark.parametrize("layout", ["together", "apart"])
@pytest.mark.parametrize("revision", ["", "canary"])
def test_each_service_leads_to_a_pod_that_listens_there(layout, revision):
    found = objects(layout=layout, revision=revision, renewals=True, pilot={"plainXds": True})
    templates = [each["spec"]["template"] for each in of_kind(found, "Deployment").values()]
    for name, service in of_kind(found, "Service").items():
        wanted = service["spec"]["selector"].items()
        chosen = [each for each in templates if wanted <= each["metadata"]["labels"].items()]
        assert len(chosen) == 1, name
        ports = {
            port["containerPort"] for each in chosen[0]["spec"]["containers"] for port in each["ports"]
        } | {15017}
        for port in service["spec"]["ports"]:
            assert port.get("targetPort", port["port"]) in ports, (name, port)


def test_istiod_answers_at_the_ports_of_istio():
    ports = of_kind(objects(pilot={"plainXds": True}), "Service")["istiod"]["spec"]["ports"]
    assert {(each["port"], each.get("targetPort", each["port"])) for each in ports} == {
        (15010, 15010),
        (15012, 15012),
        (443, 15017),
        (15014, 15014),
    }


@pytest.mark.parametrize("layout", ["together", "apart"])
def test_a_policy_lets_in_the_doors_of_its_containers_and_no_more(layout):
    found = objects(layout=layout, networkPolicies={"monitoringNamespaces": ["monitoring"]})
    for name, deployment in of_kind(found, "Deployment").items():
        policy = of_kind(found, "NetworkPolicy")[name]["spec"]
        assert policy["podSelector"] == deployment["spec"]["selector"]
        proven, numbers = policy["ingress"]
        let_in = {each["port"] for rule in (proven, numbers) for each in rule["ports"]}
        containers = deployment["spec"]["template"]["spec"]["containers"]
        assert let_in == {port["containerPort"] for each in containers for port in each["ports"]}
        assert "from" not in proven
        assert [each["port"] for each in numbers["ports"]] == [
            port for port in (15014, 15016) if port in let_in
        ]
        assert "monitoring" in str(numbers["from"])
    assert not of_kind(objects(networkPolicies={"enabled": False}), "NetworkPolicy")


def test_every_container_of_the_control_plane_is_probed_and_asks_for_resources():
    for layout in ("together", "apart"):
        for deployment in of_kind(objects(layout=layout), "Deployment").values():
            for each in deployment["spec"]["template"]["spec"]["containers"]:
                monitoring = {"discovery": 15014, "citadel": 15016}[each["name"]]
                for probe, path in (("startup", "/live"), ("liveness", "/live"), ("readiness", "/ready")):
                    asked = each[f"{probe}Probe"]["httpGet"]
                    assert asked == {"path": path, "port": monitoring}
                assert {"cpu", "memory"} <= each["resources"]["requests"].keys()
                assert "memory" in each["resources"]["limits"]


def test_a_production_has_budgets_and_autoscalers_that_decide_on_the_number_of_pods():
    for role in ("primary", "gateway", "egress-gateway", "eastwest"):
        found = objects(role, start="production")
        for name, deployment in of_kind(found, "Deployment").items():
            assert "replicas" not in deployment["spec"]
            assert of_kind(found, "HorizontalPodAutoscaler")[name]["spec"]["minReplicas"] == 2
            budget = of_kind(found, "PodDisruptionBudget")[name]["spec"]
            assert budget == {"minAvailable": 1, "selector": deployment["spec"]["selector"]}
    assert not of_kind(objects(start="demo"), "PodDisruptionBudget")


def test_pods_are_as_the_settings_have_them():
    pods = {
        "replicas": 3,
        "spread": "required",
        "priorityClass": "system-cluster-critical",
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "mesh", "operator": "Exists", "tolerationSeconds": 5}],
        "affinity": {"nodeAffinity": {}},
        "labels": {"team": "mesh", "istio": "mine"},
        "annotations": {"a/b": "c"},
    }
    parts = {"controlPlane": "primary", "ingressGateway": "gateway", "egressGateway": "egress-gateway"}
    for name, role in {**parts, "eastWestGateway": "eastwest"}.items():
        found = objects(role, imagePullPolicy="Always", imagePullSecrets=["own"], **{name: pods})
        (deployment,) = of_kind(found, "Deployment").values()
        template = deployment["spec"]["template"]
        spec, meta = template["spec"], template["metadata"]
        assert deployment["spec"]["replicas"] == 3
        assert {each["whenUnsatisfiable"] for each in spec["topologySpreadConstraints"]} == {"DoNotSchedule"}
        assert spec["priorityClassName"] == "system-cluster-critical"
        assert spec["nodeSelector"] == {"disk": "ssd"}
        assert spec["tolerations"] == [{"key": "mesh", "operator": "Exists", "tolerationSeconds": 5}]
        assert spec["affinity"] == {"nodeAffinity": {}}
        assert meta["labels"]["team"] == "mesh"
        assert meta["labels"]["istio"] != "mine"
        assert meta["annotations"]["a/b"] == "c"
        assert spec["imagePullSecrets"] == [{"name": "own"}]
        assert {each["imagePullPolicy"] for each in spec["containers"]} == {"Always"}


def test_containers_have_what_the_settings_add():
    more = {"arguments": ["--log-level=debug"], "environment": {"A": "b"}}
    for each in pod_of(objects(pilot=more, citadel=more))["containers"]:
        assert each["args"][-1] == "--log-level=debug"
        assert each["env"] == [{"name": "A", "value": "b"}]


def test_a_gateways_service_is_as_the_settings_have_it():
    service = {
        "type": "NodePort",
        "annotations": {"cloud": "internal"},
        "ports": [
            {"name": "http2", "port": 80, "targetPort": 8080, "nodePort": 30080},
            {"name": "dns", "port": 53, "protocol": "UDP"},
        ],
        "loadBalancerClass": "mine",
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "externalTrafficPolicy": "Local",
    }
    (found,) = of_kind(objects("gateway", ingressGateway={"service": service}), "Service").values()
    assert found["metadata"]["annotations"] == {"cloud": "internal"}
    assert found["spec"] | {"selector": None, "ipFamilyPolicy": None} == {
        "selector": None,
        "ipFamilyPolicy": None,
        "type": "NodePort",
        "ports": [
            {"name": "http2", "port": 80, "targetPort": 8080, "nodePort": 30080},
            {"name": "dns", "port": 53, "targetPort": 53, "protocol": "UDP"},
        ],
        "loadBalancerClass": "mine",
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "externalTrafficPolicy": "Local",
    }
    types = {role: of_kind(objects(role), "Service") for role in ("gateway", "egress-gateway", "eastwest")}
    assert {role: next(iter(each.values()))["spec"]["type"] for role, each in types.items()} == {
        "gateway": "LoadBalancer",
        "egress-gateway": "ClusterIP",
        "eastwest": "LoadBalancer",
    }


def test_settings_of_the_mesh_and_of_sidecars_are_in_their_config_maps():
    maps = of_kind(objects(mesh={"enableAutoMtls": False}, sidecar={"memory": "99Mi"}), "ConfigMap")
    assert "enableAutoMtls: false" in maps["istio"]["data"]["mesh"]
    assert "trustDomain: cluster.local" in maps["istio"]["data"]["mesh"]
    assert "memory: 99Mi" in maps["istio-sidecar-injector"]["data"]["values"]


def test_two_revisions_share_only_what_is_alike_in_both():
    """What one has by itself the other must not change; what both have must be equal."""
    own, canary = objects(), objects(revision="canary", pilot={"arguments": ["--log-level=debug"]})
    by_name = {(each["kind"], each["metadata"]["name"]): each for each in own}
    for each in canary:
        other = by_name.get((each["kind"], each["metadata"]["name"]))
        assert other is None or other == each, each["metadata"]["name"]
    assert "istiod-canary" in of_kind(canary, "Deployment")
    assert pod_of(canary, "istiod-canary")["serviceAccountName"] == PILOT


@pytest.mark.parametrize("role", list(ROLES))
@pytest.mark.parametrize("layout", ["together", "apart"])
def test_no_object_occurs_twice(role, layout):
    found = documents(role, Installation(cluster="east", network="cloud", layout=layout, secrets=("a", "b")))
    keys = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in found]
    assert len(keys) == len(set(keys))


def test_clusters_are_kept_in_the_pod_or_in_a_claimed_volume():
    def kept(**spec):
        return next(each for each in pod_of(objects(**spec))["volumes"] if each["name"] == "kept")

    assert kept() == {"name": "kept", "emptyDir": {"sizeLimit": "1Gi"}}
    claimed = {"name": "kept", "persistentVolumeClaim": {"claimName": "clusters"}}
    assert kept(pilot={"keptClustersClaim": "clusters"}) == claimed


@pytest.mark.parametrize(("revision", "label"), [("", "default"), ("canary", "canary")])
def test_each_pilot_knows_its_revision_and_may_hold_its_leases(revision, label):
    found = objects(revision=revision, layout="apart")
    (pod,) = (pod_of(found, name) for name in of_kind(found, "Deployment") if name.startswith("istio-pilot"))
    assert f"--revision={label}" in pod["containers"][0]["args"]
    leases = {
        name
        for each in found
        if each["kind"] == "Role"
        for rule in each["rules"]
        if "leases" in rule["resources"]
        for name in rule.get("resourceNames", ())
    }
    assert {"istio-pilot-leader", f"istio-pilot-leader-{label}"} <= leases
