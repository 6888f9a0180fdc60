from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
import yaml
from click.testing import CliRunner

from isthmus.console.cli import COMMANDS, main
from isthmus.console.clusters_text import narrow, wide
from isthmus.console.fault_filter import FOUND


def run(*arguments, **more):
    return CliRunner().invoke(main, [str(each) for each in arguments], **more)


def paths(command, name=()):
    """The command and all below it, as lists of words."""
    yield name
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            yield from paths(command.get_command(context, each), (*name, each))


@pytest.mark.parametrize("words", list(paths(main)), ids=" ".join)
def test_each_command_explains_itself(words):
    found = run(*words, "--help")
    assert found.exit_code == 0, found.output
    assert "Usage:" in found.output
    assert len(found.output.splitlines()) > 4


def test_help_lists_all_commands_in_the_order_of_a_newcomer():
    lines = run("--help").output.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ") and line.split()[0] in COMMANDS]
    assert listed == list(COMMANDS)


def test_an_unknown_command_is_refused():
    assert run("fly").exit_code == 2


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "clusters"


def add(folder, name, store=False, **more):
    folder.mkdir(exist_ok=True)
    kubeconfig = {
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"https://{name}:6443"}}],
    }
    annotations = {
        "pilotEndpoint": "10.0.0.9:15010",
        "platform": "Kubernetes",
        "accessConfigFile": f"{name}.kubeconfig",
        "pilotCfgStore": "true" if store else "false",
    } | more
    cluster = {
        "apiVersion": "clusterregistry.k8s.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {
            "name": name,
            "annotations": {f"config.istio.io/{key}": value for key, value in annotations.items()},
        },
    }
    (folder / f"{name}.kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(cluster))


def test_a_right_registry_is_shown(folder):
    add(folder, "east", store=True)
    add(folder, "west")
    found = run("clusters", "check", folder)
    assert found.exit_code == 0, found.output
    assert [line.split() for line in found.stdout.splitlines()[1:]] == [
        ["east", "config", "https://east:6443", "file", "east.yaml"],
        ["west", "https://west:6443", "file", "west.yaml"],
    ]
    assert not found.stderr


def test_a_wrong_registry_is_told_and_shows_what_is_right(folder):
    add(folder, "east", store=True)
    add(folder, "west", platform="Consul")
    found = run("clusters", "check", folder)
    assert found.exit_code == 1
    assert "east" in found.stdout
    assert "error: ClusterFile west.yaml: $.metadata.annotations[config.istio.io/platform]" in found.stderr
    assert "(hint: Kubernetes is)" in found.stderr


def test_a_cluster_of_another_pilot_is_no_failure(folder):
    add(folder, "east", store=True)
    add(folder, "west", pilotEndpoint="10.9.9.9:15010")
    found = run("clusters", "check", folder)
    assert found.exit_code == 0
    assert "left to that one" in found.stderr


def test_an_empty_registry_and_none_are_failures(folder):
    assert "is no directory" in run("clusters", "check", folder).stderr
    folder.mkdir()
    found = run("clusters", "check", folder)
    assert found.exit_code == 1
    assert "describes no cluster (hint: isthmus clusters add)" in found.stderr


SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {ports: [{name: http, port: 80}]}
---
"""
RULES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews}, weight: WEIGHT}]}]}
"""


@pytest.fixture
def manifest(tmp_path):
    def write(text):
        path = tmp_path / "manifest.yaml"
        path.write_text(text)
        return path

    return write


def test_right_files_have_nothing_found(manifest):
    found = run("analyze", manifest(SERVICE + RULES.replace("WEIGHT", "100")))
    assert (found.exit_code, found.stdout) == (0, "nothing found\n")


def test_files_that_do_not_decode_are_told_with_path(manifest):
    found = run("analyze", manifest(SERVICE + RULES.replace("WEIGHT", "all")))
    assert found.exit_code == FOUND
    where = "error [IST0106] VirtualService default/reviews: $.spec.http[0].route[0].weight"
    assert f"{where}: is 'all' (hint: a whole number, without quotes)" in found.stdout


def test_files_that_fit_not_together_are_told_as_json_too(manifest):
    found = run("analyze", "-o", "json", manifest(RULES.replace("WEIGHT", "100")))
    assert found.exit_code == FOUND
    (finding,) = json.loads(found.stdout)
    assert finding["path"] == "$.spec.http[0].route[0].destination.host"
    assert finding["severity"] == "error"


def test_warnings_alone_are_no_failure(manifest):
    text = (
        SERVICE
        + """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: gone, subsets: [{name: v1}]}
"""
    )
    found = run("analyze", manifest(text))
    assert found.exit_code == 0
    assert "warning [IST0174] DestinationRule default/reviews: $.spec.host: " in found.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is not YAML"),
        (
            "metadata: [a]\napiVersion: v1\nkind: Pod",
            "Pod default/: $.metadata: is a list (hint: fields of its own",
        ),
        ("- 1", "nothing found"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: 5}", "$.metadata.name"),
    ],
)
def test_files_of_odd_shapes_are_told_and_not_raised(manifest, text, words):
    found = run("analyze", manifest(text))
    assert words in found.stdout
    assert found.exception is None or isinstance(found.exception, SystemExit)


