"""Settings of an installation: from where they come, who wins, and what is said of wrong ones."""

from __future__ import annotations

import msgspec
import pytest
import yaml
from click.testing import CliRunner

from fakes.pki import Pki
from isthmus.api.described import fields, parts
from isthmus.console.cli import main
from isthmus.console.install.profiles import profile_names
from isthmus.console.install.reading import InvalidInstallation, Layer, assignment, in_file, profile, settings
from isthmus.console.install.roles import ROLES
from isthmus.console.install.settings import Installation
from isthmus.console.installation import documents

EAST = Layer("--cluster", {"cluster": "east"}, is_flag=True)


def run(*words, text=""):
    return CliRunner().invoke(main, ["install", *words], input=text)


def wrong(*layers, sets=(), flags=(EAST,)):
    with pytest.raises(InvalidInstallation) as found:
        settings(layers, map(assignment, sets), flags)
    return found.value.lines


def test_what_comes_later_wins_and_leaves_the_rest():
    one = Layer("one", {"controlPlane": {"replicas": 2, "nodeSelector": {"disk": "ssd"}}, "network": "a"})
    two = Layer("two", {"controlPlane": {"replicas": 3}, "network": "b"})
    found = settings([profile("production"), one, two], [assignment("network=c")], [EAST])
    assert (found.control_plane.replicas, found.control_plane.node_selector) == (3, {"disk": "ssd"})
    assert found.control_plane.autoscaling.max_replicas == 10
    assert (found.network, found.cluster) == ("c", "east")


def test_null_takes_away_what_a_layer_before_said():
    found = settings([Layer("a", {"network": "a"})], [assignment("network=null")], [EAST])
    assert found.network == ""


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("controlPlane.replicas=2", ("control_plane", "replicas"), 2),
        (
            r"controlPlane.nodeSelector.kubernetes\.io/os=linux",
            ("control_plane", "node_selector"),
            {"kubernetes.io/os": "linux"},
        ),
        ("vouch=[a=*, b=x]", ("vouched",), ("a=*", "b=x")),
        ("vouch[0]=a=*", ("vouched",), ("a=*",)),
        ("accessLog=/dev/stdout", ("access_log",), "/dev/stdout"),
    ],
)
def test_a_value_is_set_by_its_path(text, path, value):
    found = settings([], [assignment(text)], [EAST])
    for each in path:
        found = getattr(found, each)
    assert found == value


def test_all_that_is_wrong_is_told_at_once_by_who_said_it():
    file = in_file("prod.yaml", "controlPlane: {replica: 2, autoscaling: {minReplicas: 7}}\nnetwork: A B\n")
    lines = wrong(
        file,
        sets=("pilot.resources.requests.memory=8Gi", "ca=mine"),
        flags=(Layer("--cluster", {"cluster": "a b"}, is_flag=True),),
    )
    assert set(lines) == {
        "prod.yaml: controlPlane.replica: is no field of Installation (hint: did you mean replicas?)",
        "prod.yaml: network: cannot be 'A B' (hint: lower case letters, digits, - and .)",
        "prod.yaml: controlPlane.autoscaling.minReplicas: 7 is more than maxReplicas, 5 (hint: raise maxReplicas)",
        "--set pilot.resources.requests.memory=8Gi: 8Gi is more than the limit 2Gi (hint: raise the limit)",
        "--set ca=mine: is 'mine' (hint: one of , either, plugged-in, self-signed)",
        "--cluster: cannot be 'a b' (hint: lower case letters, digits, - and .)",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "f.yaml:"),
        ("- a", "f.yaml: is no settings file"),
        ("a: 1\n---\nb: 2", "has a second document"),
        ("network: a\nnetwork: b", "f.yaml:2: network stands twice"),
        (
            "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator",
            "is install.istio.io/v1alpha1 IstioOperator",
        ),
        (
            "apiVersion: install.isthmus.io/v1alpha1\nkind: Installation\ncluster: a",
            r"\$.cluster: is no field",
        ),
        ("apiVersion: install.isthmus.io/v1alpha1\nkind: Installation\nspec: [a]", r"\$.spec: is no map"),
    ],
)
def test_a_file_that_is_no_settings_file_says_why(text, said):
    with pytest.raises(InvalidInstallation, match=said):
        in_file("f.yaml", text)


@pytest.mark.parametrize("text", ["a", "=1", "a..b[=1", "[0]=1", ""])
def test_what_sets_nothing_is_no_assignment(text):
    with pytest.raises(InvalidInstallation, match="is not PATH=VALUE"):
        assignment(text)


