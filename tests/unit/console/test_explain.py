"""`isthmus explain` on files: what it reads, makes up, finds and says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from isthmus.api.errors import InvalidConfig
from isthmus.console.calls import Caller as From
from isthmus.console.calls import Target, WrongCall, call_of, parts_of, resolve_name
from isthmus.console.cli import main
from isthmus.console.drawn_mesh import draw
from isthmus.console.explain import Explainer
from isthmus.console.explain_files import FromFiles
from isthmus.console.written import Manifest, read_manifests
from isthmus.console.yaml_places import Place
from isthmus.translate.trace.call import Hello, Speech

SAMPLES = Path(__file__).parents[3] / "samples" / "bookinfo"
BOOKINFO = (
    *("-f", f"gke={SAMPLES}/kube/bookinfo.yaml", "-f", f"onprem={SAMPLES}/kube/reviews-v3.yaml"),
    *("-f", f"{SAMPLES}/networking/destination-rule-all.yaml"),
)
JASON = SAMPLES / "networking" / "virtual-service-reviews-jason-v3.yaml"


def run(*arguments):
    return CliRunner().invoke(main, ["explain", *map(str, arguments)])


def lines(*arguments):
    found = run(*arguments)
    assert found.exit_code == 0, found.output
    return [" ".join(line.split()) for line in found.stdout.splitlines()]


def test_the_way_of_a_call_is_shown_step_by_step():
    shown = lines("productpage", "http://reviews:9080/reviews/0", *BOOKINFO, "-f", JASON)
    assert shown[0] == "productpage-v1-0 → http://reviews:9080/reviews/0"
    labels = [line.split()[0] for line in shown[1:]]
    assert [each for each in labels if each in {"from", "call", "listener", "host", "rule", "not"}] == [
        "from", "call", "listener", "host", "rule", "not"
    ]  # fmt: skip
    assert any(
        line.startswith("→ 100 % outbound|9080|v1|reviews.default.svc.cluster.local") for line in shown
    )
    assert any(line.startswith("100 % reviews-v1-0") and "mutual TLS" in line for line in shown)


def test_the_rule_is_named_by_entry_and_line():
    shown = lines(
        "productpage", "http://reviews:9080/", *BOOKINFO, "-f", JASON, "--header", "end-user: jason"
    )
    (rule,) = [line for line in shown if line.startswith("rule")]
    assert (
        rule
        == f"rule VirtualService default/reviews http[0].match[0] ({JASON}:{line_with(JASON, '- headers')})"
    )
    assert "✓ header end-user = jason" in shown
    assert any("reviews-v3-0" in line and "onprem" in line for line in shown)


def line_with(path, text):
    return next(n for n, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def test_a_rule_that_did_not_match_says_what_it_wanted():
    shown = lines("productpage", "http://reviews:9080/", *BOOKINFO, "-f", JASON)
    (missed,) = [line for line in shown if line.startswith("not taken")]
    assert missed.endswith("wants header end-user = jason; end-user is absent")


def test_json_has_all_of_it():
    found = json.loads(
        run("productpage", "http://reviews:9080/", *BOOKINFO, "-f", JASON, "-o", "json").stdout
    )
    (branch,) = found["trace"]["branches"]
    assert branch["action"]["action"] == "forward"
    assert branch["route"]["virtual_host"] == "reviews.default.svc.cluster.local:9080"
    (upstream,) = branch["action"]["upstreams"]
    assert [each["workload"] for each in upstream["endpoints"]] == ["default/reviews-v1-0"]
    assert found["arrivals"][0]["trace"]["listener"]["tls"]["mode"] == "mutual"
    assert found["trace"]["near_misses"][0]["condition"] == "header end-user = jason"


def test_what_if_puts_a_file_on_top(tmp_path):
    changed = tmp_path / "changed.yaml"
    changed.write_text(JASON.read_text().replace("exact: jason", "exact: anna"))
    arguments = ("productpage", "http://reviews:9080/", *BOOKINFO, "-f", JASON, "--header", "end-user: anna")
    assert not any("reviews-v3-0" in line for line in lines(*arguments))
    shown = lines(*arguments, "--what-if", changed)
    assert any("reviews-v3-0" in line for line in shown)
    assert any(str(changed) in line for line in shown)


def test_a_lost_cluster_leaves_the_others():
    arguments = ("productpage", "http://reviews:9080/", *BOOKINFO)
    before = json.loads(run(*arguments, "-o", "json").stdout)
    after = json.loads(run(*arguments, "-o", "json", "--without-cluster", "onprem").stdout)
    clusters = [
        {each["cluster"]: each["share"] for each in upstream["endpoints"]}
        for found in (before, after)
        for upstream in found["trace"]["branches"][0]["action"]["upstreams"]
    ]
    assert clusters[0]["onprem"] > 0
    assert clusters[1]["onprem"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody", "http://reviews:9080/"), "no pod is called nobody"),
        (("productpage", "http:///x"), "has no host"),
        (("productpage", "tcp://elsewhere"), "which port?"),
        (("productpage", "http://a:b/"), "Port could not be cast"),
        (("productpage", "http://reviews:9080/", "-f", "nosuch.yaml"), "there is no such file"),
        (("productpage", "http://reviews:9080/", "--without-cluster", "west"), "one of gke, onprem"),
        (("product-page", "http://reviews:9080/"), "did you mean productpage-v1-0.default?"),
        (("nobody", "http://reviews:9080/"), "there are details-v1-0.default, "),
        (
            ("productpage", "http://reviews:9080/", "--cluster", "west"),
            'no pod in cluster "west" is called productpage (hint: there are pods in gke, onprem)',
        ),
    ],
)
def test_what_cannot_be_explained_is_said_in_one_line(arguments, said):
    found = run(*arguments[:2], *BOOKINFO, *arguments[2:])
    assert found.exit_code == 1
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_a_header_needs_a_colon():
    assert run("productpage", "http://reviews:9080/", *BOOKINFO, "--header", "jason").exit_code == 2


def test_a_folder_is_all_of_its_yaml():
    found = read_manifests([f"gke={SAMPLES}/kube"])
    assert [Path(each.name) for each in found] == sorted(Path(SAMPLES, "kube").glob("*.yaml"))
    assert {each.cluster for each in found} == {"gke"}


DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{ports: [{name: main, containerPort: 8080}]}]}
"""
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {{name: default, labels: {{istio-injection: {}}}}}\n"
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: main}]}
"""


def drawn(*texts, **clusters):
    manifests = [Manifest("a.yaml", "---\n".join(texts))] if texts else []
    return draw(manifests + [Manifest(f"{name}.yaml", text, name) for name, text in clusters.items()])


def endpoints(mesh):
    return {
        (cluster, endpoint.workload): (endpoint.ports, endpoint.tls)
        for shards in mesh.generation.mesh.shards.values()
        for cluster, shard in shards.items()
        for endpoint in shard.endpoints
    }


def test_deployments_get_pods_and_services_their_endpoints():
    found = drawn(DEPLOYMENT, SERVICE)
    assert endpoints(found) == {
        ("cluster", "web-0"): ((("http", 8080),), True),
        ("cluster", "web-1"): ((("http", 8080),), True),
    }
    assert not found.findings


def test_what_is_made_up_is_the_same_each_time():
    one, other = drawn(DEPLOYMENT, SERVICE), drawn(DEPLOYMENT, SERVICE)
    assert one.generation.mesh.services == other.generation.mesh.services
    assert one.generation.mesh.shards == other.generation.mesh.shards


@pytest.mark.parametrize(
    ("more", "sidecar"),
    [
        ((DEPLOYMENT.replace("{app: web}}", "{app: web, sidecar.istio.io/inject: 'false'}}"),), False),
        ((DEPLOYMENT, NAMESPACE.format("disabled")), False),
        ((DEPLOYMENT, NAMESPACE.format("enabled")), True),
    ],
)  # fmt: skip
def test_sidecars_are_where_injection_would_put_them(more, sidecar):
    assert {tls for _, tls in endpoints(drawn(SERVICE, *more)).values()} == {sidecar}


def test_what_is_written_stays_as_it_is():
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: web}}\nstatus: {podIP: 10.100.0.1}\n"
    slice_ = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-x, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.100.0.1], conditions: {ready: true}}]
ports: [{name: http, port: 1234}]
"""
    found = drawn(DEPLOYMENT, SERVICE, pod, slice_).generation.mesh
    (shards,) = found.shards.values()
    assert [(each.address, each.ports) for each in shards["cluster"].endpoints] == [
        ("10.100.0.1", (("http", 1234),))
    ]
    assert len({address for _, address in found.workloads}) == 3


