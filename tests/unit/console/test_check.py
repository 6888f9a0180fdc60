"""`isthmus check`: each check is content with clusters that are well, and says what is wrong where something is."""

from __future__ import annotations

import base64
from copy import deepcopy
from dataclasses import replace

import pytest

from fakes.checked_clusters import (
    EAST,
    LATER_PEM,
    NOW,
    OLD_PEM,
    OTHER_PEM,
    ROOT,
    SOON_PEM,
    WEST,
    besides,
    config_map,
    having,
    known,
    lease,
    meta,
    node,
    piece,
    plane,
    pod,
    proxy,
    roots,
    service,
    webhook,
    without,
)
from isthmus.api.crd import custom_resource_definitions
from isthmus.console.check.capacity import quantity
from isthmus.console.check.cluster import Machine, Right, Tried
from isthmus.console.check.table import CHECKS
from isthmus.console.check.text import as_text
from isthmus.console.check.verdict import State, When, checked

E, W, U = State.ERROR, State.WARNING, State.UNKNOWN
PILOT = EAST.pilots[0]


def east(**parts):
    return replace(EAST, **parts)


def pilots(**parts):
    return east(pilots=(replace(PILOT, **parts),))


def labelled(one, name, **labels):
    (space,) = (each for each in one.objects["namespaces"] if each["metadata"]["name"] == name)
    kept = {key: text for key, text in (space["metadata"]["labels"] | labels).items() if text is not None}
    return besides(one, namespaces=[meta(name, labels=kept)])


def networked(one, network, *gateways):
    said = labelled(one, ROOT, **{"topology.istio.io/network": network})
    return besides(said, services=gateways)


def eastwest(network, *addresses):
    made = service("gateway", ROOT, "172.20.0.13", {"topology.istio.io/network": network})
    made["status"] = {"loadBalancer": {"ingress": [{"ip": each} for each in addresses]}}
    return made


def crd(name, change):
    (made,) = (
        deepcopy(each)
        for each in EAST.objects["customresourcedefinitions"]
        if each["metadata"]["name"] == name
    )
    change(made)
    return besides(EAST, customresourcedefinitions=[made])


def quota(namespace, used, hard):
    return {**meta("q", namespace), "spec": {"hard": hard}, "status": {"hard": hard, "used": used}}


def policy(**spec):
    return {**meta("deny", ROOT), "spec": {"podSelector": {}, "policyTypes": ["Ingress"], **spec}}


AMONG = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["istiod", "other"]}]}


def istiod(*policies):
    """Pilot and Citadel in one pod, as they are usually installed."""
    made = pod("istiod-1", ROOT, {"istio": "pilot", "app": "istiod"}, ("discovery", "citadel"))
    return having(besides(without(EAST, "pods", "istio-pilot-1"), pods=[made]), networkpolicies=policies)


def canary(**objects):
    """A Pilot of another revision beside ours."""
    made = {
        **plane("pilot"),
        **meta("istio-pilot-canary-1", ROOT, {"istio": "pilot", "istio.io/rev": "canary"}),
    }
    return besides(EAST, pods=[made], **objects)


def with_pod(name="web-2", **more):
    made = pod(name)
    made["spec"] |= more.pop("spec", {})
    made["status"] |= more.pop("status", {})
    made["metadata"] |= more
    return besides(EAST, pods=[made])


def forget_schema(made):
    for version in made["spec"]["versions"]:
        version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].popitem()


def serve_none(made):
    for version in made["spec"]["versions"]:
        version["name"] = "v0"


RULES = "virtualservices.networking.istio.io"
OURS = {"app.kubernetes.io/part-of": "isthmus"}


def asked_elsewhere(roots):
    made = webhook(labels=OURS)
    made["webhooks"][0]["clientConfig"] = {
        "url": "https://injector.example",
        "caBundle": base64.b64encode(roots).decode(),
    }
    return made