WRONG = {
    "namespace": "1a",
    "gatewayNamespace": "A",
    "revision": "Canary!",
    "network": "A",
    "image": "a b",
    "imagePullPolicy": "Sometimes",
    "imagePullSecrets": ["A B"],
    "trustDomain": "-",
    "pilotTrustDomain": "a b",
    "domain": "a b",
    "accessLog": 'x"y',
    "mesh": {"accessLogEncoding": "XML"},
    "sidecar": {"memori": "1Gi"},
    "layout": "between",
    "controlPlane": {"disruption": {"maxUnavailable": "half"}},
    "pilot": {"arguments": ["debug"]},
    "citadel": {"resources": {"limits": {"memory": "many"}}},
    "networkPolicies": {"monitoringNamespaces": ["A"]},
    "injectionURL": "http://injector.example",
    "injectionRoots": "none",
    "injector": {"resources": {"limits": {"memory": "many"}}},
    "webhooks": {"failurePolicy": "Wait"},
    "managedGateways": "yes",
    "clustersDir": "a b",
    "pilotAddresses": ["pilot.example"],
    "ca": "mine",
    "renewals": 1,
    "accountSecrets": ["*", "a"],
    "vouch": ["x"],
    "readableSecrets": ["A B"],
    "ingressGateway": {"service": {"type": "Tunnel"}},
    "egressGateway": {"tolerations": [{"value": "a"}]},
    "eastWestGateway": {"service": {"ports": [{"name": "a", "port": 99999}]}},
    "cluster": "a b",
}


def test_every_value_has_a_wrong_one_that_is_told_with_its_mend():
    assert set(WRONG) == {each.encode_name for each in msgspec.structs.fields(Installation)}
    for name, value in WRONG.items():
        lines = wrong(Layer("f", {"cluster": "east", name: value}), flags=())
        assert len(lines) == 1, lines
        assert lines[0].startswith(f"f: {name}"), lines
        assert "(hint: " in lines[0], lines


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://a.example", "API servers ask by https alone"),
        ("a.example:15017", "API servers ask by https alone"),
        ("https://", "it names no host"),
        ("https://:15017", "it names no host"),
        ("https://a.example:99999", "Port out of range"),
        ("https://[::1", "Invalid IPv6 URL"),
        ("https://a.example/inject", "it is more than a host and a port"),
        ("https://a.example?x=1", "it is more than a host and a port"),
        ("https://me:word@a.example", "it is more than a host and a port"),
        ("https://a.example{{b}}", "it is no URL"),
    ],
)
def test_an_injector_elsewhere_is_named_by_a_url_that_api_servers_can_ask(url, why):
    (line,) = wrong(Layer("--injection-url", {"injectionURL": url}, is_flag=True))
    assert line.startswith(f"--injection-url: cannot be {url!r}: {why}")
    assert line.endswith("(hint: such as https://injector.example:15017)")


def test_roots_of_an_injector_are_certificates_and_nothing_secret():
    shown = Pki().leaf()
    for roots, why in ((b"", None), (Pki().roots, None), (shown.key + Pki().roots, "holds a private key")):
        spec = {"injectionURL": "https://a.example/", "injectionRoots": roots.decode()}
        if why is None:
            assert settings([Layer("f", spec)], (), [EAST]).injection_roots == roots.decode()
        else:
            assert why in wrong(Layer("f", spec))[0]


def test_every_value_is_described():
    for part in parts(Installation):
        for each in fields(part):
            assert each.text, f"{part.__name__}.{each.name}"


@pytest.mark.parametrize("name", profile_names())
@pytest.mark.parametrize("role", ROLES)
def test_every_profile_gives_every_role(name, role):
    found = settings([profile(name), Layer("n", {"network": "a"})], (), [EAST])
    assert all(
        each["metadata"]["labels"]["install.isthmus.io/role"] == role for each in documents(role, found)
    )


def test_commands_print_profiles_and_settings_and_objects_from_a_file():
    assert "production" in run("profiles").output
    shown = run("settings", "--cluster", "east", "--profile", "demo").output
    assert yaml.safe_load(shown)["spec"]["accessLog"] == "/dev/stdout"
    again = run("settings", "-f", "-", text=shown)
    assert again.output == shown
    found = run("primary", "-f", "-", "--set", "controlPlane.replicas=3", text=shown)
    (replicas,) = (
        each["spec"]["replicas"] for each in yaml.safe_load_all(found.output) if each["kind"] == "Deployment"
    )
    assert replicas == 3


def test_settings_in_which_nobody_wrote_a_name_are_refused():
    shown = run("settings").output
    refused = run("remote", "-f", "-", text=shown)
    assert refused.exit_code != 0
    assert refused.output.startswith("error: cluster: has no name yet (hint: --cluster NAME")
    assert run("remote", "-f", "-", "--cluster", "east", text=shown).exit_code == 0


def test_a_file_names_its_profile():
    found = yaml.safe_load(run("settings", "-f", "-", text="cluster: east\nprofile: production\n").output)
    assert found["spec"]["layout"] == "apart"
    assert run("settings", "-f", "-", text="profile: big").output.startswith(
        "error: --profile: there is no 'big'"
    )