def test_the_first_cluster_that_is_named_holds_the_configuration():
    found = drawn(east=SERVICE, west=SERVICE)
    assert found.generation.mesh.settings.config_cluster == "east"
    (service,) = found.generation.mesh.services.values()
    assert service.clusters == ("east", "west")


def test_lists_and_kinds_that_nobody_reads_are_no_trouble():
    items = f"apiVersion: v1\nkind: List\nitems:\n- {SERVICE.strip().replace(chr(10), chr(10) + '  ')}\n"
    found = drawn(items, "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x}\n", "just text\n")
    assert [key.name for key in found.generation.mesh.services] == ["web"]


def test_what_is_no_yaml_is_said_with_its_file():
    with pytest.raises(InvalidConfig, match=r"a\.yaml.*is not YAML"):
        drawn("a: [")


def test_a_wrong_object_is_a_finding_with_its_line():
    wrong = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {hosts: a}\n"
    )
    (finding,) = drawn(SERVICE, wrong).findings
    assert finding.path.startswith("a.yaml:7: $.spec.hosts")


@pytest.mark.parametrize(
    ("path", "line"),
    [("spec.http[1]", 6), ("spec.http[1].match[0]", 7), ("spec.http[9]", 5), ("spec", 4), ("nothing", 3)],
)
def test_a_part_of_a_document_has_a_line(path, line):
    text = "a: b\n---\nspec:\n  http:\n  - route: x\n  - match:\n    - uri: y\n"
    assert Place("a.yaml", text, 3).line(path) == line


