"""Kubeconfig files: where a cluster's API server is and who we are there.

Source: Kubernetes' `client.config.k8s.io` / kubeconfig v1 reference.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.yaml import documents
from isthmus.kit.ip import authority
from isthmus.kit.redacted import Redacted
from isthmus.kube.errors import InvalidKubeconfig

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Anonymous(msgspec.Struct, frozen=True):
    """No credentials."""


class Token(msgspec.Struct, frozen=True):
    """A bearer token that does not change."""

    token: Redacted


class TokenFile(msgspec.Struct, frozen=True):
    """A bearer token in a file that somebody else renews."""

    path: Path


class ClientCertificate(msgspec.Struct, frozen=True):
    """A client certificate and its key, in PEM."""

    certificate: bytes
    key: Redacted


class ExecPlugin(msgspec.Struct, frozen=True):
    """A program that prints credentials (`client.authentication.k8s.io`)."""

    api_version: str
    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    provide_cluster_info: bool = False
    install_hint: str = ""


Credentials = Anonymous | Token | TokenFile | ClientCertificate | ExecPlugin


class Impersonation(msgspec.Struct, frozen=True, kw_only=True):
    """As whom the API server is to take what is asked. Source: Kubernetes, "User impersonation"."""

    user: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """By which a request says so."""
        return [
            ("Impersonate-User", self.user),
            *([("Impersonate-Uid", self.uid)] if self.uid else []),
            *(("Impersonate-Group", each) for each in self.groups),
            *(
                (f"Impersonate-Extra-{quote(key, safe='')}", each)
                for key, values in self.extra
                for each in values
            ),
        ]


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """All that is needed to talk to one API server."""

    server: str
    ca: bytes | None = None  # PEM; None: the system's roots
    verify: bool = True
    server_name: str | None = None  # for TLS, where it differs from the host in `server`
    proxy_url: str | None = None
    namespace: str = "default"
    name: str = ""  # the cluster's name in the kubeconfig
    credentials: Credentials = Anonymous()
    impersonation: Impersonation | None = None


Section = Mapping[str, object]


class _File(NamedTuple):
    """A kubeconfig, and the folder that paths in it are relative to; None: it may have none."""

    folder: Path | None
    config: Section


def from_file(path: Path, context: str | None = None) -> Access:
    """The access that the file's current context (or `context`) describes. Raises `InvalidKubeconfig`."""
    return from_text(_content(path), path.parent, context)


def from_files(paths: Sequence[Path], context: str | None = None) -> Access:
    """The access that several files describe together, as kubectl merges those in $KUBECONFIG.

    Of entries of one name, and of current contexts, the first counts; a file that is missing does not.
    Source: Kubernetes, "Organizing Cluster Access Using kubeconfig Files". Raises `InvalidKubeconfig`.
    """
    files = _files(paths)
    return _access(files, context or _current(files))


def contexts_in(paths: Sequence[Path]) -> tuple[str, ...]:
    """The names of all contexts in several files, the current one first. Raises `InvalidKubeconfig`."""
    files = _files(paths)
    entries = (each for file in files for each in _listed(file.config, "contexts"))
    names = [str(each["name"]) for each in entries if isinstance(each, dict) and each.get("name")]
    current = _current(files)
    return tuple(dict.fromkeys([current, *names] if current in names else names))


def _files(paths: Sequence[Path]) -> list[_File]:
    there = [path for path in paths if path.exists()] or list(paths)
    return [_File(path.parent, _parsed(path)) for path in there]


def _parsed(path: Path) -> Section:
    try:
        return parse(_content(path))
    except InvalidKubeconfig as error:
        where = error.path if error.path == str(path) else f"{path}: {error.path}"
        raise InvalidKubeconfig(where, error.message) from error


def _current(files: Sequence[_File]) -> str:
    return next((str(name) for file in files if (name := file.config.get("current-context"))), "")


def _listed(config: Section, section: str) -> Sequence[object]:
    entries = config.get(section)
    return entries if isinstance(entries, list) else []


