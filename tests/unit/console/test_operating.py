"""`isthmus wait`, `dashboard` and `bug-report` on a mesh that runs: a real Envoy, and Pilot, through the API server."""

from __future__ import annotations

import asyncio
import json
import tarfile
import urllib.request

import pytest
import yaml

from fakes.asked_mesh import asked_mesh
from fakes.looked_at_mesh import SYSTEM, pod
from isthmus.console.awaiting import Asked as Object
from isthmus.console.awaiting import counted, kind_called, standing
from isthmus.console.boards import BOARDS
from isthmus.console.control_plane import NoPod, running_pods
from isthmus.console.dashboards import place_of
from isthmus.console.meshed import Meshed
from isthmus.console.pilots import Silence, Told, answers
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError
from isthmus.kube.kubeconfig import from_file
from isthmus.lab.apiserver.builtin import builtin

pytestmark = pytest.mark.timeout(240)
PLANTED = "hunter2hunter2"


@pytest.fixture
async def asked(tmp_path):
    async with asked_mesh(tmp_path) as found:
        yield found


async def write(asked, kind, name, spec):
    """An object of configuration, written as users write it."""
    meta = {"name": name, "namespace": "default"}
    made = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "spec": spec}
    async with Client(from_file(asked.kubeconfig)) as client:
        return await client.apply(kind, made, "test")


async def test_what_proxies_hold_is_waited_for_and_what_is_not_there_is_told(asked):
    ran = await asked.run("wait", "vs", "web")
    assert ran.code == 1
    assert "error: VirtualService default/web is not there" in ran.err
    await write(
        asked,
        kind_called("vs"),
        "web",
        {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]},
    )
    ran = await asked.run("wait", "vs", "web", "--timeout", "60s")
    # This Envoy waits for certificates that nobody gives it here: of what it asks for now it has all.
    assert ran.out.startswith("VirtualService default/web: generation 1 is held by 1 proxy (east 1)"), ran
    ran = await asked.run("wait", "vs", "web", "--generation", "7", "--timeout", "1s")
    assert (ran.code, ran.out) == (1, "istio-pilot-1 has generation 1 of 7\n")
    await write(
        asked, kind_called("peerauthentication"), "far", {"selector": {"matchLabels": {"app": "other"}}}
    )
    assert (await asked.tells("wait", "pa", "far"))["missing"] == []
    async with Client(from_file(asked.kubeconfig)) as client:
        await client.delete(kind_called("vs"), "default", "web")
    said = await asked.says("x", "wait", "--for=delete", "virtualservice", "web.default")
    assert said.startswith("VirtualService default/web: is gone from 1 proxy (east 1)")
    assert (
        "'thing' is no kind of configuration (hint: AuthorizationPolicy,"
        in (await asked.run("wait", "thing", "a")).err
    )


async def test_pages_are_led_here_until_the_command_ends(asked):
    process = await asked.start("dashboard", "pilot", "--browser=false", "--port", "0")
    try:
        async with asyncio.timeout(60):
            url = (await process.stdout.readline()).decode().strip()
        for _ in range(2):
            pages = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())
            assert "/debug/syncz" in json.loads(pages)
    finally:
        process.send_signal(2)
        _, said = await process.communicate()
    assert (process.returncode, said) == (130, b"")