GATEWAYS = "gateways.gateway.networking.k8s.io"
LOST = Right(verb="list", group="", resource="nodes", account="reader")
MAY_NOT = dict.fromkeys(EAST.may, False)
UNREADY = {"status": {"nodeInfo": {}, "conditions": [{"type": "Ready", "status": "False"}]}}
FAILED = {"name": "istio-init", "state": {"terminated": {"exitCode": 1}}}
LIMITS = {**meta("l", "default"), "spec": {"limits": [{"type": "Container", "min": {"memory": "64Mi"}}]}}

BROKEN = (
    ("api-server", (east(error="no answer"), WEST), E, "no answer"),
    ("kubernetes-version", (east(version="v1.20.3"),), E, "1.25 is the oldest"),
    ("kubernetes-version", (east(version="odd"),), W, "'odd'"),
    ("served-apis", (having(EAST, apigroups=[]),), E, "discovery.k8s.io/v1"),
    ("clock", (east(ahead_s=30.0),), W, "30 s ahead"),
    ("clock", (east(ahead_s=-400.0),), E, "400 s behind"),
    ("clocks-agree", (east(ahead_s=-200.0), replace(WEST, ahead_s=200.0)), E, "400 s from the clock of west"),
    ("rights-to-install", (east(may=MAY_NOT),), E, "create namespaces"),
    ("rights-to-look", (east(may=MAY_NOT),), E, "pods/portforward in istio-system"),
    ("kinds-installed", (without(EAST, "customresourcedefinitions", RULES),), E, RULES),
    ("kinds-established", (crd(RULES, lambda made: made.pop("status")),), E, RULES),
    ("kinds-readable", (crd(RULES, serve_none),), E, "served as v0"),
    ("kinds-current", (crd(RULES, forget_schema),), W, RULES),
    (
        "gateway-api",
        (
            besides(
                EAST, customresourcedefinitions=[{**meta(GATEWAYS), "spec": {"group": "", "versions": []}}]
            ),
        ),
        E,
        "no gatewayclasses, httproutes",
    ),
    (
        "webhooks-answer",
        (besides(EAST, endpointslices=[piece("hook", ROOT, ready=False)]),),
        E,
        "no endpoint that is ready",
    ),
    (
        "webhooks-answer",
        (having(EAST, mutatingwebhookconfigurations=[webhook("gone", "Ignore")]),),
        W,
        "gone",
    ),
    ("webhook-roots", (having(EAST, mutatingwebhookconfigurations=[webhook(bundle="")]),), E, "is empty"),
    (
        "webhook-roots",
        (having(EAST, mutatingwebhookconfigurations=[asked_elsewhere(b"")]),),
        E,
        "is empty",
    ),
    (
        "webhook-roots",
        (having(EAST, mutatingwebhookconfigurations=[webhook(bundle="bm9uZQ==")]),),
        E,
        "is none",
    ),
    (
        "webhook-roots",
        (
            having(
                EAST,
                mutatingwebhookconfigurations=[
                    webhook(bundle=base64.b64encode(OTHER_PEM).decode(), labels=OURS)
                ],
            ),
        ),
        E,
        "lacks one of the mesh",
    ),
    ("other-meshes", (having(EAST, mutatingwebhookconfigurations=[webhook("istiod")]),), W, "Istio is here"),
    ("nodes-ready", (besides(EAST, nodes=[{**node("n2"), **UNREADY}]),), W, "n2 of 2"),
    ("nodes-ready", (having(EAST, nodes=[]),), E, "no node"),
    ("architectures", (besides(EAST, nodes=[node("n2", architecture="s390x")]),), W, "n2 is s390x"),
    ("kernels", (besides(EAST, nodes=[node("n2", kernelVersion="3.10.0-1160")]),), E, "n2 has 3.10.0"),
    ("kubelets", (besides(EAST, nodes=[node("n2", kubeletVersion="v1.29.0")]),), W, "n2 has v1.29.0"),
    ("kubelets", (besides(EAST, nodes=[node("n2", kubeletVersion="v1.35.0")]),), W, "n2 has v1.35.0"),
    (
        "node-clocks",
        (besides(EAST, leases=[lease("n1", "kube-node-lease", renewed="2027-01-15T08:01:00Z")]),),
        W,
        "60 s ahead",
    ),
    (
        "node-clocks",
        (besides(EAST, leases=[lease("n1", "kube-node-lease", renewed="2027-01-15T07:00:00Z")]),),
        E,
        "3600 s behind",
    ),
    ("zones", (besides(EAST, nodes=[{**node("n2"), **meta("n2")}]), WEST), W, "not n2"),
    (
        "quota-to-install",
        (having(EAST, resourcequotas=[quota(ROOT, {"pods": "9"}, {"pods": "10"})]),),
        E,
        "leaves 1 pods of 2",
    ),
    (
        "quotas",
        (having(EAST, resourcequotas=[quota("default", {"requests.cpu": "1900m"}, {"requests.cpu": "2"})]),),
        W,
        "cpu left for 0.1 of 2",
    ),
    ("limit-ranges", (having(EAST, limitranges=[LIMITS]),), E, "64Mi memory"),
    (
        "pod-security",
        (labelled(EAST, "default", **{"pod-security.kubernetes.io/enforce": "restricted"}),),
        E,
        "default (restricted)",
    ),
    (
        "dns",
        (besides(EAST, endpointslices=[piece("kube-dns", "kube-system", ready=False)]),),
        E,
        "no endpoint",
    ),
    ("dns", (without(EAST, "services", "kube-dns"),), W, "no Service"),
    (
        "dns-domain",
        (
            besides(
                EAST, configmaps=[config_map("coredns", "kube-system", Corefile="kubernetes corp.local {")]
            ),
        ),
        E,
        "corp.local",
    ),
    ("pod-ranges", (EAST, having(WEST, nodes=EAST.objects["nodes"])), E, "10.1.0.0/16 is also of west"),
    (
        "service-ranges",
        (besides(EAST, services=[service("web", "default", "10.2.0.9")]), WEST),
        E,
        "default/web 10.2.0.9",
    ),
    (
        "networks",
        (networked(EAST, "a"), networked(WEST, "b", eastwest("b", "1.2.3.4"))),
        E,
        "a has no gateway",
    ),
    (
        "networks",
        (networked(EAST, "a", eastwest("a")), networked(WEST, "b", eastwest("b", "1.2.3.4"))),
        E,
        "no address yet",
    ),
    ("networks", (EAST, networked(WEST, "b", eastwest("b", "1.2.3.4"))), E, "says no network"),
    ("network-labels", (networked(EAST, "a"),), W, "sidecars say ''"),
    ("mtu", (east(machines=(Machine(node="n1", mtu=1200),)),), E, "1200 on node n1"),
    ("mtu", (EAST, replace(WEST, machines=(Machine(node="n1", mtu=1400),))), W, "1400 in west"),
    ("policies", (having(EAST, networkpolicies=[policy()]),), E, "deny lets nobody to port 15012"),
    ("policies", (istiod(policy(podSelector={"matchLabels": {"app": "istiod"}})),), E, "deny lets nobody"),
    ("policies", (istiod(policy(podSelector=AMONG)),), E, "of istiod-1"),
    ("injection", (east(tries=(Tried(namespace="default"),)),), E, "one in default would have none"),
    (
        "injection",
        (east(tries=(Tried(namespace="a", error='failed calling webhook "x"'),)),),
        E,
        "starts in a",
    ),
    ("injection", (east(tries=(Tried(namespace="a", error="exceeded quota: b"),)),), U, "exceeded quota"),
    ("injection", (east(tries=(Tried(namespace="a", error='webhook "x" denied it'),)),), U, "denied it"),
    (
        "policies",
        (canary(networkpolicies=[policy(podSelector={"matchLabels": {"istio.io/rev": "canary"}})]),),
        E,
        "of istio-pilot-canary-1",
    ),
    (
        "policies",
        (having(EAST, networkpolicies=[policy(ingress=[{"ports": [{"port": 15014}]}])]),),
        E,
        "deny",
    ),
    (
        "ports",
        (
            with_pod(
                spec={
                    "containers": [
                        {"name": "app", "ports": [{"containerPort": 15090}]},
                        {"name": "istio-proxy"},
                    ]
                }
            ),
        ),
        E,
        "default/web-2 15090",
    ),
    ("roots-published", (without(EAST, "configmaps", "istio-ca-root-cert", "default"),), E, "in default"),
    ("roots-readable", (besides(EAST, configmaps=[roots(ROOT, OLD_PEM)]),), E, "ended"),
    ("roots-readable", (besides(EAST, configmaps=[roots(ROOT, SOON_PEM)]),), W, "ends in 9 d"),
    ("roots-readable", (besides(EAST, configmaps=[roots(ROOT, LATER_PEM)]),), E, "begins in"),
    ("roots-readable", (besides(EAST, configmaps=[roots(ROOT, b"none")]),), E, "istio-ca-root-cert"),
    (
        "roots-in-common",
        (EAST, besides(WEST, configmaps=[roots(ROOT, OTHER_PEM)])),
        E,
        "west, which believes other",
    ),
    ("citadel", (without(EAST, "pods", "istio-citadel-1"),), E, "none is ready"),
    ("citadel", (without(EAST, "endpointslices", "istio-citadel-x"),), E, "no endpoint"),
    (
        "trust-domains",
        (EAST, besides(WEST, configmaps=[config_map("istio", ROOT, mesh="trustDomain: b")])),
        E,
        "b of west",
    ),
    ("root-namespace", (besides(EAST, namespaces=[meta(ROOT, deletionTimestamp="now")]),), E, "ends since"),
    ("pilot", (without(EAST, "pods", "istio-pilot-1"),), E, "none runs"),
    (
        "pilot",
        (besides(EAST, pods=[{**plane("pilot"), "status": {"phase": "Pending"}}]),),
        E,
        "istio-pilot-1 in east is not",
    ),
    ("pilot-answers", (pilots(error="connection refused"),), E, "connection refused"),
    ("pilot-service", (without(EAST, "endpointslices", "istio-pilot-x"),), E, "no endpoint"),
    ("leader", (without(EAST, "leases", "istio-pilot-leader"),), E, "no Lease"),
    ("leader", (besides(EAST, leases=[lease("istio-pilot-leader", ROOT, holder="")]),), W, "nobody"),
    (
        "leader",
        (besides(EAST, leases=[lease("istio-pilot-leader", ROOT, renewed="2027-01-15T07:00:00Z")]),),
        E,
        "not renewed",
    ),
    (
        "mesh-settings",
        (besides(EAST, configmaps=[config_map("istio", ROOT, mesh="accessLogFile: [")]),),
        E,
        "ConfigMap",
    ),
    ("mesh-settings", (without(EAST, "configmaps", "istio"),), W, "no ConfigMap istio"),
    ("mesh-settings", (canary(),), W, "no ConfigMap istio-canary"),
    (
        "pilot-service",
        (canary(services=[service("istio-pilot-canary", ROOT, "172.20.0.19")]),),
        E,
        "canary has no",
    ),
    (
        "network-labels",
        (canary(configmaps=[config_map("istio-sidecar-injector-canary", ROOT, values="network: b")]),),
        W,
        "sidecars say 'b'",
    ),
    (
        "dns-domain",
        (canary(configmaps=[config_map("istio-sidecar-injector-canary", ROOT, values="domain: a.b")]),),
        E,
        "sidecars ask a.b",
    ),
    (
        "images",
        (
            besides(
                EAST,
                pods=[
                    {**plane("pilot"), "spec": {"containers": [{"name": "discovery", "image": "isthmus:9"}]}}
                ],
            ),
        ),
        W,
        "isthmus:9",
    ),
    ("command-version", (pilots(version="0.0.1"),), W, "Pilot is 0.0.1"),
    (
        "clusters-synced",
        (pilots(clusters=(known("west", "unreachable", "no answer"),)),),
        E,
        "west (https://west): unreachable: no answer",
    ),
    ("new-access", (pilots(clusters=(known("west", replacing="refused: 401"),)),), W, "west: refused: 401"),
    ("access-lives", (pilots(clusters=(known("west", ends=NOW - 7200),)),), E, "that for west ended 2h ago"),
    (
        "access-lives",
        (pilots(clusters=(known("west", ends=NOW + 7200),)),),
        W,
        "that for west ends in 2h, and Pilot cannot",
    ),
    (
        "access-lives",
        (pilots(clusters=({**known("west"), "access": {"ends": NOW + 7200, "error": "forbidden"}},)),),
        W,
        "not renewed: forbidden",
    ),
    ("registry-entries", (pilots(findings=("west.yaml: no YAML",)),), E, "no YAML"),
    ("clusters-known", (pilots(clusters=(known("west"),)),), W, "it knows west"),
    (
        "cluster-names",
        (EAST, labelled(WEST, ROOT, **{"topology.istio.io/cluster": "east"})),
        E,
        "east, as west",
    ),
    ("reader-rights", (east(may={LOST: False}),), E, "reader may not list nodes"),
    ("proxies-connected", (with_pod(),), E, "web-2.default"),
    (
        "proxies-content",
        (pilots(proxies=(proxy("web-1.default", "east", "REJECTED", "no such filter"),)),),
        E,
        "no such filter",
    ),
    (
        "proxies-synced",
        (pilots(proxies=(proxy("web-1.default", "east", "STALE"),)),),
        W,
        "web-1.default (CDS)",
    ),
    (
        "envoy-versions",
        (pilots(proxies=(proxy("web-1.default", "east"), proxy("web-2.default", "east", version="1.9.0"))),),
        W,
        "web-2.default is 1.9.0",
    ),
    (
        "sidecar-images",
        (with_pod(spec={"containers": [{"name": "istio-proxy", "image": "old"}]}),),
        W,
        "1 of old",
    ),
    ("injected", (with_pod(spec={"containers": [{"name": "app"}]}),), W, "default/web-2"),
    (
        "proxies-ready",
        (with_pod(status={"containerStatuses": [{"name": "istio-proxy", "ready": False}]}),),
        W,
        "default/web-2 is not ready",
    ),
    (
        "proxies-ready",
        (
            with_pod(
                status={"containerStatuses": [{"name": "istio-proxy", "ready": True, "restartCount": 7}]}
            ),
        ),
        W,
        "7 times",
    ),
    (
        "capture",
        (with_pod(status={"initContainerStatuses": [FAILED]}),),
        E,
        "istio-init fails in default/web-2",
    ),
    (
        "gateway-addresses",
        (
            besides(
                EAST,
                pods=[pod("edge", "default", {"app": "edge"}, ("istio-proxy",))],
                services=[
                    service("edge", "default", "172.20.0.14", type="LoadBalancer", selector={"app": "edge"})
                ],
            ),
        ),
        W,
        "default/edge",
    ),
)