def from_text(text: str, folder: Path | None, context: str | None = None) -> Access:
    """The access that a kubeconfig describes; relative paths in it are relative to `folder`.

    Without a folder it may name neither files nor programs: it was written by whom we do not trust so far.
    """
    config = parse(text)
    return _access([_File(folder, config)], context or str(config.get("current-context") or ""))


REACHES = {
    "exec": "exec",
    "tokenFile": "tokenFile",
    "clientCertificate": "client-certificate",
    "clientKey": "client-key",
    "certificateAuthority": "certificate-authority",
}
"""What of a kubeconfig runs programs or reads files where it is used: by Istio's names, and as it is written."""


def from_stranger(text: str, allowed: Collection[str], context: str | None = None) -> Access:
    """The access that a kubeconfig of somebody else describes; of `REACHES` it may use those that are allowed."""
    config = parse(text)
    sections = [
        inner
        for section, key in (("users", "user"), ("clusters", "cluster"))
        for entry in _listed(config, section)
        if isinstance(entry, dict) and isinstance(inner := entry.get(key), dict)
    ]
    used = {name for name, written in REACHES.items() if any(each.get(written) for each in sections)}
    # Without a folder nothing of that kind is taken; with one it is all.
    return from_text(text, Path("/") if used and used <= set(allowed) else None, context)


def parse(text: str) -> Section:
    """A kubeconfig as it is written. Raises `InvalidKubeconfig` where it is none."""
    try:
        config = next((document.value for document in documents(text)), None)
    except InvalidConfig as error:
        raise InvalidKubeconfig(error.path, error.message) from error
    if not isinstance(config, dict):
        raise InvalidKubeconfig(
            "$", "is not a kubeconfig (hint: it starts with `apiVersion: v1, kind: Config`)"
        )
    return config