def test_a_file_that_is_not_there_is_told(tmp_path):
    found = run("analyze", tmp_path / "none.yaml")
    assert found.exit_code == 1
    assert "there is no such file" in found.stderr


def test_manifests_are_printed_for_kubectl():
    found = run("install", "remote", "--cluster", "west", "--pilot-address", "10.0.0.9")
    kinds = {each["kind"] for each in yaml.safe_load_all(found.stdout)}
    assert {"Namespace", "Service", "Deployment", "Endpoints"} <= kinds
    assert run("install", "remote").exit_code == 2


def test_a_cluster_that_cannot_be_reached_is_told(tmp_path):
    found = run("clusters", "list", "--kubeconfig", tmp_path / "none")
    assert found.exit_code == 1
    assert found.stderr.startswith("error: ")
    assert "cannot be read" in found.stderr


def test_what_pilot_shows_at_clusters_is_in_the_wide_table():
    access = {"kind": "token", "issued": 0.0, "ends": 86_400.0, "renews": 43_200.0, "bound_to": "Secret x"}
    one = {
        "state": "synced",
        "is_config": False,
        "objects": 3,
        "server": "https://w",
        "source": "file w.yaml",
    }
    clusters = [
        {**one, "id": "west", "access": access},
        {**one, "id": "east", "access": {**access, "renews": None}},
        {**one, "id": "north", "access": {**access, "error": "forbidden"}},
        {**one, "id": "south", "access": {**access, "ends": 3600.0}},
        {**one, "id": "own", "access": {"kind": "file"}},
    ]
    lines = wide(clusters, 7200.0).splitlines()
    assert lines[0].split("   ")[-1] == "BOUND TO"
    assert lines[1].endswith("token    2h    22h            10h          Secret x")
    assert lines[2].endswith("token    2h    22h            never        Secret x")
    assert lines[3].endswith("token    2h    22h            failed       Secret x")
    assert lines[4].endswith("token    2h    ended 1h ago   -            Secret x")
    assert lines[5].endswith("file     -     never          -            -")
    assert len(narrow(clusters).splitlines()[0].split()) == 6


def test_whoever_asks_for_help_waits_for_nothing_that_commands_work_with():
    """Words are completed, told of and mistyped far more often than anything is done: imports are what that costs."""
    code = """
import sys
from importlib import import_module
before = set(sys.modules)
from isthmus.console.cli import COMMANDS
for module, _ in COMMANDS.values():
    import_module(f"isthmus.console.cli.{module}")
print(*set(sys.modules) - before)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    read = {each.partition(".")[0] for each in ran.stdout.split()}
    assert read - sys.stdlib_module_names <= {"isthmus", "click", "msgspec", "typing_extensions"}
    assert not read & {"asyncio", "ssl"}


ASKING = {"aiohttp", "grpc"}
POD = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: a}]}}"


@pytest.mark.parametrize(
    ("words", "unread"),
    [
        ("version --client", ASKING | {"asyncio", "cryptography", "yaml"}),
        ("install primary --cluster east", ASKING | {"asyncio", "cryptography", "structlog"}),
        ("kube-inject --cluster east -f -", ASKING | {"asyncio", "cryptography", "structlog"}),
        ("analyze -", ASKING | {"structlog"}),
    ],
)
def test_a_command_that_asks_nobody_reads_nothing_by_which_it_could(words, unread):
    code = (
        "import sys; from isthmus.console.cli import main; main(standalone_mode=False); print(*sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *words.split()], input=POD, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    read = {each.partition(".")[0] for each in ran.stdout.splitlines()[-1].split()}
    assert "isthmus" in read
    assert not read & unread