async def test_how_much_pilot_logs_is_shown_and_set_while_it_runs(asked):
    before = {each["scope"]: each["level"] for each in (await asked.tells("admin", "log"))[0]["scopes"]}
    said = await asked.says("admin", "log", "--level", "ads:debug,kube:none")
    rows = {line.split()[0]: line.split()[1] for line in said.splitlines()[1:]}
    assert rows == before | {"ads": "debug", "kube": "none"}
    (told,) = await asked.tells("admin", "log", "--level", "kube:warn")
    assert (told["program"], told["pod"], told["said"]) == (
        "pilot",
        "istio-pilot-1",
        "ads:debug,kube:warning",
    )
    wide = await asked.says("admin", "log", "-o", "wide")
    assert ["ads", "debug", before["ads"], "pilot", "istio-pilot-1", "-"] in map(str.split, wide.splitlines())
    await asked.says("admin", "log", "--reset")
    (told,) = await asked.tells("admin", "log")
    assert {each["scope"]: each["level"] for each in told["scopes"]} == before
    ran = await asked.run("admin", "log", "--level", "ads:loud")
    assert (ran.code, ran.out) == (1, "")
    assert "--level: 'loud' is no level (hint: debug" in ran.err


async def test_whose_pages_are_meant_is_told_where_it_is_not_one_pods_alone(asked):
    assert (
        "no pod with app.kubernetes.io/name=kiali or app=kiali runs"
        in (await asked.run("dashboard", "kiali")).err
    )
    assert "beside which pod?" in (await asked.run("d", "envoy")).err
    ran = await asked.run("d", "pilot", "-r", "canary")
    assert "no pod with istio=pilot,istio.io/rev=canary runs" in ran.err
    async with Client(from_file(asked.kubeconfig)) as client:
        with pytest.raises(NoPod):
            await running_pods(client, SYSTEM, "istio=nobody")
    await canary(asked)
    where = Meshed(asked.kubeconfig, (), SYSTEM)
    board = BOARDS["pilot"]
    either = await place_of(board, where, "", "")
    assert (either.pod, either.others) == ("istio-pilot-1", ("istio-pilot-canary-1",))
    named = await place_of(board, where, "istio-pilot-canary", "")
    assert (named.namespace, named.pod, named.others) == (SYSTEM, "istio-pilot-canary-1", ())
    for revision, found in ("default", "istio-pilot-1"), ("canary", "istio-pilot-canary-1"):
        place = await place_of(board, where, "", "", revision)
        assert (place.pod, place.others) == (found, ())


def test_a_cluster_without_a_pilot_is_not_silent_where_anothers_serves_it():
    none, down = Silence("onprem", "no pod", has_none=True), Silence("edge", "no pod runs")
    told = Told("gke", "p", {})
    assert answers([told, none, down]) == ((told,), (down,))
    with pytest.raises(KubeError, match=r'context "onprem": no pod; context "edge"'):
        answers([none, down])


async def canary(asked):
    """A pod as of a Pilot of another revision, with that revision's settings."""
    api = asked.mesh.cluster.server.api
    labels = {"istio": "pilot", "istio.io/rev": "canary"}
    made = pod("istio-pilot-canary-1", SYSTEM, labels, "discovery", "10.1.0.8")
    await api.set_status(builtin("pods"), await api.create(builtin("pods"), made), made["status"])
    meta = {"name": "istio-canary", "namespace": SYSTEM}
    await api.create(builtin("configmaps"), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})


