"""One small cluster, whole: real pods, reached, watched, changed and ended through its API."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from isthmus.kit.netlink import Netlink, link_up
from isthmus.lab.apiserver.api import Deletion, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.nodes import Command, LogQuery, NodeError
from isthmus.lab.apiserver.patches import MERGE_PATCH, STRATEGIC_PATCH
from isthmus.lab.embedded import Embedded
from isthmus.lab.sockets import open_connection
from isthmus.lab.spec import TALK, LabSpec
from isthmus.lab.state import StateFolder
from isthmus.lab.world import Lab
from unit.lab.inside import tell

pytestmark = pytest.mark.lab

PODS, SERVICES, CONFIG_MAPS = builtin("pods"), builtin("services"), builtin("configmaps")
DEPLOYMENTS, EVENTS, NAMESPACES = builtin("deployments", "apps"), builtin("events"), builtin("namespaces")
LIMIT_S = 40.0
WEB = """
import http.server, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = {"/": os.environ["VERSION"], "/color": open("/settings/color").read()}.get(self.path, "").encode()
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): print("asked for", self.path, flush=True)
def leave(*_):
    print("leaving", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("serving", flush=True)
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""
ASK = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode(), end='')"


class Story:
    """The running lab, and short words for what is done with it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.cluster = lab.clusters["gke"]
        assert isinstance(self.cluster.plane, Embedded)
        assert self.cluster.kubelet is not None
        self.api, self.kubelet = self.cluster.plane.server.api, self.cluster.kubelet

    async def until(self, what: str, holds: Any) -> Any:
        """What `holds` gives once that is true."""
        try:
            async with asyncio.timeout(LIMIT_S):
                while True:
                    found = await holds() if asyncio.iscoroutinefunction(holds) else holds()
                    if found:
                        return found
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pods = {each["metadata"]["name"]: each.get("status") for each in self.api.list(PODS).items}
            events = [each["message"] for each in self.api.list(EVENTS).items]
            raise AssertionError(f"never: {what}\n{pods}\n{events[-20:]}") from None

    def pods(self, app: str) -> list[dict[str, Any]]:
        return self.api.list(PODS, "default", f"app={app}").items

    def ready(self, app: str, count: int = 1) -> bool:
        pods = self.pods(app)
        return len(pods) == count and all(_is_ready(each) for each in pods)

    async def exec(self, pod: str, *arguments: str) -> tuple[int, str]:
        running = await self.kubelet.execute("default", pod, Command("", arguments))
        said = b"".join([data async for _, data in running.output()])
        code = await running.exit_code()
        await running.kill()
        return code, said.decode()

    async def ask(self, url: str) -> str:
        """What the client pod gets."""
        _, said = await self.exec("client", "python3", "-c", ASK, url)
        return said

    async def log(self, pod: str, **query: Any) -> list[str]:
        lines = [line async for line in self.kubelet.logs("default", pod, LogQuery("", **query))]
        return b"".join(lines).decode().splitlines()


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


def _pod(name: str, script: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "python", "command": ["python3", "-c", script]}
    meta = {"name": name, "namespace": "default", "labels": {"app": name}}
    return {"metadata": meta, "spec": {"containers": [container], "terminationGracePeriodSeconds": 5, **spec}}


def _web(version: str) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "python",
        "command": ["python3", "-c", WEB],
        "env": [{"name": "VERSION", "value": version}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        "volumeMounts": [{"name": "settings", "mountPath": "/settings"}],
        # As people do it: nobody is sent here any more when it is told to end.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "0.5"]}}},
    }
    spec = {"containers": [container], "volumes": [{"name": "settings", "configMap": {"name": "settings"}}]}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": spec | {"terminationGracePeriodSeconds": 5}}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": rolling,
            "template": template,
        },
    }


async def story(folder: Path) -> dict[str, Any]:
    """A day in the life of a cluster."""
    facts: dict[str, Any] = {}
    lab = Lab(LabSpec(clusters=TALK.clusters[:1]), StateFolder(folder / "state"), folder / "samples")
    (folder / "samples").mkdir()
    (folder / "state").mkdir()
    with Netlink() as netlink:
        netlink.apply(link_up(1))  # the loopback that stands for the host's
    door = socket.create_server(("127.0.0.1", 0))
    door.setblocking(False)
    await lab.up({"api-gke": door})
    told = Story(lab)
    for chapter in (_reach, _change, _fail, _leave, _silence):
        await chapter(told, facts)
    await lab.down()
    door.close()
    return facts | _left(folder)


def _left(folder: Path) -> dict[str, Any]:
    """Processes but this one, and files of volumes."""
    processes = [each.name for each in Path("/proc").glob("[0-9]*") if each.name != "1"]
    files = [str(path) for path in (folder / "state").rglob("volumes/*")]
    return {"processes left": processes, "files of pods left": files}


async def _reach(told: Story, facts: dict[str, Any]) -> None:
    api = told.api
    await api.create(
        CONFIG_MAPS, {"metadata": {"name": "settings", "namespace": "default"}, "data": {"color": "red"}}
    )
    await api.create(DEPLOYMENTS, _web("v1"))
    ports = [{"port": 80, "targetPort": "http"}]
    service = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"ports": ports, "selector": {"app": "web"}},
    }
    await api.create(SERVICES, service)
    await api.create(PODS, _pod("client", "import time; time.sleep(1000)"))
    await told.until("pods are ready", lambda: told.ready("web", 2) and told.ready("client"))

    async def answered() -> str:
        said = await told.ask("http://web")
        return "" if said.startswith("Traceback") else said

    facts["by name"] = await told.until("web answers by its name", answered)
    facts["by full name"] = await told.ask("http://web.default.svc.cluster.local")
    facts["exec"] = await told.exec("client", "python3", "-c", "print('out'); raise SystemExit(3)")
    facts["no such command"] = await _refused(told.exec("client", "no-such-command"))
    web = told.pods("web")[0]["metadata"]["name"]
    facts["log"] = (await told.log(web))[0]
    facts["no such pod"] = await _refused(told.exec("nobody", "true"))
    _, facts["host name"] = await told.exec(
        "client", "python3", "-c", "import socket; print(socket.gethostname())"
    )
    _, token = await told.exec("client", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")
    assert isinstance(told.cluster.plane, Embedded)
    facts["who the token is"] = told.cluster.plane.server.tokens.verify(token).user.name


async def _refused(coroutine: Any) -> str:
    try:
        code, said = await coroutine
    except NodeError as error:
        return str(error)
    return f"{code} {said}"


async def _change(told: Story, facts: dict[str, Any]) -> None:
    api = told.api
    await api.patch(Target(CONFIG_MAPS, "default", "settings"), {"data": {"color": "blue"}}, MERGE_PATCH)

    async def is_blue() -> bool:
        return await told.ask("http://web/color") == "blue"

    facts["config map reaches running pods"] = await told.until("the config map is refreshed", is_blue)
    least = [99]

    async def look(each: Any, before: Any, after: Any) -> None:
        if each is PODS:
            ready = [
                p for p in told.pods("web") if _is_ready(p) and not p["metadata"].get("deletionTimestamp")
            ]
            least[0] = min(least[0], len(ready))

    api.hooks.append(look)
    target = Target(DEPLOYMENTS, "default", "web")
    containers = [{"name": "main", "env": [{"name": "VERSION", "value": "v2"}]}]
    await api.patch(target, {"spec": {"template": {"spec": {"containers": containers}}}}, STRATEGIC_PATCH)
    answers = set()

    async def rolled_out() -> bool:
        answers.add(await told.ask("http://web"))
        status = api.get(DEPLOYMENTS, "default", "web")["status"]
        pods = told.pods("web")
        return (status.get("updatedReplicas"), status.get("availableReplicas"), len(pods)) == (2, 2, 2)

    await told.until("the update is rolled out", rolled_out)
    api.hooks.remove(look)
    facts["least ready during the update"] = least[0]
    facts["all answers during the update"] = sorted(answers)
    facts["after the update"] = await told.ask("http://web")


async def _fail(told: Story, facts: dict[str, Any]) -> None:
    api = told.api
    await api.create(PODS, _pod("bad", "print('oh no', flush=True); raise SystemExit(3)"))

    def crashed() -> Any:
        (status,) = (api.get(PODS, "default", "bad").get("status") or {}).get("containerStatuses") or [None]
        return status and status["restartCount"] >= 2 and "waiting" in status["state"] and status

    status = await told.until("a failing container is started again, later each time", crashed)
    facts["failing"] = [status["state"]["waiting"]["reason"], status["lastState"]["terminated"]["exitCode"]]
    facts["log of its last life"] = await told.log("bad", previous=True)
    unknown = _pod("unknown", "")
    unknown["spec"]["containers"][0] = {"name": "main", "image": "nginx:1"}
    await api.create(PODS, unknown)

    def told_of() -> Any:
        messages = [e["message"] for e in api.list(EVENTS).items if e["involvedObject"]["name"] == "unknown"]
        return next((each for each in messages if "no program stands" in each), None)

    facts["unknown image"] = (await told.until("an unknown image is told of", told_of)).partition(" (")[0]
    facts["log of what never ran"] = await _refused_log(told, "unknown")
    for name in ("bad", "unknown"):
        await api.delete(Target(PODS, "default", name), Deletion(grace_s=0))


async def _refused_log(told: Story, pod: str) -> str:
    try:
        return str(await told.log(pod))
    except NodeError as error:
        return str(error)


async def _leave(told: Story, facts: dict[str, Any]) -> None:
    """Pods end with grace, or without; their names are free again at once."""
    api = told.api
    web = told.pods("web")[0]["metadata"]["name"]
    following = told.kubelet.logs("default", web, LogQuery("", follow=True, tail_lines=0))
    last: list[str] = []

    async def follow() -> None:
        async for line in following:
            last.append(line.decode())

    async with asyncio.TaskGroup() as group:
        group.create_task(follow())
        await asyncio.sleep(0)
        marked = await api.delete(Target(PODS, "default", web))
    facts["grace"] = marked["metadata"]["deletionGracePeriodSeconds"]
    facts["its last words"] = last[-1:]
    await told.until("it is gone", lambda: api.find(PODS, "default", web) is None)
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, lambda *_: None)\nwhile True: time.sleep(1)"
    )
    await api.create(PODS, _pod("again", stubborn))
    await told.until("it runs", lambda: told.ready("again"))
    first = api.get(PODS, "default", "again")["metadata"]["uid"]
    await api.delete(Target(PODS, "default", "again"), Deletion(grace_s=0))
    await api.create(PODS, _pod("again", stubborn))
    await told.until("another of the same name runs", lambda: told.ready("again"))
    facts["another of the same name"] = api.get(PODS, "default", "again")["metadata"]["uid"] != first
    await api.create(NAMESPACES, {"metadata": {"name": "shop"}})
    shop = _pod("in-shop", "import time; time.sleep(1000)")
    shop["metadata"]["namespace"] = "shop"

    async def created() -> bool:
        try:
            return bool(await api.create(PODS, shop))
        except ApiError:  # until the namespace has its account
            return False

    await told.until("a pod in a new namespace", created)
    await api.delete(Target(NAMESPACES, "", "shop"))
    await told.until("the namespace is gone", lambda: api.find(NAMESPACES, "", "shop") is None)
    facts["pods of the namespace"] = len(api.list(PODS, "shop").items)


async def _silence(told: Story, facts: dict[str, Any]) -> None:
    """The API server falls silent and speaks again; pods and services do not mind."""
    cluster = told.cluster
    facts["health"] = await _health(cluster)
    await cluster.plane.fall_silent()
    facts["health when stopped"] = await _health(cluster)
    facts["services when it is silent"] = await told.ask("http://web")
    await cluster.plane.serve()
    facts["health again"] = await _health(cluster)
    record = json.loads(told.lab.state.record_file.read_text())
    context = ssl.create_default_context(cadata=cluster.credentials.ca.decode())
    url = f"{record['clusters']['gke']['server']}/healthz"
    answer = await asyncio.to_thread(urllib.request.urlopen, url, timeout=5, context=context)
    facts["health from the host"] = answer.read().decode()
    facts["kubeconfigs"] = sorted(path.name for path in told.lab.state.kubeconfigs.iterdir())


async def _health(cluster: Any) -> str:
    try:
        async with asyncio.timeout(5):
            _, writer = await open_connection(cluster.fabric.router, cluster.spec.api_address, 6443)
    except OSError as error:
        return type(error).__name__
    writer.close()
    return "answers"


@pytest.fixture(scope="module", params=["root", "user"])
def facts(request):
    return tell(__file__, "story", request.param)


def test_a_service_is_reached_by_its_name(facts):
    assert (facts["by name"], facts["by full name"]) == ("v1", "v1")


def test_commands_run_beside_containers(facts):
    assert facts["exec"] == [3, "out\n"]
    assert facts["no such command"].startswith(("127 ", "failed to exec in container"))
    assert facts["no such pod"] == 'pod "nobody" does not run here'


def test_pods_have_their_names_and_their_accounts(facts):
    assert facts["host name"] == "client\n"
    assert facts["who the token is"] == "system:serviceaccount:default:default"


def test_what_containers_write_is_their_log(facts):
    assert facts["log"] == "serving"


def test_a_changed_config_map_reaches_running_pods(facts):
    assert facts["config map reaches running pods"]


def test_an_update_rolls_out_without_a_gap(facts):
    assert facts["least ready during the update"] == 2
    assert facts["after the update"] == "v2"
    assert set(facts["all answers during the update"]) <= {"v1", "v2"}


def test_a_failing_container_is_started_again_and_told_of(facts):
    assert facts["failing"] == ["CrashLoopBackOff", 3]
    assert facts["log of its last life"] == ["oh no"]


def test_an_unknown_image_is_told_of(facts):
    assert facts["unknown image"] == 'no program stands for image "nginx:1" in the lab'
    assert facts["log of what never ran"] == (
        'container "main" in pod "unknown" is waiting to start: ErrImagePull'
    )


def test_a_pod_is_given_time_to_leave(facts):
    assert facts["grace"] == 5
    assert facts["its last words"] == ["leaving\n"]


def test_a_name_is_free_again_at_once(facts):
    assert facts["another of the same name"]


def test_a_namespace_takes_its_pods_along(facts):
    assert facts["pods of the namespace"] == 0


def test_the_api_server_may_fall_silent(facts):
    assert (facts["health"], facts["health again"]) == ("answers", "answers")
    assert facts["health when stopped"] == "ConnectionRefusedError"
    assert facts["services when it is silent"] == "v2"
    assert facts["health from the host"] == "ok"
    assert facts["kubeconfigs"] == ["gke-inside.yaml", "gke.yaml"]


def test_nothing_is_left(facts):
    assert facts["processes left"] == []
    assert facts["files of pods left"] == []