def _content(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise InvalidKubeconfig(str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidKubeconfig(str(path), "is no text") from error


def _access(files: Sequence[_File], context: str) -> Access:
    if not context:
        raise InvalidKubeconfig(
            "$.current-context", "names no context (hint: kubectl config use-context NAME)"
        )
    chosen, _ = _named(files, "contexts", "context", context)
    cluster_name = str(chosen.get("cluster") or "")
    cluster, folder = _named(files, "clusters", "cluster", cluster_name)
    credentials: Credentials = Anonymous()
    impersonation = None
    if chosen.get("user"):
        user, folder_of_user = _named(files, "users", "user", str(chosen["user"]))
        credentials, impersonation = _credentials(user, folder_of_user), _impersonation(user)
    server = cluster.get("server")
    if not isinstance(server, str) or not server.startswith(("http://", "https://")):
        raise InvalidKubeconfig(
            f"$.clusters[{cluster_name}].cluster.server", f"is no http(s) address: {server!r}"
        )
    return Access(
        server=server.rstrip("/"),
        ca=_data(cluster, "certificate-authority", folder),
        verify=not cluster.get("insecure-skip-tls-verify"),
        server_name=_text(cluster, "tls-server-name"),
        proxy_url=_text(cluster, "proxy-url"),
        namespace=str(chosen.get("namespace") or "default"),
        name=cluster_name,
        credentials=credentials,
        impersonation=impersonation,
    )


def in_cluster(host: str, port: str, folder: Path = _SERVICE_ACCOUNT) -> Access:
    """The access of a pod by its own service account; the token file is read again when it is renewed."""
    ca = folder / "ca.crt"
    namespace = folder / "namespace"
    return Access(
        server=f"https://{authority(host, port)}",
        ca=ca.read_bytes() if ca.exists() else None,
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
        credentials=TokenFile(folder / "token"),
    )


def _credentials(user: Section, folder: Path | None) -> Credentials:
    if plugin := user.get("exec"):
        if not isinstance(plugin, dict):
            raise InvalidKubeconfig("$.users[].user.exec", "is no object")
        return _exec_plugin(plugin, _allowed(folder, "$.users[].user.exec", "put in a token"))
    if path := _text(user, "tokenFile"):
        return TokenFile(_allowed(folder, "$.users[].user.tokenFile", "put in a token") / path)
    if token := _text(user, "token"):
        return Token(Redacted(token))
    certificate, key = _data(user, "client-certificate", folder), _data(user, "client-key", folder)
    if certificate and key:
        return ClientCertificate(certificate, Redacted(key.decode(errors="replace")))
    if certificate or key:
        raise InvalidKubeconfig("$.users[].user", "has a client certificate or a client key, not both")
    if "auth-provider" in user:
        raise InvalidKubeconfig(
            "$.users[].user.auth-provider", "is not supported (hint: use the provider's exec plugin)"
        )
    return Anonymous()


def _impersonation(user: Section) -> Impersonation | None:
    name, uid = _text(user, "as") or "", _text(user, "as-uid") or ""
    groups, extra = user.get("as-groups") or [], user.get("as-user-extra") or {}
    if not isinstance(groups, list):
        raise InvalidKubeconfig("$.users[].user.as-groups", "is no list")
    if not isinstance(extra, dict) or not all(isinstance(each, list) for each in extra.values()):
        raise InvalidKubeconfig("$.users[].user.as-user-extra", "is no map of lists")
    if not name:
        if uid or groups or extra:
            raise InvalidKubeconfig(
                "$.users[].user.as", "is missing, beside as-uid, as-groups or as-user-extra"
            )
        return None
    further = ((str(key), tuple(map(str, values))) for key, values in extra.items())
    return Impersonation(user=name, uid=uid, groups=tuple(map(str, groups)), extra=tuple(further))


def _exec_plugin(plugin: Section, folder: Path) -> ExecPlugin:
    version, command = str(plugin.get("apiVersion") or ""), str(plugin.get("command") or "")
    supported = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
    if version not in supported:
        raise InvalidKubeconfig(
            "$.users[].user.exec.apiVersion", f"is {version!r} (hint: one of {', '.join(supported)})"
        )
    if not command:
        raise InvalidKubeconfig("$.users[].user.exec.command", "is missing")
    if "/" in command:
        command = str(folder / command)
    env, args = plugin.get("env") or [], plugin.get("args") or []
    if not isinstance(env, list) or not all(isinstance(item, dict) and item.get("name") for item in env):
        raise InvalidKubeconfig("$.users[].user.exec.env", "is no list of names and values")
    if not isinstance(args, list):
        raise InvalidKubeconfig("$.users[].user.exec.args", "is no list")
    return ExecPlugin(
        api_version=version,
        command=command,
        args=tuple(str(arg) for arg in args),
        env=tuple((str(item["name"]), str(item.get("value", ""))) for item in env),
        provide_cluster_info=bool(plugin.get("provideClusterInfo")),
        install_hint=str(plugin.get("installHint") or ""),
    )


def _named(files: Sequence[_File], section: str, key: str, name: str) -> tuple[Section, Path | None]:
    """The entry of a section, and the folder that its paths are relative to."""
    known: list[str] = []
    for file in files:
        for entry in _listed(file.config, section):
            if not isinstance(entry, dict):
                continue
            if entry.get("name") == name:
                found = entry.get(key)
                if not isinstance(found, dict):
                    raise InvalidKubeconfig(f"$.{section}[{name}].{key}", "is missing")
                return found, file.folder
            known.append(str(entry.get("name")))
    hint = f" (hint: it has {', '.join(known)})" if known else ""
    raise InvalidKubeconfig(f"$.{section}", f"has no entry named {name!r}{hint}")


def _text(section: Section, key: str) -> str | None:
    value = section.get(key)
    return str(value) if value else None


def _allowed(folder: Path | None, path: str, hint: str) -> Path:
    if folder is None:
        raise InvalidKubeconfig(path, f"may be neither a file nor a program here (hint: {hint})")
    return folder


def _data(section: Section, key: str, folder: Path | None) -> bytes | None:
    if embedded := section.get(f"{key}-data"):
        try:
            return base64.b64decode(str(embedded), validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidKubeconfig(f"$…{key}-data", "is not base64") from error
    if name := _text(section, key):
        path = _allowed(folder, f"$…{key}", f"put it in as {key}-data") / name
        try:
            return path.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: no path
            why = error.strerror if isinstance(error, OSError) else "is no path"
            raise InvalidKubeconfig(f"$…{key}", f"{path} cannot be read: {why}") from error
    return None
