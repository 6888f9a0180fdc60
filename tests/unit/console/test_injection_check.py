"""Who puts sidecars into pods, and whether a pod would have one: by the webhooks that a cluster really has."""

from __future__ import annotations

import asyncio
import json

import pytest
import yaml
from click.testing import CliRunner

from fakes.served_webhooks import config_map, make_namespaces, namespace, pod
from fakes.two_clusters import two_clusters
from isthmus.admission.configurations import Serving, mutating
from isthmus.admission.tags import Tag, silenced, tag_objects
from isthmus.console.cli import main
from isthmus.console.injection_reasons import New, answers, why_not
from isthmus.console.injectors import Injector

ENABLED = {"istio-injection": "enabled"}
NEITHER = (
    "namespace needs istio.io/rev=default or istio-injection=enabled, "
    "or pod needs istio.io/rev=default or sidecar.istio.io/inject=true"
)


def injector(hooks=None, **more):
    hooks = mutating(Serving())["webhooks"] if hooks is None else hooks
    return Injector(name="i", revision="default", calls="istiod", hooks=tuple(hooks), **more)


def asked(found, labels, own=None):
    new = New({"metadata": {"labels": own or {}}}, "shop", {"kubernetes.io/metadata.name": "shop"} | labels)
    said = answers(found, new)
    yes = next((each for each in said if each.asked), None)
    return "; ".join(yes.why) if yes else why_not(found, said)


@pytest.mark.parametrize(
    ("labels", "own", "why"),
    [
        (ENABLED, {}, "namespace has istio-injection=enabled"),
        ({}, {"istio.io/rev": "default"}, "pod has istio.io/rev=default"),
        ({}, {}, NEITHER),
        ({"istio-injection": "disabled"}, {}, "namespace has istio-injection=disabled"),
        (ENABLED, {"sidecar.istio.io/inject": "false"}, "pod has sidecar.istio.io/inject=false"),
        ({"kubernetes.io/metadata.name": "kube-system"}, {}, "namespace is kube-system"),
        (
            {"istio.io/rev": "canary"},
            {},
            "namespace has istio.io/rev=canary, or namespace lacks istio-injection=enabled",
        ),
    ],
)
def test_why_a_webhook_is_asked_or_not_is_told_by_labels(labels, own, why):
    assert asked(injector(), labels, own) == why


def test_a_silent_injector_asks_about_nobody():
    hooks = silenced(mutating(Serving()), silent=True)["webhooks"]
    assert asked(injector(hooks, silent=True), ENABLED) == (
        "asks about no pod, since another revision is the default"
    )


@pytest.mark.parametrize(
    ("expression", "holds", "why"),
    [
        ("object.metadata.labels.app == 'web'", True, "neither namespace nor pod says a word"),
        ("request.namespace != 'shop'", False, "condition one does not hold"),
        (
            "authorizer.group('').check('get')",
            None,
            "condition one: compilation failed: undeclared reference",
        ),
    ],
)
def test_conditions_are_held_against_the_pod(expression, holds, why):
    hook = {"name": "a", "matchConditions": [{"name": "one", "expression": expression}]}
    (found,) = answers(injector([hook]), New({"metadata": {"labels": {"app": "web"}}}, "shop", {}))
    assert found.asked is holds
    assert "; ".join(found.why).startswith(why)


def status(revision):
    return {"sidecar.istio.io/status": json.dumps({"revision": revision, "containers": ["istio-proxy"]})}


def with_sidecar(name, place, revision, image):
    made = pod(name, place, annotations=status(revision))
    made["spec"]["containers"].append({"name": "istio-proxy", "image": image})
    return made


def deployment(name, place, **spec):
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "web", "image": "w"}]} | spec,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": place},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def settings(revision, image):
    ending = "" if revision == "default" else f"-{revision}"
    values = {"cluster": "east", "image": image}
    return config_map(f"istio-sidecar-injector{ending}", values=yaml.safe_dump(values), config="{}")


@pytest.fixture
async def clusters(tmp_path, api_server):
    """East has revisions default and canary, tag prod for the second; west has no injector. Nobody answers webhooks."""
    async with two_clusters(tmp_path) as (east, west):
        for each in (east, west):
            await make_namespaces(each.served, namespace("shop", **{"istio.io/rev": "prod"}))
        await make_namespaces(east.served, namespace("old", **ENABLED), namespace("none"))
        for made in (
            with_sidecar("web-1", "shop", "default", "isthmus:1"),
            pod("web-2", "shop"),
            with_sidecar("web-3", "shop", "canary", "isthmus:2"),
            with_sidecar("web-4", "old", "default", "isthmus:0"),
            pod("quiet", "old", labels={"sidecar.istio.io/inject": "false"}),
            deployment("web", "shop"),
            deployment("node", "shop", hostNetwork=True),
        ):
            await east.apply(made)
        canary = mutating(Serving(revision="canary", service="istiod-canary"))
        prod, *_ = tag_objects(Tag(name="prod", revision="canary"), canary, None)
        await east.apply(
            settings("default", "isthmus:1"),
            settings("canary", "isthmus:2"),
            mutating(Serving()),
            canary,
            prod,
        )
        yield east, west