async def test_a_report_has_what_is_known_and_no_secret(asked, tmp_path):
    await canary(asked)
    api = asked.mesh.cluster.server.api
    meta = {"name": "planted", "namespace": "default"}
    await api.create(
        builtin("secrets"),
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"a": "aHVudGVyMg=="}},
    )
    container = {
        "name": "app",
        "image": "x",
        "env": [{"name": "DB_PASSWORD", "value": PLANTED}],
        "args": [f"--token={PLANTED}"],
    }
    planted = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta | {"annotations": {"note": f"Bearer {PLANTED}"}},
    }
    await api.create(builtin("pods"), planted | {"spec": {"containers": [container]}})
    path = tmp_path / "report.tar.gz"
    kubeconfig = tmp_path / "two"
    content = yaml.safe_load(asked.kubeconfig.read_text())
    content["clusters"].append({"name": "gone", "cluster": {"server": "https://127.0.0.1:1"}})
    content["contexts"].append(
        {"name": "gone", "context": {"cluster": "gone", "user": content["users"][0]["name"]}}
    )
    kubeconfig.write_text(json.dumps(content))
    here = content["current-context"]
    ran = await asked.run(
        *("bug-report", "-f", path, "--kubeconfig", kubeconfig, "--context", here, "--context", "gone")
    )
    assert ran.code == 0, ran.err
    assert "not in it: cluster gone: no answer from https://127.0.0.1:1" in ran.err
    with tarfile.open(path) as tar:
        files = {each.name.removeprefix("bug-report/"): tar.extractfile(each).read().decode() for each in tar}
    assert not [name for name, text in files.items() if PLANTED in text or "aHVudGVyMg" in text]
    assert "cluster gone: " in files["README.txt"]
    assert "name: planted" in files[f"{here}/objects/pods.yaml"]
    assert "DB_PASSWORD" in files[f"{here}/objects/pods.yaml"]
    for revision in ("", "-canary"):
        assert f"name: istio{revision}\n" in files[f"{here}/objects/configmap-istio{revision}.yaml"]
    own, web = f"{here}/pods/istio-system.istio-pilot-1", f"{here}/pods/default.web-1"
    assert "web-1.default" in files[f"{own}/debug-proxies.txt"]
    assert "pilot_xds" in files[f"{own}/metrics.txt"]
    assert "discovery three" in files[f"{own}/discovery.log"]
    assert "BootstrapConfigDump" in files[f"{web}/config_dump.txt"]
    assert "istio-proxy three" in files[f"{web}/istio-proxy.log"]
    assert files["check.txt"] or "isthmus check" in files["README.txt"]
    assert "is there already" in (await asked.run("bug-report", "-f", path)).err


def said(**more):
    return {"object": "x", "known": True, "taken": True, "generation": 3, "refused": "", "proxies": []} | more


def proxy(name, state="holds", why="", cluster="gke"):
    return {"id": name, "name": name, "cluster": cluster, "state": state, "why": why}


WANTED = Object(kind_called("vs"), "default", "web", 3)


@pytest.mark.parametrize(
    ("wanted", "answer", "missing", "hopeless"),
    [
        (WANTED, said(proxies=[proxy("a")]), (), False),
        (WANTED, said(generation=2), ("p has generation 2 of 3",), False),
        (WANTED, said(taken=False, known=False, generation=0), ("p has generation 0 of 3",), False),
        (WANTED, said(refused="no such field"), ("p does not take it: no such field",), True),
        (
            WANTED,
            said(proxies=[proxy("a", "behind", "has not answered RDS")]),
            ("a in gke: has not answered RDS",),
            False,
        ),
        (WANTED, said(proxies=[proxy("a", "rejected", "RDS: bad")]), ("a in gke: RDS: bad",), True),
        (WANTED._replace(gone=True), said(), ("p still has it",), False),
        (WANTED._replace(gone=True), said(known=False, taken=False), (), False),
    ],
)
def test_what_is_missing_is_told_and_whether_it_will_come(wanted, answer, missing, hopeless):
    found = standing(wanted, [Told("", "p", answer)])
    assert (found.missing, found.hopeless) == (missing, hopeless)


def test_every_pilot_must_have_it_and_each_proxy_counts_once():
    told = [
        Told("a", "p", said(proxies=[proxy("x"), proxy("y", cluster="onprem")])),
        Told("b", "q", said(proxies=[proxy("x")])),
    ]
    found = standing(WANTED, told)
    assert not found.missing
    assert counted(found.proxies) == "2 proxies (gke 1, onprem 1)"
    assert standing(WANTED, told, ["c: no route"]).missing == ("c: no route",)


@pytest.mark.parametrize(
    "word", ["VirtualService", "virtualservices", "vs", "virtualservices.networking.istio.io"]
)
def test_kinds_are_called_as_kubectl_calls_them(word):
    assert kind_called(word).name == "VirtualService"