MESH = drawn(DEPLOYMENT, SERVICE, SERVICE.replace("name: web}", "name: db, namespace: shop}")).generation.mesh


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("web", "web.default"),
        ("db", None),
        ("db.shop", "db.shop"),
        ("db.shop.svc", "db.shop"),
        ("db.shop.svc.cluster.local", "db.shop"),
        ("db.shop.svc.cluster.local.", "db.shop"),
        ("web.", None),
        ("example.com", None),
    ],
)
def test_names_are_looked_up_as_the_callers_dns_does(host, service):
    found = resolve_name(MESH, From("cluster", "default"), host)
    hostname = found.service.key.hostname if found.service else None
    assert hostname == (f"{service}.svc.cluster.local" if service else None)
    assert bool(found.address) == bool(service)
    assert bool(found.note) != bool(service)


def called(url, **more):
    resolved = resolve_name(MESH, From("cluster", "default"), parts_of(url)[1])
    return call_of(Target(url=url, **more), resolved)


def test_urls_say_what_is_spoken():
    assert called("http://web/a?b").request.path == "/a?b"
    assert called("http://web:80/").request.host == "web"
    assert called("http://web:8080/").request.host == "web:8080"
    assert called("web:80/x").request.path == "/x"
    assert called("http://web/", host="other", path="/p").request.host == "other"
    assert called("https://web/").hello == Hello(sni="web", alpn=("h2", "http/1.1"))
    assert called("tls://10.0.0.1:1").hello == Hello()
    assert called("grpc://web/a.B/C").request.method == "POST"
    assert called("grpc://web/a.B/C").speech is Speech.HTTP2
    assert called("mysql://web").speech is Speech.SILENCE
    assert called("tcp://web").port == 80
    with pytest.raises(WrongCall, match="which port"):
        called("tcp://nowhere")


def test_a_name_without_a_service_in_the_callers_cluster_is_noted():
    mesh = drawn(east=SERVICE.replace("web", "a"), west=SERVICE).generation.mesh
    found = resolve_name(mesh, From("east", "default"), "web")
    assert found.address
    assert "its Service is in west only" in found.note


