from __future__ import annotations

import pytest

from fakes.gateway_api import GATEWAY, objects
from isthmus.model.from_gateway_api.infrastructure import infrastructure, target_ports


def gateway(spec="", **replaced):
    (found,) = objects(GATEWAY.replace("  listeners", f"{spec}\n  listeners") if spec else GATEWAY)
    return found


def with_listeners(*listeners):
    ports = ", ".join(
        f"{{name: l{at}, port: {port}, protocol: {kind}}}" for at, (port, kind) in enumerate(listeners)
    )
    (found,) = objects(GATEWAY.replace("{name: http, port: 80, protocol: HTTP}", ports))
    return found


def test_a_gateway_gets_an_account_a_deployment_and_a_service_that_belong_to_it():
    account, deployment, service = infrastructure(gateway())
    for each in (account, deployment, service):
        assert each["metadata"]["name"] == "web-istio"
        assert each["metadata"]["labels"]["gateway.networking.k8s.io/gateway-name"] == "web"
        (owner,) = each["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["apiVersion"]) == (
            "Gateway",
            "web",
            "gateway.networking.k8s.io/v1",
        )
    pod = deployment["spec"]["template"]
    assert pod["spec"]["serviceAccountName"] == "web-istio"
    assert deployment["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert "replicas" not in deployment["spec"]
    assert service["spec"]["type"] == "LoadBalancer"
    assert [(each["port"], each["targetPort"]) for each in service["spec"]["ports"]] == [
        (15021, 15021),
        (80, 10080),
    ]


def test_labels_and_annotations_are_put_on_all_that_is_made():
    made = infrastructure(gateway("  infrastructure: {labels: {team: blue}, annotations: {cost: low}}"))
    for each in made:
        assert each["metadata"]["labels"]["team"] == "blue"
        assert each["metadata"]["annotations"]["cost"] == "low"
    pod = made[1]["spec"]["template"]["metadata"]
    assert (pod["labels"]["team"], pod["annotations"]["cost"]) == ("blue", "low")


@pytest.mark.parametrize(
    ("listeners", "targets"),
    [
        ([(80, "HTTP"), (443, "TCP"), (8080, "HTTP")], {80: 10080, 443: 10443, 8080: 8080}),
        ([(80, "HTTP"), (10080, "TCP")], {80: 10081, 10080: 10080}),
        ([(15001, "TCP"), (15021, "TCP"), (53, "UDP")], {15001: 35001}),
    ],
)
def test_envoy_listens_where_it_may(listeners, targets):
    assert target_ports(with_listeners(*listeners)) == targets


@pytest.mark.parametrize("port", [1, 80, 1023, 1024, 15000, 15099, 65535])
def test_each_port_has_a_target_that_is_free_and_unprivileged(port):
    found = target_ports(with_listeners((port, "HTTP"), (10080, "TCP"), (9999, "TCP")))
    assert len(set(found.values())) == len(found)
    assert all(1024 <= each < 2**16 and each not in range(15000, 15100) for each in found.values())


def test_the_type_of_the_service_can_be_chosen():
    text = GATEWAY.replace("generation: 3", "annotations: {networking.istio.io/service-type: ClusterIP}")
    (found,) = objects(text)
    assert infrastructure(found)[2]["spec"]["type"] == "ClusterIP"


def test_an_address_is_asked_of_the_load_balancer():
    assert (
        infrastructure(gateway("  addresses: [{value: 192.0.2.7}]"))[2]["spec"]["loadBalancerIP"]
        == "192.0.2.7"
    )