class Asking:
    def __init__(self, cluster, *more):
        self._more = ("--kubeconfig", str(cluster.served.kubeconfig), *more)

    async def __call__(self, *words):
        return await asyncio.to_thread(CliRunner().invoke, main, [*words, *self._more])


async def test_it_is_told_whether_a_pod_would_have_a_sidecar_and_whose(clusters):
    east, west = clusters
    ask = Asking(east)
    ran = await ask("injection", "check", "deployment/web.shop")
    assert ran.exit_code == 0, ran.output
    first, _, head, *rows = ran.stdout.splitlines()
    assert first == (
        "Deployment shop/web: a pod that is made now would have a sidecar of revision canary, by tag prod"
    )
    assert head.split() == ["INJECTOR", "REVISION", "TAG", "INJECTS", "WHY"]
    assert [row.split()[:4] for row in rows] == [
        ["istio-revision-tag-prod", "canary", "prod", "yes"],
        ["istio-sidecar-injector", "default", "-", "no"],
        ["istio-sidecar-injector-canary", "canary", "-", "no"],
    ]
    said = json.loads((await ask("x", "check-inject", "web-1", "-n", "shop", "-o", "json")).stdout)
    assert (said[0]["object"], said[0]["now"]) == ("Pod shop/web-1", "default")
    assert [each["injects"] for each in said[0]["verdicts"]] == [True, False, False]

    ran = await ask("injection", "check", "deploy/node", "-n", "shop")
    assert ran.exit_code == 1
    assert "is asked, and it uses the network of its node" in ran.stdout
    ran = await ask("injection", "check", "-n", "none", "-l", "sidecar.istio.io/inject=true")
    assert "would have a sidecar of revision default" in ran.stdout
    assert (await ask("injection", "check", "ns/none")).exit_code == 1
    wide = (await ask("injection", "check", "ns/none", "-o", "wide")).stdout
    assert "namespace.sidecar-injector.istio.io       no      namespace lacks istio-injection=enabled" in wide

    for words, told in {
        ("nobody",): "no pod in namespace 'default' is called nobody…",
        ("deploy/nobody",): "no Deployment in namespace 'default' is called nobody (hint: kubectl get deploy",
        ("ns/nowhere",): "there is no namespace 'nowhere' (hint: ",
        (): "would what? (hint: POD, ",
        ("web", "-l", "a=b"): "-l stands in place of OBJECT",
        ("-l", "a"): "--labels: 'a' is no KEY=VALUE",
    }.items():
        ran = await ask("injection", "check", *words)
        assert (ran.exit_code, ran.stdout, ran.stderr.count("\n")) == (1, "", 1), ran.output
        assert ran.stderr.startswith(f"error: {told}"), ran.stderr
    ran = await Asking(west)("injection", "check", "ns/shop")
    assert (ran.exit_code, "there is no injector" in ran.stdout) == (1, True)


async def test_injectors_are_listed_with_the_pods_that_are_to_be_made_anew(clusters):
    east, _ = clusters
    ask = Asking(east)
    (found,) = json.loads((await ask("x", "injector", "list", "-o", "json")).stdout)
    assert [(each["name"], each["tag"], each["calls"]) for each in found["injectors"]] == [
        ("istio-revision-tag-prod", "prod", "istio-system/istiod-canary"),
        ("istio-sidecar-injector", "", "istio-system/istiod"),
        ("istio-sidecar-injector-canary", "", "istio-system/istiod-canary"),
    ]
    places = {each["namespace"]: each for each in found["namespaces"]}
    assert set(places) == {"old", "shop"}
    shop, old = places["shop"], places["old"]
    assert (shop["asks_by"], shop["revision"], shop["pods"]) == ("istio.io/rev=prod", "canary", 2)
    assert (shop["without"], shop["older"]) == (["web-2"], ["web-1"])
    assert (old["revision"], old["without"], old["older"]) == ("default", [], ["web-4"])
    table = (await ask("injection", "list")).stdout.splitlines()
    assert table[0].split() == ["INJECTOR", "REVISION", "TAG", "CALLS", "NAMESPACES"]
    assert table[-1].split() == ["shop", "istio.io/rev=prod", "canary", "2", "1", "1"]