def test_a_caller_is_found_by_namespace_and_cluster():
    both = DEPLOYMENT + "---" + SERVICE
    one = Explainer(FromFiles(drawn(east=both, west=both)))
    target = Target(url="http://web/")
    assert one.explain("web", target).caller.cluster == "east"
    assert one.explain("web", target, "west").caller.cluster == "west"
    assert one.explain("default/web-1", target).caller.name == "web-1"
    with pytest.raises(WrongCall, match=r"other/web.*hint"):
        one.explain("other/web", target)


GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "explain-a-call.md"


def examples():
    """The guide's commands on files, each with what it says that they show."""
    for block in re.findall(
        r"^```console\n\$ isthmus (explain .*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE
    ):
        command, _, shown = block.partition("\n") if "\\\n" not in block else partition_of(block)
        if "-f " in command:
            yield shlex.split(command), shown


def partition_of(block):
    """A command over several lines, and what follows it."""
    end = re.search(r"(?<!\\)\n", block)
    return block[: end.start()].replace("\\\n", " "), "\n", block[end.end() :]


@pytest.mark.parametrize(("words", "shown"), list(examples()))
def test_the_guide_shows_what_is_shown(words, shown, monkeypatch):
    monkeypatch.chdir(GUIDE.parents[2])
    assert way_of(CliRunner().invoke(main, words).stdout) == way_of(shown)


def way_of(shown):
    """The lines about the call's way: defaults that only go with it may change."""
    return [line for line in shown.splitlines() if line.split()[0] not in {"with", "put"}]


def test_the_guide_has_examples():
    assert len(list(examples())) == 3


DATABASES = """
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {selector: {app: web}, ports: [{name: tcp, port: 3306}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db}
spec:
  hosts: [db]
  tcp:
    - match: [{sourceLabels: {app: other}}]
      route: [{destination: {host: web, port: {number: 80}}}]
    - route: [{destination: {host: db}}]
"""


def test_the_rule_of_a_connection_is_named_too():
    found = Explainer(FromFiles(drawn(DEPLOYMENT, SERVICE, DATABASES))).explain(
        "web", Target(url="tcp://db:3306")
    )
    assert str(found.origins["tcp"]).startswith("VirtualService default/db tcp[1] (a.yaml:")
    plain = Explainer(FromFiles(drawn(DEPLOYMENT, SERVICE))).explain("web", Target(url="tcp://192.0.2.1:1"))
    assert plain.origins == {}


def test_entries_that_are_not_for_the_caller_are_told_apart():
    rule = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
    - match: [{sourceLabels: {app: other}}, {sourceNamespace: shop}, {port: 81}, {gateways: [gw]}]
      directResponse: {status: 418}
    - route: [{destination: {host: web}}]
    - redirect: {uri: /}
"""
    found = Explainer(FromFiles(drawn(DEPLOYMENT, SERVICE, rule))).explain("web", Target(url="http://web/"))
    assert found.origins["0"].entry == "http[1]"
    assert [(each.origin.entry, each.why) for each in found.skipped] == [
        ("http[0].match[0]", "is for callers with app=other, this one has web"),
        ("http[0].match[1]", "is for callers in namespace shop, this one is in default"),
        ("http[0].match[2]", "is for port 81, this one is 80"),
        ("http[0].match[3]", "is for default/gw, this is mesh"),
        ("http[2]", "an entry before it takes everything"),
    ]


RULE_WITH = """spec:
  hosts: [web]
  http: [{{match: [{{uri: {{regex: {}}}}}], route: [{{destination: {{host: web}}}}]}}]
"""


DELEGATED = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root}
spec:
  hosts: [web]
  http:
    - match: [{uri: {prefix: /x}}, {uri: {prefix: /a}}]
      delegate: {name: pages, namespace: shop}
    - delegate: {name: gone}
    - route: [{destination: {host: web}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: pages, namespace: shop}
spec:
  http:
    - match: [{uri: {exact: /x/1}}, {uri: {exact: /a/1}}]
      directResponse: {status: 418}
    - match: [{sourceLabels: {app: other}}]
      directResponse: {status: 419}
    - directResponse: {status: 420}
"""


