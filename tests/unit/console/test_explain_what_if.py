"""`isthmus explain --what-if` over clusters that run: as it would be once the files were applied."""

from __future__ import annotations

import json

import pytest
import yaml
from click.testing import CliRunner

from fakes.held_mesh import (
    EAST,
    WEST,
    deployment,
    live,
    pod,
    rule,
    service,
    sliced,
    to_web,
    written,
)
from isthmus.console import live_objects
from isthmus.console.calls import Target
from isthmus.console.cli import main
from isthmus.console.drawn_mesh import draw
from isthmus.console.explain import Explainer
from isthmus.console.explain_files import FromFiles
from isthmus.console.written import Manifest
from isthmus.kube.errors import Unreachable

BOTH = {"east": EAST, "west": WEST}


def ends(*changed, held=None, url="http://web/", caller="caller", without="", cluster=""):
    """Where a call ends, in per cent, with the changed objects over what clusters hold."""
    files = [Manifest("changed.yaml", written(*changed))] if changed else []
    drawn = draw(files, held or BOTH)
    assert not [each for each in drawn.findings if "changed.yaml" in each.path], drawn.findings
    return Explainer(FromFiles(drawn), without).explain(caller, Target(url=url), cluster)


def test_without_a_change_it_goes_as_the_clusters_have_it():
    assert ends().destinations() == {"web-v1-5d4f-a": 100.0}


def test_a_changed_rule_is_in_the_place_of_the_one_that_holds():
    found = ends(rule("web", to_web("v2"), created=""))
    assert found.destinations() == {"web-v2-5d4f-a": 100.0}
    assert found.origins["0"].place.startswith("changed.yaml:")
    assert ends().origins["0"].place == ""


def test_a_new_rule_is_younger_than_all_that_hold():
    assert ends(rule("another", to_web("v2"), created="")).destinations() == {"web-v1-5d4f-a": 100.0}
    assert ends(rule("another", to_web("v2"), created="2000-01-01T00:00:00Z")).destinations() == {
        "web-v2-5d4f-a": 100.0
    }


def test_a_changed_service_keeps_the_address_that_its_cluster_gave_it():
    changed = service("web", "")
    del changed["spec"]["clusterIP"]
    changed["spec"]["ports"][0]["targetPort"] = 9999
    found = ends(changed)
    assert found.trace.call.address == "10.9.0.1"
    ((_, upstream),) = found.trace.forwards
    assert [each.address for each in upstream.endpoints] == ["10.1.0.2:9999"]


def test_pods_of_a_changed_deployment_make_way_for_those_it_would_have():
    found = ends(deployment("web", replicas=2))
    assert found.destinations() == {"web-v1-0": 50.0, "web-v1-1": 50.0}
    assert ends(deployment("web", replicas=0)).destinations() == {"503": 100.0}


def test_a_new_deployment_is_served_beside_the_pods_that_run():
    everyone = rule(
        "web", {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]}, created=""
    )
    alone = {"east": EAST}
    assert ends(deployment("web", "v3"), everyone, held=alone).destinations() == {
        "web-v1-5d4f-a": 50.0,
        "web-v3-0": 50.0,
    }


def test_a_pod_that_is_not_ready_gets_nothing_where_its_slices_are_made_anew():
    unready = pod("web-v1-5d4f-b", "10.1.0.3", "web", ready="False")
    waiting = pod("web-v1-5d4f-c", "", "web", ready="False")
    held = {"east": (*EAST, unready, waiting)}
    everyone = rule(
        "web", {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]}, created=""
    )
    found = ends(deployment("web", "v3"), everyone, held=held).destinations()
    assert found.keys() == {"web-v1-5d4f-a", "web-v3-0"}


def test_slices_of_other_services_stay_as_their_cluster_has_them():
    odd = sliced("odd", pod("odd", "10.1.0.9", "odd"))
    held = {"east": (*EAST, service("odd", "10.9.0.9"), odd)}
    assert ends(deployment("web", "v3"), held=held, url="http://odd/").destinations() == {
        "10.1.0.9:8080": 100.0
    }


def test_a_lost_cluster_is_lost_under_the_change_too():
    change = rule("web", to_web("v2"), created="")
    assert ends(change, without="west").destinations() == {"503": 100.0}


