"""`isthmus ca` as a person types it."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.x509 import BasicConstraints

from fakes.live_cluster import live_cluster
from isthmus.ca import store
from isthmus.ca.self_signed import SelfSigned, kept_root
from isthmus.console.cli.ca import command
from isthmus.kit import x509
from isthmus.kit.clock import SystemClock
from isthmus.kit.name_limits import NameLimits, limits_of
from isthmus.kube.client import Client
from isthmus.kube.kubeconfig import from_file


def test_init_says_how_the_files_become_a_secret_and_leaves_the_roots_key_out(tmp_path):
    done = CliRunner().invoke(command, ["init", str(tmp_path / "ca"), "--cluster", "gke", "--cluster", "gke"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "ca" / "root-key.pem").exists()
    _, said = [
        line for line in done.output.splitlines() if line.startswith("next, in gke: kubectl --context gke ")
    ]
    assert said.endswith(f"--from-file={tmp_path / 'ca' / 'gke'}")
    assert "root-key.pem" not in {each.name for each in (tmp_path / "ca" / "gke").iterdir()}
    assert f"isthmus ca rotate start {tmp_path / 'ca'}, with --context" in done.output.splitlines()[-1]


def test_check_shows_the_path_to_the_root_or_what_is_wrong(tmp_path):
    runner = CliRunner()
    runner.invoke(command, ["init", str(tmp_path), "--cluster", "gke"])
    good = runner.invoke(command, ["check", str(tmp_path / "gke")])
    assert good.exit_code == 0
    assert [line.partition(":")[0] for line in good.output.splitlines()] == [
        "Isthmus CA gke",
        "Isthmus Root CA",
    ]
    (tmp_path / "gke" / "ca-key.pem").unlink()
    bad = runner.invoke(command, ["check", str(tmp_path / "gke")])
    assert bad.exit_code == 1
    assert "error: secret cacerts, key ca-key.pem: is missing (hint: isthmus ca init makes" in bad.output


def test_a_wish_that_cannot_be_met_is_an_error_and_no_traceback(tmp_path):
    (tmp_path / "file").write_text("")
    for arguments in ([str(tmp_path / "file")], [str(tmp_path), "--cluster", "../x"]):
        done = CliRunner().invoke(command, ["init", *arguments])
        assert done.exit_code == 1
        assert done.output.startswith("error: ")
        assert "hint: " in done.output


def made(folder: Path, *arguments: str) -> str:
    done = CliRunner().invoke(command, list(arguments))
    assert done.exit_code == 0, done.output
    material = store.verify(store.read(folder), SystemClock().now())
    assert material.chain[-1] in material.roots
    return done.output


def test_an_intermediate_is_made_offline_under_the_root_that_is_there(tmp_path):
    runner = CliRunner()
    runner.invoke(command, ["init", str(tmp_path)])
    said = made(
        tmp_path / "onprem",
        "intermediate",
        "onprem",
        "--directory",
        str(tmp_path),
        "--key=rsa-2048",
        "--life=720h",
        "--path-length=1",
        "--constrained",
        "--trust-domain=corp.example",
        "--dns=corp.example",
        "--namespace=mesh",
    )
    secret = f"create secret generic cacerts -n mesh --from-file={tmp_path}/onprem"
    assert f"next, in onprem: kubectl --context onprem {secret}" in said
    certificate = x509.load_certificate((tmp_path / "onprem" / "ca-cert.pem").read_bytes())
    assert certificate.public_key().key_size == 2048
    assert x509.life(certificate).end == pytest.approx(SystemClock().now() + 720 * 3600, abs=60)
    assert x509.extension(certificate, BasicConstraints).path_length == 1
    domains = ("onprem.clusters.corp.example", "svc.cluster.local", "svc", "mesh", "corp.example")
    assert limits_of(certificate) == NameLimits(("corp.example",), domains)
    assert stat.S_IMODE((tmp_path / "onprem" / "ca-key.pem").stat().st_mode) == 0o600


def test_without_a_root_there_is_no_intermediate(tmp_path):
    done = CliRunner().invoke(command, ["intermediate", "onprem", "-d", str(tmp_path)])
    assert done.exit_code == 1
    assert "root-cert.pem: is missing (hint: isthmus ca init makes a root, isthmus ca export" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--life=soon"], "not a duration: 'soon'"),
        (["--life=1s"], "a CA cannot live for 1s (hint: from 1m"),
        (["--root-life=900000h"], "a root cannot live for 900000h (hint: from 1m"),
        (["--key=rsa-1024"], "'rsa-1024' is not one of"),
        (["--path-length=9"], "9 is not in the range"),
        (["--constrained"], "--constrained: holds the CAs of clusters"),
    ],
)
def test_a_choice_that_cannot_be_makes_nothing_and_says_why(tmp_path, arguments, said):
    done = CliRunner().invoke(command, ["init", str(tmp_path / "ca"), *arguments])
    assert done.exit_code != 0
    assert said in done.output
    assert not list(tmp_path.glob("ca/*"))


def test_keys_and_lives_are_as_chosen(tmp_path):
    made(tmp_path / "gke", "init", str(tmp_path), "--cluster=gke", "--key=ec-p384", "--root-life=48h")
    for name in ("root-cert.pem", "gke/ca-cert.pem"):
        certificate = x509.load_certificate((tmp_path / name).read_bytes())
        assert certificate.public_key().curve.key_size == 384
        # A CA never outlives its root, whatever life it was given.
        assert x509.life(certificate).end <= SystemClock().now() + 48 * 3600


async def test_the_root_that_citadel_made_is_brought_to_disk_and_signs_for_another_cluster(
    tmp_path, api_server
):
    async with live_cluster(tmp_path) as cluster:
        choices = SelfSigned(namespace="default")
        async with Client(from_file(cluster.kubeconfig)) as client:
            kept = await kept_root(client, choices, SystemClock())
        fetch = ["export", str(tmp_path / "ca"), f"--kubeconfig={cluster.kubeconfig}", "-n"]
        done = await asyncio.to_thread(CliRunner().invoke, command, [*fetch, "default"])
        assert done.exit_code == 0, done.output
        assert stat.S_IMODE((tmp_path / "ca" / "root-key.pem").stat().st_mode) == 0o600
        made(tmp_path / "ca" / "onprem", "intermediate", "onprem", "-d", str(tmp_path / "ca"))
        material = store.verify(store.read(tmp_path / "ca" / "onprem"), SystemClock().now())
        assert material.roots == kept.roots
        again = await asyncio.to_thread(CliRunner().invoke, command, [*fetch, "default"])
        assert "root-cert.pem: exists (hint: nothing is overwritten" in again.output
        absent = await asyncio.to_thread(CliRunner().invoke, command, [*fetch, "kube-system"])
        assert (
            "secret kube-system/istio-ca-secret: is not there (hint: this Citadel has its CA" in absent.output
        )