def delegated(url):
    found = Explainer(FromFiles(drawn(DEPLOYMENT, SERVICE, DELEGATED))).explain("web", Target(url=url))
    taken = found.trace.branches[0].route.index
    missed = [str(found.origins[str(each.index)]) for each in found.trace.near_misses]
    return str(found.origins[str(taken)]), missed, found


def written_at(words):
    text = "---\n".join((DEPLOYMENT, SERVICE, DELEGATED))
    return next(number for number, line in enumerate(text.splitlines(), 1) if words in line)


def test_a_delegates_route_is_told_by_both_objects_entries_and_lines():
    taken, missed, found = delegated("http://web/a/1")
    root, inner = written_at("prefix: /x"), written_at("exact: /x/1")
    first = "VirtualService default/root http[0].match[0]"
    second = f"VirtualService default/root http[0].match[1] (a.yaml:{root})"
    assert taken == f"{second} → delegate shop/pages http[0].match[1] (a.yaml:{inner})"
    assert missed == [f"{first} (a.yaml:{root}) → delegate shop/pages http[0].match[0] (a.yaml:{inner})"]
    gone, *others = found.skipped
    assert (
        str(gone.origin)
        == f"VirtualService default/root http[1].delegate (a.yaml:{written_at('name: gone')})"
    )
    assert gone.why.startswith("no VirtualService is called default/gone (hint: ")
    assert [(str(each.origin).partition(" → ")[2], each.why) for each in others] == [
        (f"delegate shop/pages http[1].match[0] (a.yaml:{written_at('app: other')})",
         "is for callers with app=other, this one has web"),
    ] * 2  # fmt: skip


def test_a_rule_whose_delegates_are_all_gone_is_told_where_calls_go_without_it():
    alone = DELEGATED.replace("    - route: [{destination: {host: web}}]\n", "").replace(
        "name: pages}", "name: page}"
    )
    alone = alone.replace("{name: pages, namespace: shop}\n    ", "{name: pages, namespace: stop}\n    ")
    found = Explainer(FromFiles(drawn(DEPLOYMENT, SERVICE, alone))).explain(
        "web", Target(url="http://web/x/1")
    )
    assert found.destinations().keys() == {"web-0", "web-1"}
    first, second = found.skipped
    assert (first.origin.entry, second.origin.entry) == ("http[0].delegate", "http[1].delegate")
    assert first.why == "no VirtualService is called stop/pages (hint: did you mean shop/pages?)"


GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec: {selector: {app: web}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
"""


@pytest.mark.parametrize(
    ("delegate", "entry", "why"),
    [
        ("", "http[0].delegate", "no VirtualService is called default/pages (hint: apply it"),
        ("spec: {hosts: [a], http: [{directResponse: {status: 418}}]}", "http[0].delegate", "default/pages has hosts"),
        ("spec: {http: [{match: [{uri: {prefix: /b}}], directResponse: {status: 418}}]}",
         "http[0].match", "has no effect: no request meets it"),
        ("spec: {http: [{delegate: {name: pages}}]}", "http[0].delegate", "default/pages is not read: "),
    ],
)  # fmt: skip
def test_a_gateway_says_what_its_rules_leave_to_nobody(delegate, entry, why):
    root = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root}
spec:
  hosts: [shop.example.com]
  gateways: [gw]
  http: [{match: [{uri: {prefix: /a}}], delegate: {name: pages}}]
"""
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: pages}\n"
    several = (DEPLOYMENT, SERVICE, GATEWAY, root, *([head + delegate] if delegate else []))
    found = Explainer(FromFiles(drawn(*several))).explain("web", Target(url="http://shop.example.com/a"))
    assert found.destinations() == {"404": 100.0}
    (skipped,) = found.skipped
    assert skipped.origin.entry == entry
    assert skipped.why.startswith(why)


def test_a_route_of_a_delegate_without_conditions_has_those_of_the_root():
    taken, missed, _ = delegated("http://web/a/2")
    at = written_at("status: 420")
    assert taken.endswith(
        f"http[0].match[1] (a.yaml:{written_at('prefix: /x')}) → delegate shop/pages http[2] (a.yaml:{at})"
    )
    assert len(missed) == 3