def found(clusters, name, **how):
    return [
        each
        for before in (False, True)
        for each in checked(CHECKS, clusters, before_install=before, **how)
        if each.check == name
    ]


def test_there_is_nothing_to_say_of_clusters_that_are_well():
    for before in (False, True):
        for each in checked(CHECKS, (EAST, WEST), before_install=before):
            assert each.state is State.OK, each


@pytest.mark.parametrize(
    ("name", "clusters", "state", "words"), BROKEN, ids=[f"{each[0]} {each[3]}" for each in BROKEN]
)
def test_what_is_wrong_is_said_with_why_and_the_mend(name, clusters, state, words):
    wrong = [each for each in found(clusters, name) if each.state is not State.OK]
    assert wrong, f"{name} finds nothing"
    assert words in wrong[0].seen
    assert wrong[0].state is state
    assert wrong[0].why
    assert wrong[0].mend


def test_of_all_webhooks_in_one_configuration_the_same_is_said_once():
    hook = webhook("gone")
    hook["webhooks"] = [{**each, "name": name} for each in hook["webhooks"] for name in ("a", "b")]
    clusters = (having(EAST, mutatingwebhookconfigurations=[hook]),)
    said = {each.seen for each in found(clusters, "webhooks-answer")}
    assert said == {f"hook (a, b) asks Service {ROOT}/gone, which has no endpoint that is ready"}


