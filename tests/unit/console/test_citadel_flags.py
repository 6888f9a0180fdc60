"""The flags of `isthmus run citadel`: those of 2018 have their effect, or say what replaced them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from isthmus.ca.account_secrets import Renewal
from isthmus.ca.authority import Lifetimes
from isthmus.ca.citadel import CitadelSettings
from isthmus.ca.rates import Limits, Rate
from isthmus.ca.self_signed import SelfSigned
from isthmus.console.cli.run import command
from isthmus.kit.key_kind import KeyKind

DAY_S = 86_400.0


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[CitadelSettings]:
    """The settings with which a Citadel would run."""
    found: list[CitadelSettings] = []

    dumps: list[None] = []
    monkeypatch.setattr("isthmus.kit.core_dumps.leave_none", lambda: dumps.append(None))

    async def run_citadel(settings: CitadelSettings, _: Any) -> None:
        assert dumps, "its key may be in a core dump"
        found.append(settings)

    monkeypatch.setattr("isthmus.ca.in_cluster.run_citadel", run_citadel)
    monkeypatch.setattr("isthmus.console.cli.citadel.own_access", lambda _: None)
    return found


def run(*flags: str) -> Result:
    return CliRunner().invoke(command, ["citadel", "--cluster=gke", "--log-level=critical", *flags])


def test_without_flags_a_citadel_is_as_its_settings_say(runs: list[CitadelSettings]):
    assert run().exit_code == 0
    assert runs == [CitadelSettings(cluster="gke")]


def test_the_flags_of_the_talk_have_their_effect(runs: list[CitadelSettings]):
    done = run(
        "--self-signed-ca=true",
        "--self-signed-ca-org=Shop",
        "--self-signed-ca-cert-ttl=8760h",
        "--citadel-storage-namespace=mesh",
        "--workload-cert-ttl=19h",
        "--max-workload-cert-ttl=168h",
        "--key-size=2048",
        "--account-secrets",
        "--listened-namespace=shop,web",
        "--workload-cert-grace-period-ratio=0.3",
        "--workload-cert-min-grace-period=5m",
        "--grpc-port=9060",
        "--renewal-port=9061",
        "--grpc-hostname=citadel",
        "--grpc-host-identities=istio-ca,istio-citadel",
        "--monitoring-port=9093",
        "--append-dns-names=false",
        "--custom-dns-names=hook.shop:hook.example",
        "--custom-dns-names=hook.shop:hook.shop.svc,pilot.mesh:injector.example",
        "--signing-cert=/x/cert.pem",
        "--signing-key=/x/key.pem",
        "--root-cert=/y/root.pem",
    )
    assert done.exit_code == 0, done.output
    assert runs == [
        CitadelSettings(
            cluster="gke",
            self_signed=True,
            namespace="mesh",
            root=SelfSigned(
                namespace="mesh",
                organisation="Shop",
                life_s=365 * DAY_S,
                key_kind=KeyKind.RSA_2048,
            ),
            lifetimes=Lifetimes(usual_s=19 * 3600, most_s=7 * DAY_S),
            account_secrets=Renewal(
                namespaces=("shop", "web"),
                grace_ratio=0.3,
                least_grace_s=300,
                key_kind=KeyKind.RSA_2048,
            ),
            port=9060,
            renewal_port=9061,
            extra_names=("citadel", "istio-ca", "istio-citadel"),
            monitoring_port=9093,
            append_dns_names=False,
            custom_dns_names={
                "hook.shop": ("hook.example", "hook.shop.svc"),
                "pilot.mesh": ("injector.example",),
            },
            ca_paths={
                "ca-cert.pem": Path("/x/cert.pem"),
                "ca-key.pem": Path("/x/key.pem"),
                "root-cert.pem": Path("/y/root.pem"),
            },
        )
    ]
    assert runs[0].ca_files["cert-chain.pem"] == Path("/etc/cacerts/cert-chain.pem")


def test_a_flag_without_its_value_is_true_as_in_go(runs: list[CitadelSettings]):
    assert run("--self-signed-ca").exit_code == 0
    assert runs[0].self_signed is True


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--upstream-ca-address=ca:8060", "hint: isthmus ca intermediate"),
        ("--sign-ca-certs=true", "hint: Citadel signs workloads only"),
        ("--workload-cert-ttl=soon", "not a duration: 'soon'"),
        ("--workload-cert-ttl=0s", "'0s' is no life"),
        ("--workload-cert-ttl=30s", "must lie between --min-workload-cert-ttl"),
        ("--max-workload-cert-ttl=1h", "must lie between --min-workload-cert-ttl"),
        ("--key-size=1024", "'1024' is not one of '2048', '4096'"),
        ("--custom-dns-names=hook", "--custom-dns-names: not an account and a DNS name: 'hook'"),
        ("--workload-cert-grace-period-ratio=1", "1.0 is no part of a life"),
        ("--cluster=on prem", "--cluster: cannot be 'on prem'"),
        ("--vouch=onprem", "--vouch: not a cluster and its namespaces: 'onprem'"),
    ],
)
def test_what_cannot_be_is_an_error_that_names_the_flag(runs: list[CitadelSettings], flag: str, said: str):
    done = run(flag)
    assert done.exit_code != 0
    assert said in done.output
    assert flag.partition("=")[0] in done.output
    assert not runs


@pytest.mark.parametrize(
    "flag", ["--liveness-probe-path=/tmp/x", "--probe-check-interval=15s", "--requested-ca-cert-ttl=1h"]
)
def test_a_flag_that_has_no_effect_any_more_says_what_has(runs: list[CitadelSettings], flag: str):
    done = run(flag)
    assert done.exit_code == 0
    assert f"warning: {flag.partition('=')[0]} has no effect (hint: " in done.output
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--listened-namespace=shop"],
            "warning: --listened-namespace has no effect (hint: --account-secrets)",
        ),
        (["--account-secrets", "--workload-cert-grace-period-ratio=0.1"], "0.1 renews very late"),
        (["--account-secrets", "--workload-cert-grace-period-ratio=0.9"], "0.9 renews very often"),
    ],
)
def test_what_is_odd_is_said(runs: list[CitadelSettings], flags: list[str], said: str):
    assert said in run(*flags).output
    assert len(runs) == 1


def test_other_clusters_are_served_as_told(runs: list[CitadelSettings], tmp_path: Path):
    done = run(
        "--vouch=onprem=default,shop", "--vouch=gke=web", f"--clusters-dir={tmp_path}", "--audit-log=/a.jsonl"
    )
    assert done.exit_code == 0, done.output
    assert runs[0].vouched == {"onprem": {"default", "shop"}, "gke": {"web"}}
    assert (runs[0].clusters_directory, runs[0].audit_file) == (tmp_path, Path("/a.jsonl"))


def test_how_often_one_may_ask_is_told_and_has_its_bounds(runs: list[CitadelSettings]):
    told = ("--requests-of-one-address=200/1000", "--requests-of-one-identity=0.5/2")
    assert run(*told, "--requests-of-one-cluster=1000000/1000000").exit_code == 0
    (settings,) = runs
    wanted = Limits(address=Rate(200, 1000), identity=Rate(0.5, 2), cluster=Rate(1_000_000, 1_000_000))
    assert settings.limits == settings.terms.limits == wanted
    for wrong in (
        "0/10",
        "10/0",
        "10",
        "10/",
        "-1/2",
        "1e3/5",
        "nan/1",
        "10/1.5",
        "1000001/1",
        "1/1000001",
        "a/b",
    ):
        for what in ("address", "identity", "cluster"):
            result = run(f"--requests-of-one-{what}={wrong}")
            assert result.exit_code == 2
            assert f"--requests-of-one-{what}" in result.output
            assert repr(wrong) in result.output
    assert len(runs) == 1
