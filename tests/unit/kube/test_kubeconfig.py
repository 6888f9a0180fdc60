from __future__ import annotations

import base64
import re

import pytest
import yaml

from isthmus.kube.errors import InvalidKubeconfig
from isthmus.kube.kubeconfig import (
    Anonymous,
    ClientCertificate,
    ExecPlugin,
    Token,
    TokenFile,
    from_file,
    from_files,
    from_stranger,
    from_text,
    in_cluster,
)

SERVER = "https://api.example:6443"
V1 = "client.authentication.k8s.io/v1"


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def config(user=None, cluster=None, context=None, **more):
    chosen = {"cluster": "east", **({"user": "me"} if user is not None else {}), **(context or {})}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "east", "cluster": {"server": SERVER} if cluster is None else cluster}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "main", "context": chosen}],
        "current-context": "main",
    } | more


def read(content, folder=None, context=None):
    return from_text(content if isinstance(content, str) else yaml.safe_dump(content), folder, context)


def test_the_current_context_says_which_cluster_and_user():
    access = read(config({"token": "secret"}, context={"namespace": "shop"}))
    assert (access.server, access.name, access.namespace) == (SERVER, "east", "shop")
    assert access.credentials == Token("secret")
    assert "secret" not in repr(access)


def test_another_context_can_be_chosen():
    other = {"name": "other", "context": {"cluster": "west"}}
    west = {"name": "west", "cluster": {"server": "http://west:80/"}}
    content = config()
    content["contexts"].append(other)
    content["clusters"].append(west)
    assert read(content, context="other").server == "http://west:80"


def test_tls_and_proxies_are_as_the_cluster_says():
    ca = encoded("a ca")
    access = read(
        config(
            cluster={
                "server": SERVER,
                "certificate-authority-data": ca,
                "tls-server-name": "kubernetes",
                "proxy-url": "http://proxy:3128",
                "insecure-skip-tls-verify": True,
            }
        )
    )
    assert access.ca == b"a ca"
    assert (access.verify, access.server_name, access.proxy_url) == (False, "kubernetes", "http://proxy:3128")


def test_relative_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "pki").mkdir()
    for name in ("ca", "cert", "key"):
        (tmp_path / "pki" / name).write_text(name)
    user = {"client-certificate": "pki/cert", "client-key": "pki/key"}
    cluster = {"server": SERVER, "certificate-authority": "pki/ca"}
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config(user, cluster)))
    access = from_file(path)
    assert access.ca == b"ca"
    assert access.credentials == ClientCertificate(b"cert", "key")
    path.write_text(yaml.safe_dump(config({"tokenFile": "token"})))
    assert from_file(path).credentials == TokenFile(tmp_path / "token")


def test_a_context_without_user_is_anonymous():
    assert read(config()).credentials == Anonymous()


def test_as_whom_the_user_asks_is_read():
    user = {"token": "secret", "as": "jane", "as-uid": "7", "as-groups": ["dev", "ops"]}
    found = read(config(user | {"as-user-extra": {"example.org/why": ["audit"]}})).impersonation
    assert found.headers == [
        ("Impersonate-User", "jane"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "dev"),
        ("Impersonate-Group", "ops"),
        ("Impersonate-Extra-example.org%2Fwhy", "audit"),
    ]
    assert read(config({"token": "secret"})).impersonation is None


@pytest.mark.parametrize(
    ("user", "path", "words"),
    [
        (
            {"as-groups": ["dev"]},
            "$.users[].user.as",
            "is missing, beside as-uid, as-groups or as-user-extra",
        ),
        ({"as": "jane", "as-groups": "dev"}, "$.users[].user.as-groups", "is no list"),
        ({"as": "jane", "as-user-extra": {"a": "b"}}, "$.users[].user.as-user-extra", "is no map of lists"),
    ],
)
def test_whom_nobody_can_be_taken_for_is_told(user, path, words):
    with pytest.raises(InvalidKubeconfig) as wrong:
        read(config(user))
    assert (wrong.value.path, wrong.value.message) == (path, words)


def test_an_exec_plugin_is_read_whole(tmp_path):
    plugin = {
        "apiVersion": V1,
        "command": "./login",
        "args": ["get", 5],
        "env": [{"name": "REGION", "value": "eu"}],
        "provideClusterInfo": True,
        "installHint": "install it",
    }
    assert read(config({"exec": plugin}), tmp_path).credentials == ExecPlugin(
        api_version=V1,
        command=str(tmp_path / "login"),
        args=("get", "5"),
        env=(("REGION", "eu"),),
        provide_cluster_info=True,
        install_hint="install it",
    )


def test_a_command_without_a_slash_is_looked_for_on_the_path(tmp_path):
    plugin = {"apiVersion": V1, "command": "aws"}
    assert read(config({"exec": plugin}), tmp_path).credentials.command == "aws"