def test_every_check_is_shown_content_and_not():
    names = {each.name for each in CHECKS}
    assert len(names) == len(CHECKS)
    assert {each[0] for each in BROKEN} == names
    content = {
        each.check
        for before in (False, True)
        for each in checked(CHECKS, (EAST, WEST), before_install=before)
    }
    silent = names - content
    assert silent <= {"clocks-agree"}, f"{silent} say nothing where all is well"


def test_every_check_says_why_it_matters():
    for each in CHECKS:
        assert each.title, each.name
        assert each.why.endswith("."), each.name


def test_what_could_not_be_read_is_no_reason_to_be_content():
    hidden = east(unread={"nodes": "may not list nodes"})
    states = {each.check: each.state for each in checked(CHECKS, (hidden,), before_install=True)}
    assert states["nodes-ready"] is State.UNKNOWN
    assert states["pod-ranges"] is State.UNKNOWN
    assert states["dns"] is State.OK


def test_a_cluster_that_does_not_answer_is_told_once():
    gone = replace(EAST, error="no answer", objects={}, pilots=())
    said = [each for each in checked(CHECKS, (gone, WEST), before_install=True) if each.cluster == "east"]
    assert [(each.check, each.state) for each in said] == [("api-server", State.ERROR)]


def test_dns_may_be_answered_by_no_pod():
    elsewhere = without(EAST, "endpointslices", "kube-dns-x")
    assert [each.state for each in found((elsewhere,), "dns")] == [State.OK, State.OK]
    picked = service("kube-dns", "kube-system", "172.20.0.10", selector={"a": "b"})
    chosen = besides(elsewhere, services=[picked])
    assert [each.state for each in found((chosen,), "dns")] == [E, E]