def test_the_domain_is_the_one_that_proxies_were_told():
    east = tuple(
        pod(
            each["metadata"]["name"],
            each["status"]["podIP"],
            each["metadata"]["labels"]["app"],
            domain="corp.example",
        )
        if each["kind"] == "Pod"
        else each
        for each in EAST
    )
    found = ends(held={"east": east})
    ((_, upstream),) = found.trace.forwards
    assert upstream.name == "outbound|80|v1|web.default.svc.corp.example"
    assert found.caller.identity.startswith("spiffe://corp.example/")


@pytest.fixture
def running(monkeypatch):
    """The running mesh is asked for these contexts."""
    asked = []

    async def clusters_of(kubeconfig, contexts, root):
        asked.append((contexts, root))
        return live()

    monkeypatch.setattr(live_objects, "clusters_of", clusters_of)
    return asked


def run(*arguments):
    return CliRunner().invoke(main, ["explain", "caller", "http://web/", *map(str, arguments)])


def test_a_file_is_put_on_top_of_the_running_mesh(running, tmp_path):
    changed = tmp_path / "changed.yaml"
    changed.write_text(written(rule("web", to_web("v2"), created="")))
    done = run("--what-if", changed, "--context", "one", "--context", "two", "-i", "mesh")
    assert done.exit_code == 0, done.output
    assert running == [(("one", "two"), "mesh")]
    assert "web-v2-5d4f-a" in done.stdout
    assert f"({changed}:" in done.stdout
    assert (
        f"note        made of what east, west hold and {changed} over it: no proxy was asked" in done.stdout
    )


def shown(done):
    assert done.exit_code == 0, done.output
    words = (line.split(maxsplit=1) for line in done.stdout.splitlines())
    return {label: rest for label, *more in words for rest in more if label in {"ends", "was"}}


def test_where_it_ends_is_told_beside_where_it_ended(running, tmp_path):
    changed = tmp_path / "changed.yaml"
    changed.write_text(written(rule("web", to_web("v2"), created="")))
    assert shown(run("--what-if", changed)) == {"ends": "100 % web-v2-5d4f-a", "was": "100 % web-v1-5d4f-a"}
    lost = run("--what-if", changed, "--without-cluster", "west")
    assert shown(lost) == {"ends": "100 % 503", "was": "100 % web-v1-5d4f-a"}
    changed.write_text("")
    assert shown(run("--what-if", changed)) == {"ends": "100 % web-v1-5d4f-a", "was": "the same"}


def test_a_call_that_nobody_could_make_ended_nowhere(running, tmp_path):
    changed = tmp_path / "changed.yaml"
    changed.write_text(written(deployment("visitor")))
    done = CliRunner().invoke(main, ["explain", "visitor", "http://web/", "--what-if", str(changed)])
    assert shown(done)["was"] == "100 % nowhere: there was no such call"


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_a_program_gets_the_same(running, tmp_path, output):
    changed = tmp_path / "changed.yaml"
    changed.write_text(written(rule("web", to_web("v2"), created="")))
    found = run("--what-if", changed, "-o", output).stdout
    tree = json.loads(found) if output == "json" else yaml.safe_load(found)
    assert (tree["ends"], tree["was"]) == ({"web-v2-5d4f-a": 100.0}, {"web-v1-5d4f-a": 100.0})
    (branch,) = tree["trace"]["branches"]
    assert [each["workload"] for each in branch["action"]["upstreams"][0]["endpoints"]] == [
        "default/web-v2-5d4f-a"
    ]


def test_a_name_is_explained_under_the_change(running, tmp_path):
    changed = tmp_path / "changed.yaml"
    changed.write_text(written(service("stars", "10.9.0.77")))
    done = CliRunner().invoke(main, ["explain", "caller", "dns://stars", "--what-if", str(changed)])
    assert "10.9.0.77" in done.stdout


def test_manifests_in_place_of_a_mesh_are_not_asked_of_one(running):
    done = run("-f", "x.yaml", "--context", "one")
    assert done.exit_code == 1
    assert done.stderr == (
        "error: -f is in place of a running mesh (hint: --what-if FILE puts manifests on top of one)\n"
    )


def test_all_contexts_stand_without_one(running):
    done = run("--all-contexts", "--context", "one")
    assert done.stderr == "error: --all-contexts stands without --context\n"


def test_a_cluster_that_does_not_answer_is_said(monkeypatch, tmp_path):
    async def clusters_of(*_):
        raise Unreachable("no answer")

    monkeypatch.setattr(live_objects, "clusters_of", clusters_of)
    changed = tmp_path / "changed.yaml"
    changed.write_text(written(rule("web", to_web("v2"))))
    assert run("--what-if", changed).stderr == "error: no answer\n"