WRONG = [
    ("a: [", "$", "is not YAML"),
    ("", "$", "is not a kubeconfig"),
    ("[1]", "$", "is not a kubeconfig"),
    (config(**{"current-context": ""}), "$.current-context", "names no context"),
    (config(**{"current-context": "none"}), "$.contexts", "has no entry named 'none'"),
    (config(clusters=[]), "$.clusters", "has no entry named 'east'"),
    (config(clusters="east"), "$.clusters", "has no entry named 'east'"),
    (config({}, users=[]), "$.users", "has no entry named 'me'"),
    (config("me"), "$.users[me].user", "is missing"),
    (config(cluster="east"), "$.clusters[east].cluster", "is missing"),
    (config(cluster={}), "$.clusters[east].cluster.server", "is no http(s) address"),
    (config(cluster={"server": "api:6443"}), "$.clusters[east].cluster.server", "is no http(s) address"),
    (
        config(cluster={"server": SERVER, "certificate-authority-data": "%"}),
        "$…certificate-authority-data",
        "is not base64",
    ),
    (
        config(cluster={"server": SERVER, "certificate-authority-data": "ä"}),
        "$…certificate-authority-data",
        "is not base64",
    ),
    (
        config(cluster={"server": SERVER, "certificate-authority": "none"}),
        "$…certificate-authority",
        "cannot be read",
    ),
    (config({"client-certificate-data": encoded("x")}), "$.users[].user", "not both"),
    (config({"auth-provider": {"name": "gcp"}}), "$.users[].user.auth-provider", "is not supported"),
    (config({"exec": "aws"}), "$.users[].user.exec", "is no object"),
    (config({"exec": {"apiVersion": "v1", "command": "a"}}), "$.users[].user.exec.apiVersion", "is 'v1'"),
    (config({"exec": {"apiVersion": V1}}), "$.users[].user.exec.command", "is missing"),
    (
        config({"exec": {"apiVersion": V1, "command": "a", "env": ["A=b"]}}),
        "$.users[].user.exec.env",
        "is no list",
    ),
    (
        config({"exec": {"apiVersion": V1, "command": "a", "args": "b"}}),
        "$.users[].user.exec.args",
        "is no list",
    ),
]


@pytest.mark.parametrize(("content", "path", "words"), WRONG)
def test_what_is_wrong_is_told_with_its_path(tmp_path, content, path, words):
    with pytest.raises(InvalidKubeconfig) as caught:
        read(content, tmp_path)
    assert caught.value.path == path
    assert words in caught.value.message


@pytest.mark.parametrize(
    "content",
    [
        config({"exec": {"apiVersion": V1, "command": "id"}}),
        config({"tokenFile": "/etc/passwd"}),
        config({"client-certificate": "/etc/passwd", "client-key": "/etc/passwd"}),
        config(cluster={"server": SERVER, "certificate-authority": "/etc/passwd"}),
    ],
)
def test_a_kubeconfig_without_a_folder_names_neither_files_nor_programs(content):
    with pytest.raises(InvalidKubeconfig, match="may be neither a file nor a program here"):
        read(content, None)


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path):
    with pytest.raises(InvalidKubeconfig, match="cannot be read: No such file"):
        from_file(tmp_path / "none")
    (tmp_path / "picture").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidKubeconfig, match="is no text"):
        from_file(tmp_path / "picture")


def test_a_pod_is_known_by_its_service_account(tmp_path):
    (tmp_path / "ca.crt").write_text("ca")
    (tmp_path / "namespace").write_text("shop\n")
    access = in_cluster("10.0.0.1", "443", tmp_path)
    assert (access.server, access.ca, access.namespace) == ("https://10.0.0.1:443", b"ca", "shop")
    assert access.credentials == TokenFile(tmp_path / "token")
    assert in_cluster("fd00::1", "443", tmp_path).server == "https://[fd00::1]:443"


def a_file(folder, name, **changes):
    path = folder / name / "config"
    path.parent.mkdir()
    config = {
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example:6443"}}],
        "users": [{"name": name, "user": {"tokenFile": "token"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.write_text(yaml.safe_dump(config | changes))
    return path


def test_several_files_are_one_kubeconfig(tmp_path):
    east, west = a_file(tmp_path, "east"), a_file(tmp_path, "west")
    assert from_files([east, west]).server == "https://east.example:6443"
    access = from_files([tmp_path / "none", east, west], "west")
    assert access.server == "https://west.example:6443"
    assert access.credentials == TokenFile(west.parent / "token"), "paths are relative to their own file"


def test_of_entries_with_one_name_the_first_counts(tmp_path):
    east = a_file(tmp_path, "east")
    other = a_file(tmp_path, "other", clusters=[{"name": "east", "cluster": {"server": "https://other"}}])
    assert from_files([east, other], "east").server == "https://east.example:6443"


def test_a_name_in_none_of_the_files_is_told_with_those_that_are(tmp_path):
    files = [a_file(tmp_path, "east"), a_file(tmp_path, "west")]
    with pytest.raises(
        InvalidKubeconfig, match=r"\$.contexts: has no entry named 'north' \(hint: it has east, west\)"
    ):
        from_files(files, "north")


def test_without_any_file_the_first_is_missed(tmp_path):
    with pytest.raises(InvalidKubeconfig, match="none/config: cannot be read: No such file"):
        from_files([tmp_path / "none" / "config"])


@pytest.mark.parametrize("text", ["a: [", "[]"])
def test_of_several_files_the_one_that_is_wrong_is_named(tmp_path, text):
    (tmp_path / "wrong").write_text(text)
    with pytest.raises(InvalidKubeconfig, match=re.escape(f"{tmp_path}/wrong: $")):
        from_files([tmp_path / "none", tmp_path / "wrong"])


EXEC = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/token"}}


@pytest.mark.parametrize(
    ("user", "allowed", "taken"),
    [
        (EXEC, (), False),
        (EXEC, ("tokenFile",), False),
        (EXEC, ("exec",), True),
        ({"tokenFile": "/var/token"}, ("exec",), False),
        ({"tokenFile": "/var/token"}, ("exec", "tokenFile"), True),
        ({"token": "t"}, (), True),
    ],
)
def test_a_strangers_kubeconfig_names_of_our_programs_and_files_what_it_may(user, allowed, taken):
    config = {
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://c"}}],
        "users": [{"name": "u", "user": user}],
    }
    text = yaml.safe_dump(config)
    if taken:
        assert from_stranger(text, allowed).server == "https://c"
    else:
        with pytest.raises(InvalidKubeconfig, match="may be neither a file nor a program here"):
            from_stranger(text, allowed)