def test_before_an_installation_nobody_misses_the_mesh():
    bare = having(
        EAST,
        pods=[],
        services=[each for each in EAST.objects["services"] if each["metadata"]["namespace"] != ROOT],
        namespaces=[meta("default"), meta("kube-system")],
        configmaps=[],
        customresourcedefinitions=[],
        mutatingwebhookconfigurations=[],
        leases=[each for each in EAST.objects["leases"] if each["metadata"]["namespace"] != ROOT],
    )
    said = list(checked(CHECKS, (replace(bare, pilots=()),), before_install=True))
    assert {each.state for each in said} == {State.OK}
    assert all(each.when is not When.AFTER for check in said for each in CHECKS if each.name == check.check)


def test_fields_of_the_gateway_api_are_no_concern_of_ours():
    made = [each["metadata"]["name"] for each in custom_resource_definitions()]
    assert RULES in made
    assert GATEWAYS not in made


def test_people_read_what_is_wrong_first_and_how_many_are_well():
    said = tuple(checked(CHECKS, (east(ahead_s=30.0, version="v1.20.0"), WEST), before_install=False))
    text = as_text(said, whole=False)
    assert text.index("ERROR east: kubernetes-version") < text.index("WARNING east: clock")
    assert "  mend       chronyc tracking" in text
    assert text.splitlines()[-1].endswith("2 wrong") or "wrong" in text.splitlines()[-1]
    assert "api-server" not in text
    assert "api-server" in as_text(said, whole=True)


def test_quantities_are_read_as_kubernetes_writes_them():
    assert quantity("250m") * 4 == 1
    assert quantity("64Mi") == 64 << 20
    assert quantity("1.5") * 2 == 3
    assert quantity("2Gi") == 2 << 30
    assert quantity("much") is None


def test_the_time_of_the_fakes_is_that_of_their_leases():
    assert NOW == 1_800_000_000
