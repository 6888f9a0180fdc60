"""`isthmus proxy` looks into a mesh that runs: a real Envoy, and Pilot, through the API server."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from click.testing import CliRunner

from fakes.asked_mesh import asked_mesh
from fakes.pki import Pki
from isthmus.console.cli import main
from isthmus.console.clusters_text import clusters_of, narrow
from isthmus.console.differing_proxies import differences
from isthmus.console.envoy_parts import resources_of
from isthmus.console.envoy_secrets import secrets
from isthmus.console.found_pods import Said, meanings
from isthmus.console.pilots import Told
from isthmus.console.proxy_log import loggers, wanted_levels
from isthmus.console.watching import new_lines

pytestmark = pytest.mark.timeout(180)
ADMIN = "type.googleapis.com/envoy.admin.v3."


@pytest.fixture
async def asked(tmp_path):
    async with asked_mesh(tmp_path) as found:
        yield found


async def test_a_mesh_that_runs_is_looked_at_in_all_parts(asked):
    head, row = (await asked.says("ps")).splitlines()
    assert head.split() == ["NAME", "CLUSTER", "CDS", "LDS", "EDS", "RDS", "ECDS", "PILOT", "VERSION"]
    assert row.split()[:3] == ["web-1.default", "east", "SYNCED"]
    assert "istio-pilot-1" in row
    assert await asked.tells("ps", "-n", "elsewhere") == []
    assert "CONNECTED" in await asked.says("ps", "-o", "wide")

    upstreams = await asked.says("pc", "cluster", "web-1", "--fqdn", "PassthroughCluster")
    assert upstreams.splitlines()[1].split() == ["PassthroughCluster", "-", "-", "-", "ORIGINAL_DST", "-"]
    (one,) = await asked.tells("pc", "clusters", "default/web-1", "--fqdn", "PassthroughCluster")
    assert one["name"] == "PassthroughCluster"
    assert "xds-grpc" in await asked.says("pc", "endpoint", "web-1.default")
    assert "static_resources" in await asked.says("pc", "b", "web-1", "-o", "yaml")
    assert "admin" in await asked.tells("pc", "log", "web-1")
    # This Envoy waits for certificates that nobody gives it here.
    ran = await asked.run("pc", "rootca-compare", "web-1", "pod/web-1")
    assert (ran.code, ran.err.startswith("error: the first pod's Envoy holds no roots")) == (1, True)
    assert await asked.tells("x", "authz", "check", "web-1") == []
    whole = await asked.tells("pc", "all", "pod/web")
    assert {"BootstrapConfigDump", "ClustersConfigDump"} <= {
        each["@type"].rpartition(".")[2] for each in whole["configs"]
    }


class Here:
    """The command in this process, pointed at a mesh."""

    def __init__(self, asked):
        self._environment = {"KUBECONFIG": str(asked.kubeconfig)}

    async def run(self, *words):
        return await asyncio.to_thread(CliRunner(env=self._environment).invoke, main, words)

    async def says(self, *words):
        ran = await self.run(*words)
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    async def tells(self, *words):
        return json.loads(await self.says(*words, "-o", "json"))

    async def is_refused(self, *words):
        ran = await self.run(*words)
        assert (ran.exit_code, ran.stdout, ran.stderr.count("\n")) == (1, "", 1), ran.output
        return ran.stderr


async def test_who_knows_istioctl_finds_what_envoys_count_and_pilots_pages(asked):
    here = Here(asked)
    table = await here.says("x", "envoy-stats", "web-1", "--filter", r"^(server\.live|runtime\.num_layers)$")
    assert [line.split()[0] for line in table.splitlines()] == ["NAME", "runtime.num_layers", "server.live"]
    (live,) = (await here.tells("proxy", "stats", "web-1", "--filter", "server.live"))["stats"]
    assert live == {"name": "server.live", "value": 1}
    assert "envoy_server_live{} 1" in await here.says("proxy", "stats", "web-1", "-o", "prom")
    upstreams = await here.says("proxy", "stats", "web-1", "--type", "clusters", "--filter", "xds")
    assert upstreams.splitlines()[0].split()[:3] == ["UPSTREAM", "ENDPOINT", "CONNECTIONS"]
    assert upstreams.splitlines()[1].startswith("xds-grpc")
    assert await here.says("proxy", "stats", "web-1", "--filter", "no-such") == "nothing found\n"
    assert "default/web-1:15020" in await here.is_refused("proxy", "stats", "web-1", "-o", "merged")

    assert "/debug/syncz" in await here.tells("admin", "debug")
    (proxy,) = await here.tells("x", "internal-debug", "syncz", "-r", "default")
    assert proxy["proxy"] == "web-1.default"
    everywhere = await here.tells("admin", "debug", "/debug/clusterz", "--all")
    assert [each["id"] for each in everywhere["istio-pilot-1"]] == ["east"]
    said = await here.is_refused("admin", "debug", "adz")
    assert said.startswith("error: there is no page 'adz' (hint: there are clusters, clusterz, ")
    assert "nobody.default" in await here.is_refused("admin", "debug", "config_dump?proxyID=nobody.default")


async def test_pilots_of_one_revision_are_asked_and_as_somebody_else(asked):
    here = Here(asked)
    assert "web-1.default" in await here.says("ps", "--revision", "default")
    for words in (("ps",), ("version",), ("clusters", "list"), ("admin", "debug")):
        said = await here.is_refused(*words, "-r", "canary")
        assert "no pod with istio=pilot of revision 'canary' runs in namespace 'istio-system'" in said
        assert "(hint: there are: default)" in said
    assert "no revision 'canary' runs" in await here.is_refused("admin", "log", "--revision", "canary")
    said = await here.is_refused("admin", "log", "--revision", "default", "--reset")
    assert said.startswith("error: --revision: levels are set for all revisions at once")

    assert "web-1.default" in await here.says("ps", "--as", "jane", "--as-group", "system:masters")
    assert 'User "jane" cannot list resource "pods"' in await here.is_refused("ps", "--as", "jane")
    said = await here.is_refused("ps", "--as-group", "system:masters")
    assert said == "error: --as-group: of whom? (hint: --as USER beside it)\n"


async def test_clusters_are_listed_as_every_pilot_sees_them(asked):
    (row,) = [line.split() for line in (await asked.says("clusters", "list")).splitlines()[1:]]
    assert row[:3] == ["east", "SYNCED", "config"]
    (told,) = (await asked.tells("remote-clusters"))["clusters"]
    assert (told["id"], told["pilot"]) == ("east", "istio-pilot-1")


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (("clusters", "list"), b"CLUSTER"),
        (("ca", "status"), b""),
        (("ca", "rotate", "status"), b"there was no rotation"),
    ],
    ids=("clusters", "certificates", "rotation"),
)
async def test_what_is_watched_is_shown_until_it_is_enough(asked, words, begins):
    process = await asked.start(*words, "-w", "-i", "istio-system")
    try:
        async with asyncio.timeout(60):
            assert (await process.stdout.readline()).startswith(begins)
    finally:
        process.send_signal(2)
        await process.communicate()
    assert process.returncode == 130


def test_of_several_pilots_each_is_told_with_its_clusters():
    cluster = {"id": "a", "state": "synced", "is_config": True, "objects": 1, "server": "s", "source": "f"}
    said = {"clusters": [cluster], "findings": ["wrong"]}
    found = clusters_of([Told("", "p", said), Told("", "q", said)])
    assert found["findings"] == ["wrong"]
    assert [line.split()[-1] for line in narrow(found["clusters"]).splitlines()] == ["PILOT", "p", "q"]
    assert "PILOT" not in narrow(found["clusters"][:1])


async def test_levels_of_an_envoy_are_set_while_it_runs(asked):
    assert (await asked.tells("pc", "log", "web-1", "--level", "http:debug,upstream:error"))[
        "http"
    ] == "debug"
    assert (await asked.tells("pc", "log", "web-1", "-r"))["upstream"] == "warning"
    assert "is none (hint: " in (await asked.run("pc", "log", "web-1", "--level", "http:loud")).err
    ran = await asked.run("pc", "log", "web-1", "--level", "sound:debug")
    assert ran.err.startswith("error: --level: 'sound:debug': unknown logger name (hint: without --level")


async def test_pods_that_are_not_there_and_clusters_without_pilot_are_told(asked):
    ran = await asked.run("pc", "c", "nobody")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "error: no pod in namespace 'default' is called nobody… (hint: kubectl get pods -A)\n"
    assert (
        "no pod with istio=pilot runs in namespace 'elsewhere'"
        in (await asked.run("ps", "-i", "elsewhere")).err
    )
    assert "hint: POD, or -f FILE" in (await asked.run("pc", "c")).err


async def test_what_an_envoy_does_not_hold_is_told(asked):
    ran = await asked.run("ps", "web-1")
    # This Envoy waits for certificates that nobody gives it here, so it holds less than it is sent.
    assert ran.code == 1
    assert ["clusters", "outbound|80||web.default.svc.cluster.local"] in [
        row.split()[:2] for row in ran.out.splitlines()
    ] or ran.out


async def test_watching_shows_what_changes_until_it_is_ended(asked):
    process = await asked.start("proxy", "status", "--watch")
    try:
        async with asyncio.timeout(60):
            assert (await process.stdout.readline()).startswith(b"NAME")
            assert (await process.stdout.readline()).startswith(b"web-1.default")
    finally:
        process.send_signal(2)
        _, said = await process.communicate()
    assert (process.returncode, said) == (130, b"")


def test_lines_that_changed_are_shown_and_those_that_are_gone():
    before = "NAME   STATE\na      SYNCED\nb      SYNCED"
    after = "NAME     STATE\na        STALE\nlonger   SYNCED"
    assert new_lines(before, after) == ["- b      SYNCED", "a        STALE", "longer   SYNCED"]


@pytest.mark.parametrize(
    ("words", "namespace", "likely"),
    [
        ("web", "", [Said("default", "web")]),
        ("web", "shop", [Said("shop", "web")]),
        ("web.shop", "", [Said("default", "web.shop"), Said("shop", "web")]),
        ("shop/web", "", [Said("shop", "web")]),
        ("deployment/web.shop", "", [Said("default", "web.shop"), Said("shop", "web")]),
    ],
)
def test_pods_are_named_as_istioctl_and_kubectl_name_them(words, namespace, likely):
    assert meanings(words, namespace) == likely


def dump(kind, key, *entries):
    return {"configs": [{"@type": ADMIN + kind, key: list(entries)}]}


def upstream(name, version):
    return {"version_info": version, "cluster": {"name": name}}


def test_an_envoy_differs_by_what_it_lacks_has_too_much_or_has_in_another_version():
    kind = ("ClustersConfigDump", "dynamic_active_clusters")
    pilot = dump(*kind, *(upstream(each, "1") for each in "abc"))
    envoy = dump(*kind, upstream("b", "0"), upstream("c", "1"), upstream("d", "1"))
    assert [tuple(each) for each in differences(pilot, envoy)] == [
        ("clusters", "a", "not held"),
        ("clusters", "b", "held as it was"),
        ("clusters", "d", "held, and no more told"),
    ]
    assert differences(pilot, pilot) == []


def test_a_listener_that_ends_what_is_open_or_was_refused_is_not_held():
    def listener(name, **states):
        return {"name": name} | {
            each: {"version_info": version, "listener": {"name": name}} for each, version in states.items()
        }

    kind = ("ListenersConfigDump", "dynamic_listeners")
    pilot = dump(*kind, *(listener(each, active_state="1") for each in "abc"))
    envoy = dump(
        *kind,
        listener("a", active_state="1", draining_state="0"),
        listener("b", warming_state="1"),
        listener("c", error_state="1"),
        listener("d", draining_state="1"),
    )
    assert [tuple(each) for each in differences(pilot, envoy)] == [
        ("listeners", "b", "not held"),
        ("listeners", "c", "not held"),
    ]
    assert resources_of("listeners", envoy, frozenset("abcd")) == [{"name": "a"}]


def assignment(name, *ports):
    places = [
        {"endpoint": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": port}}}}
        for port in ports
    ]
    return {"cluster_name": name, "endpoints": [{"locality": {"region": "us"}, "lb_endpoints": places}]}


def endpoints_dump(apart, *assignments):
    upstreams = [{"cluster": {"name": name, "type": "EDS"}} for name in apart]
    told = [{"endpoint_config": each} for each in assignments]
    return {
        "configs": [
            {"@type": f"{ADMIN}ClustersConfigDump", "dynamic_active_clusters": upstreams},
            {"@type": f"{ADMIN}EndpointsConfigDump", "dynamic_endpoint_configs": told},
        ]
    }


def test_endpoints_differ_by_where_they_are_for_envoy_tells_no_version_of_them():
    told = endpoints_dump("abc", assignment("a", 1, 2), assignment("b", 1), assignment("c", 1))
    held = endpoints_dump("ab", assignment("a", 2, 1), assignment("b", 2), assignment("static", 1))
    for place in held["configs"][1]["dynamic_endpoint_configs"][0]["endpoint_config"]["endpoints"]:
        place["lb_endpoints"][0] |= {"health_status": "HEALTHY", "load_balancing_weight": 1}
    for each in told["configs"][1]["dynamic_endpoint_configs"]:
        each["version_info"] = "da4debc89b9c0803"
    assert [tuple(each) for each in differences(told, held)] == [
        ("clusters", "c", "not held"),
        ("endpoints", "b", "held as it was"),
        ("endpoints", "c", "not held"),
    ]


def test_certificates_are_told_with_their_ends_and_broken_ones_without():
    held = Pki().leaf(uris=("spiffe://mesh.example/ns/a/sa/b",)).certificate.decode()
    chain = {"certificate_chain": {"inline_string": held}}
    broken = {"trusted_ca": {"inline_bytes": "%%%"}}
    entries = [
        {"name": "default", "secret": {"tls_certificate": chain}},
        {"name": "ROOTCA", "secret": {"validation_context": broken}},
    ]
    first, *_, last = secrets({"dynamic_active_secrets": entries}, now=time.time())
    assert (first.resource, first.type, first.valid_cert, first.trust_domain) == (
        "default",
        "Cert Chain",
        True,
        "mesh.example",
    )
    assert (last.resource, last.type, last.valid_cert, last.not_after) == ("ROOTCA", "CA", False, "")
    assert not secrets({"dynamic_active_secrets": entries}, now=0.0)[0].valid_cert


def test_levels_are_asked_for_as_envoy_takes_them():
    assert wanted_levels("") == [""]
    assert wanted_levels("debug") == ["?level=debug"]
    assert wanted_levels("http:warn,rbac:off") == ["?http=warning", "?rbac=off"]
    assert loggers("active loggers:\n  admin: info\n  http: off\n") == {"admin": "info", "http": "off"}
    with pytest.raises(ValueError, match="':debug' is none"):
        wanted_levels(":debug")


def test_a_dump_in_a_file_is_read_as_one(tmp_path):
    path = tmp_path / "dump.json"
    path.write_text(
        '{"configs": [{"@type": "x.ClustersConfigDump", "static_clusters": [{"cluster": {"name": "a"}}]}]}'
    )
    assert "a         -" in CliRunner().invoke(main, ["pc", "c", "-f", str(path)]).output
    path.write_text("[]")
    ran = CliRunner().invoke(main, ["pc", "c", "-f", str(path)])
    assert ran.exit_code == 1
    assert "dump.json: is no config_dump: " in ran.output
