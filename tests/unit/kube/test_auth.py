from __future__ import annotations

import asyncio
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fakes.eventually import eventually
from isthmus.kit.clock import ManualClock
from isthmus.kube.auth import FixedProver, prover
from isthmus.kube.errors import KubeError, Unauthorized
from isthmus.kube.kubeconfig import Access, Anonymous, ClientCertificate, ExecPlugin, Token, TokenFile

V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"


def prover_of(credentials, clock=None):
    return prover(Access(server="https://api:6443", credentials=credentials), clock or ManualClock())


async def test_tokens_and_certificates_are_shown_as_they_are():
    assert (await prover_of(Token("t")).proof()).token == "t"
    certificate = ClientCertificate(b"c", "k")
    assert (await prover_of(certificate).proof()).certificate == certificate
    nobody = await prover_of(Anonymous()).proof()
    assert (nobody.token, nobody.certificate) == (None, None)


async def test_forgetting_a_fixed_proof_changes_nothing():
    fixed = prover_of(Token("t"))
    assert isinstance(fixed, FixedProver)
    first = await fixed.proof()
    fixed.forget(first)
    assert await fixed.proof() is first


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text("one\n")
    return path


async def test_a_token_file_is_read_again_every_minute(token):
    clock = ManualClock()
    file = prover_of(TokenFile(token), clock)
    assert (await file.proof()).token == "one"
    token.write_text("two\n")
    assert (await file.proof()).token == "one"
    await clock.advance(61)
    assert (await file.proof()).token == "two"


async def test_a_token_that_is_the_same_is_the_same_proof(token):
    clock = ManualClock()
    file = prover_of(TokenFile(token), clock)
    first = await file.proof()
    await clock.advance(61)
    assert await file.proof() is first


async def test_a_token_that_was_refused_is_read_at_once(token):
    file = prover_of(TokenFile(token))
    stale = await file.proof()
    token.write_text("two")
    file.forget(stale)
    new = await file.proof()
    assert new.token == "two"
    token.write_text("three")
    file.forget(stale)
    assert await file.proof() is new, "somebody else's late refusal of the old one"


async def test_a_token_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(KubeError, match=r"token file .* cannot be read: No such file"):
        await prover_of(TokenFile(tmp_path / "none")).proof()