def test_a_route_beside_delegates_keeps_its_own_entry():
    taken, _, _ = delegated("http://web/")
    assert taken.startswith("VirtualService default/root http[2] (a.yaml:")
    assert "delegate" not in taken


def test_what_is_wrong_in_the_files_is_noted():
    wrong = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web}\nspec: {hosts: web}\n"
    found = Explainer(FromFiles(drawn(DEPLOYMENT, SERVICE, wrong))).explain("web", Target(url="http://web/"))
    assert any(note.startswith("error: VirtualService default/web") for note in found.notes)
    unsayable = wrong.replace("spec: {hosts: web}\n", RULE_WITH.format("'['"))
    found = Explainer(FromFiles(drawn(DEPLOYMENT, SERVICE, unsayable))).explain(
        "web", Target(url="http://web/")
    )
    assert any("regex" in note for note in found.notes)


def test_a_caller_without_a_sidecar_is_noted():
    without = DEPLOYMENT.replace("{app: web}}", "{app: web, sidecar.istio.io/inject: 'false'}}")
    found = Explainer(FromFiles(drawn(without, SERVICE))).explain("web", Target(url="http://web/"))
    assert "web-0 has no sidecar: this is what one would do" in found.notes


def test_what_is_probably_meant_is_said():
    def notes(url):
        return Explainer(FromFiles(drawn(DEPLOYMENT, SERVICE))).explain("web", Target(url=url)).notes

    assert notes("http://webb/")[0].endswith("is for DNS outside to say (hint: did you mean web?)")
    assert "hint" not in notes("http://www.example.com/")[0]
    assert (
        notes("http://web:81/")[0]
        == "web has no port 81: no rule of the mesh holds there (hint: its ports: 80)"
    )
    assert notes("udp://web:80")[0].endswith("(hint: its ports: none of this kind)")
    assert not any("port" in note for note in notes("http://web/"))


RANKED = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
    - match: [{headers: {a: {exact: b}}, method: {exact: POST}}]
      directResponse: {status: 418}
    - match: [{uri: {prefix: /x}, headers: {a: {exact: b}}}]
      directResponse: {status: 419}
    - match: [{uri: {prefix: /x}}]
      route: [{destination: {host: web}}]
    - match: [{uri: {prefix: /x/1}}]
      directResponse: {status: 420}
    - match: [{uri: {prefix: /y}}]
      directResponse: {status: 421}
    - directResponse: {status: 422}
"""


def not_taken(path, *words):
    """The lines of what was not taken, without places."""
    found = lines("web", "http://web/x/1", "-f", path, *words)
    start = next(number for number, line in enumerate(found) if line.startswith("not taken"))
    told = [line.removeprefix("not taken ") for line in found[start:]]
    return [re.sub(r" \(/\S*\)", "", each) for each in told if each.startswith(("Virtual", "and "))]


def test_the_rules_that_nearly_matched_come_first_and_those_that_come_too_late_are_named(tmp_path):
    path = tmp_path / "mesh.yaml"
    path.write_text("---\n".join((DEPLOYMENT, SERVICE, RANKED)))
    head = "VirtualService default/web"
    assert not_taken(path) == [
        f"{head} http[1].match[0]: wants header a = b; a is absent",
        f"{head} http[0].match[0]: wants header a = b (and 1 more condition); a is absent",
        f"{head} http[3].match[0]: would take it (path = /x/1*), and comes too late",
    ]


def test_of_many_rules_that_did_not_match_the_nearest_are_shown(tmp_path):
    path = tmp_path / "mesh.yaml"
    many = "".join(
        f"    - {{match: [{{headers: {{a{n}: {{exact: b}}}}}}], directResponse: {{status: 418}}}}\n"
        for n in range(20)
    )
    path.write_text("---\n".join((DEPLOYMENT, SERVICE, RANKED.replace("  http:\n", f"  http:\n{many}"))))
    told = not_taken(path)
    assert len(told) == 10
    assert told[8] == "and 14 more (-o json shows all)"


def test_a_route_of_no_rule_is_called_so():
    (rule,) = [
        line for line in lines("productpage", "http://reviews:9080/", *BOOKINFO) if line.startswith("rule")
    ]
    assert rule == "rule default no rule speaks of it"
