"""`isthmus kube-inject` as a person types it."""

from __future__ import annotations

import pytest
import yaml
from click.testing import CliRunner

from fakes.live_cluster import live_cluster
from fakes.served_webhooks import config_map, make_namespaces, namespace
from isthmus.admission.configurations import Serving, mutating
from isthmus.admission.tags import Tag, tag_objects
from isthmus.console.cli import uninject
from isthmus.console.cli.inject import command
from isthmus.console.injection import settings_of_cluster
from isthmus.kube.errors import KubeError

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostNetwork: %s, containers: [{name: a}]}\n"


def run(*arguments: str, text: str = ""):
    return CliRunner().invoke(command, ["--cluster", "gke", *arguments], input=text)


def test_what_was_done_is_said_beside_the_manifests_not_in_them(tmp_path):
    text = POD % "false" + "---\n" + POD % "true"
    done = run("-f", "-", "-n", "shop", "-o", str(tmp_path / "out.yaml"), text=text)
    assert done.exit_code == 0
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "Pod shop/a: injected",
        "Pod shop/a: left as it is: it uses the network of its node",
    ]
    assert (tmp_path / "out.yaml").read_text().endswith("---\n" + POD % "true")


def test_a_file_with_a_byte_order_mark_and_no_workload_is_handed_through(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfkind: Service\r\n")
    done = run("-f", str(file))
    assert done.stdout_bytes == b"kind: Service\r\n"
    assert "no workload in it, nothing is injected" in done.stderr


@pytest.mark.parametrize(
    ("filename", "said"),
    [
        ("nowhere.yaml", "nowhere.yaml: No such file or directory"),
        (".", ".: Is a directory"),
        ("https://example.com/a.yaml", "are not fetched (hint: curl"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(filename: str, said: str):
    done = run("-f", filename)
    assert done.exit_code == 1
    assert said in done.stderr
    assert done.stderr.startswith("error: ")


def test_a_file_that_cannot_be_injected_is_named_with_the_place(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("a: 1\n---\na: b: c\n")
    done = run("-f", str(file))
    assert done.exit_code == 1
    assert f"error: {file}: document 2, line 3: is not YAML: " in done.stderr
    file.write_bytes(b"\xff\xff\xff")
    assert run("-f", str(file)).stderr == f"error: {file}: not UTF-8\n"


def test_sidecars_of_a_revision_ask_its_pilots():
    for said, service in (((), "istio-pilot"), (("-r", "canary"), "istio-pilot-canary")):
        done = run("-f", "-", *said, text=POD % "false")
        assert f"{service}.istio-system.svc.cluster.local:15012" in done.stdout


async def test_a_revision_has_the_settings_that_it_injects_with_also_by_its_tag(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster:
        await make_namespaces(cluster, namespace("istio-system"))
        for revision in ("", "-canary"):
            values = yaml.safe_dump({"cluster": f"gke{revision}", "revision": revision[1:] or "default"})
            await cluster.apply(config_map(f"istio-sidecar-injector{revision}", values=values))
        canary = Serving(revision="canary", service="istiod-canary")
        tag, *_ = tag_objects(Tag(name="prod", revision="canary"), mutating(canary), None)
        await cluster.apply(tag)
        found = {
            asked: await settings_of_cluster(cluster.access, asked=asked)
            for asked in ("default", "canary", "prod")
        }
        assert {asked: each.cluster for asked, each in found.items()} == {
            "default": "gke",
            "canary": "gke-canary",
            "prod": "gke-canary",
        }
        assert found["prod"].revision == "canary"
        with pytest.raises(KubeError, match='of revision or tag "next"'):
            await settings_of_cluster(cluster.access, asked="next")
        await cluster.apply(*tag_objects(Tag(name="default", revision="canary"), mutating(canary), None)[:1])
        assert (await settings_of_cluster(cluster.access)).cluster == "gke-canary", "as webhooks inject then"


def test_what_was_injected_is_taken_out_again(tmp_path):
    file = tmp_path / "a.yaml"
    text = POD % "false"
    file.write_text(run("-f", "-", text=text).stdout + "---\n" + text)
    done = CliRunner().invoke(uninject.command, ["-f", str(file)])
    assert done.exit_code == 0
    assert done.stderr.splitlines() == [
        "Pod default/a: without its sidecar",
        "Pod default/a: left as it is: it has no sidecar that was injected",
    ]
    assert [*yaml.safe_load_all(done.stdout)] == [yaml.safe_load(text)] * 2
    file.write_text("kind: [")
    assert "not YAML" in CliRunner().invoke(uninject.command, ["-f", str(file)]).stderr