@pytest.fixture
def plugin(tmp_path):
    """Makes an exec plugin out of shell lines; each run adds a line to `runs`."""

    def make(script, version=V1, **more):
        path = tmp_path / "login"
        path.write_text(f"#!/bin/sh\necho run >> {tmp_path}/runs\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return ExecPlugin(api_version=version, command=str(path), **more)

    return make


def prints(status, version=V1):
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": status}
    return f"cat <<'END'\n{json.dumps(answer)}\nEND"


def runs(tmp_path):
    return len((tmp_path / "runs").read_text().splitlines())


def at(clock, seconds):
    return datetime.fromtimestamp(clock.now() + seconds, UTC).isoformat()


@pytest.mark.parametrize("version", [V1, V1BETA1])
async def test_a_plugin_gives_a_token_in_its_own_version(plugin, version):
    found = await prover_of(plugin(prints({"token": "t"}, version), version)).proof()
    assert found.token == "t"


async def test_a_plugin_gives_a_certificate(plugin):
    script = prints({"clientCertificateData": "c", "clientKeyData": "k"})
    assert (await prover_of(plugin(script)).proof()).certificate == ClientCertificate(b"c", "k")


async def test_a_plugin_runs_once_for_all_who_ask_at_once(plugin, tmp_path):
    asked = prover_of(plugin(prints({"token": "t"})))
    first, *others = await asyncio.gather(*(asked.proof() for _ in range(8)))
    assert all(each is first for each in others)
    assert runs(tmp_path) == 1


async def test_a_plugin_runs_again_shortly_before_the_expiry(plugin, tmp_path):
    clock = ManualClock()
    asked = prover_of(plugin(prints({"token": "t", "expirationTimestamp": at(clock, 300)})), clock)
    await asked.proof()
    await clock.advance(269)
    await asked.proof()
    assert runs(tmp_path) == 1
    await clock.advance(2)
    await asked.proof()
    assert runs(tmp_path) == 2


async def test_a_refusal_runs_the_plugin_once_for_all_who_were_refused(plugin, tmp_path):
    asked = prover_of(plugin(prints({"token": "t"})))
    stale = await asked.proof()
    for _ in range(3):
        asked.forget(stale)
        await asked.proof()
    assert runs(tmp_path) == 2


async def test_a_plugin_has_its_arguments_and_environment_and_is_told_of_the_cluster(plugin, tmp_path):
    script = f'echo "$REGION $1 $KUBERNETES_EXEC_INFO" > {tmp_path}/seen\n' + prints({"token": "t"})
    more = {"args": ("get",), "env": (("REGION", "eu west"),), "provide_cluster_info": True}
    await prover_of(plugin(script, **more)).proof()
    seen = (tmp_path / "seen").read_text()
    assert seen.startswith("eu west get ")
    info = json.loads(seen.removeprefix("eu west get "))
    assert info["apiVersion"] == V1
    assert info["spec"] == {"interactive": False, "cluster": {"server": "https://api:6443"}}


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo please log in >&2; exit 3", r"failed with 3: please log in \(hint: brew install it\)"),
        ("echo hello", "printed no ExecCredential"),
        (prints({"token": "t"}, V1BETA1), "answered .*v1beta1 without status or not as asked for"),
        (f'echo \'{{"apiVersion": "{V1}", "kind": "ExecCredential"}}\'', "without status"),
    ],
)
async def test_what_a_plugin_does_wrong_is_told(plugin, script, words):
    with pytest.raises(KubeError, match=words):
        await prover_of(plugin(script, install_hint="brew install it\n")).proof()


async def test_a_plugin_that_is_not_there_is_told():
    missing = ExecPlugin(api_version=V1, command="/nonexistent/login", install_hint="install it")
    with pytest.raises(KubeError, match=r"failed with 127: .*No such file.* \(hint: install it\)"):
        await prover_of(missing).proof()


async def test_a_plugin_that_gives_nothing_leaves_us_unauthorized(plugin):
    with pytest.raises(Unauthorized, match="gave neither token nor certificate"):
        await prover_of(plugin(prints({}))).proof()


async def test_a_plugin_ends_with_whoever_asked(plugin, tmp_path):
    asked = prover_of(plugin(f"echo $$ > {tmp_path}/pid; exec sleep 600"))
    task = asyncio.get_running_loop().create_task(asked.proof())
    pid = tmp_path / "pid"

    async def runs_now():
        return pid.exists() and bool(pid.read_text().strip())

    await eventually(runs_now)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_a_plugin_that_prints_without_end_is_ended(plugin):
    with pytest.raises(KubeError, match="prints more than 1048576 bytes"):
        await prover_of(plugin("yes")).proof()


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_what_a_plugin_started_ends_with_it(plugin, tmp_path):
    asked = prover_of(plugin(f"sleep 600 & echo $! > {tmp_path}/pid; wait"))
    task = asyncio.get_running_loop().create_task(asked.proof())
    pid = tmp_path / "pid"

    async def runs_now():
        return pid.exists() and bool(pid.read_text().strip())

    await eventually(runs_now)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async def gone():
        try:
            os.kill(int(pid.read_text()), 0)
        except ProcessLookupError:
            return True
        return state_of(pid.read_text().strip()) == "Z"  # whoever adopts orphans may be slow

    await eventually(gone)


async def test_a_plugin_that_cannot_be_a_command_is_told(plugin):
    with pytest.raises(KubeError, match="cannot be run: embedded null byte"):
        await prover_of(plugin("true", args=("a\0b",))).proof()


async def test_a_token_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "token").write_bytes(b"\xff")
    with pytest.raises(KubeError, match="cannot be read: is no text"):
        await prover_of(TokenFile(tmp_path / "token")).proof()
