"""The volumes of a pod, as folders of the lab that containers see; kept true while the pod lives."""

from __future__ import annotations

import base64
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.tokens import ISSUER, Grant
from isthmus.lab.kubelet.environment import Missing, field_of
from isthmus.lab.kubelet.node import Node
from isthmus.lab.sandbox import Mount

Json = dict[str, Any]
Files = dict[str, bytes]
_CONFIG_MAPS, _SECRETS, _ACCOUNTS = builtin("configmaps"), builtin("secrets"), builtin("serviceaccounts")
_CLAIMS = builtin("persistentvolumeclaims")
_USUAL_TOKEN_S = 3600.0
_RENEW_AT = 0.8  # of a token's life


class Volumes:
    """All volumes of one pod."""

    def __init__(self, node: Node, pod: Json, folder: Path) -> None:
        self._node, self._pod, self._folder = node, pod, folder
        self._written: dict[str, Files] = {}
        self._tokens: dict[tuple[str, str], tuple[bytes, float]] = {}  # token and when to renew it

    async def prepare(self, pod: Json) -> None:
        """Make or refresh all volumes. Raises `Missing` for an object that is not there and not optional."""
        self._pod = pod
        for wanted in _tokens_wanted(pod):
            await self._renew(wanted)
        for volume in pod["spec"].get("volumes") or []:
            files = self._files(volume)
            if files is not None and self._written.get(volume["name"]) != files:
                write_files(self._folder / volume["name"], files)
                self._written[volume["name"]] = files
            elif files is None and "hostPath" not in volume:
                self._place(volume).mkdir(parents=True, exist_ok=True)

    def mounts(self, container: Json) -> tuple[Mount, ...]:
        """What the container sees of them."""
        by_name = {volume["name"]: volume for volume in self._pod["spec"].get("volumes") or []}
        found = []
        for mount in container.get("volumeMounts") or []:
            volume = by_name[mount["name"]]
            source = self._place(volume)
            if mount.get("subPath"):
                source /= mount["subPath"]
                if not source.exists():
                    source.mkdir(parents=True)
            found.append(Mount(mount["mountPath"], str(source), bool(mount.get("readOnly"))))
        return tuple(found)

    def remove(self) -> None:
        """Take the folders away."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _place(self, volume: Json) -> Path:
        """Where the volume is. What a claim holds outlives its pods. Raises `Missing`."""
        if "hostPath" in volume:
            return Path(volume["hostPath"]["path"])
        if "persistentVolumeClaim" not in volume:
            return self._folder / str(volume["name"])
        name = volume["persistentVolumeClaim"]["claimName"]
        found = self._node.api.find(_CLAIMS, self._pod["metadata"]["namespace"], name)
        if found is None:
            raise Missing(f'persistentvolumeclaim "{name}" not found')
        return self._node.folder / "claims" / str(found["metadata"]["uid"])

    def _files(self, volume: Json) -> Files | None:
        """What is in a volume that objects fill; None for one that is only a folder."""
        if "configMap" in volume:
            return self._from_object(_CONFIG_MAPS, volume["configMap"], volume["configMap"].get("name", ""))
        if "secret" in volume:
            return self._from_object(_SECRETS, volume["secret"], volume["secret"].get("secretName", ""))
        if "downwardAPI" in volume:
            return self._downward(volume["downwardAPI"])
        if "projected" in volume:
            files: Files = {}
            for source in volume["projected"].get("sources") or []:
                files |= self._projected(source)
            return files
        return None

    def _projected(self, source: Json) -> Files:
        if "serviceAccountToken" in source:
            wanted = source["serviceAccountToken"]
            return {wanted["path"]: self._tokens[self._whose(wanted)][0]}
        if "configMap" in source:
            return self._from_object(_CONFIG_MAPS, source["configMap"], source["configMap"].get("name", ""))
        if "secret" in source:
            return self._from_object(_SECRETS, source["secret"], source["secret"].get("name", ""))
        return self._downward(source.get("downwardAPI") or {})

    def _from_object(self, each: Any, wanted: Json, name: str) -> Files:
        namespace = self._pod["metadata"]["namespace"]
        found = self._node.api.find(each, namespace, name)
        if found is None:
            if wanted.get("optional"):
                return {}
            raise Missing(f'{each.kind.lower()} "{name}" not found')
        files = contents(found, is_secret=each is _SECRETS)
        items = wanted.get("items")
        if not items:
            return files
        missing = [item["key"] for item in items if item["key"] not in files and not wanted.get("optional")]
        if missing:
            raise Missing(f"references non-existent {each.kind.lower()} key: {missing[0]}")
        return {item["path"]: files[item["key"]] for item in items if item["key"] in files}

    def _downward(self, wanted: Json) -> Files:
        return {
            item["path"]: field_of(self._pod, item["fieldRef"]["fieldPath"]).encode()
            for item in wanted.get("items") or []
            if "fieldRef" in item
        }

    def _whose(self, wanted: Json) -> tuple[str, str]:
        return wanted.get("audience", ""), self._pod["spec"].get("serviceAccountName", "default")

    async def _renew(self, wanted: Json) -> None:
        """Have a token that has most of its life before it; where none is given, the one before stays."""
        key, now = self._whose(wanted), self._node.api.clock.now()
        held = self._tokens.get(key)
        if held is not None and now < held[1]:
            return
        audience, name = key
        account = self._node.api.find(_ACCOUNTS, self._pod["metadata"]["namespace"], name)
        if account is None:
            raise Missing(f'serviceaccount "{name}" not found')
        lifetime_s = float(wanted.get("expirationSeconds", _USUAL_TOKEN_S))
        grant = Grant(account, (audience or ISSUER,), lifetime_s, (("pod", self._pod),))
        try:
            token, expires = await self._node.tokens.token(grant)
        except ApiError as error:
            if held is None:
                raise Missing(f'no token of serviceaccount "{name}": {error.message}') from error
            return
        self._tokens[key] = (token.encode(), now + (expires - now) * _RENEW_AT)


def _tokens_wanted(pod: Json) -> Iterator[Json]:
    for volume in pod["spec"].get("volumes") or []:
        for source in (volume.get("projected") or {}).get("sources") or []:
            if "serviceAccountToken" in source:
                yield source["serviceAccountToken"]


def contents(found: Json, *, is_secret: bool) -> Files:
    """The files that a ConfigMap or Secret makes."""
    data = found.get("data") or {}
    if is_secret:
        return {key: base64.b64decode(value) for key, value in data.items()}
    binary = found.get("binaryData") or {}
    files = {key: value.encode() for key, value in data.items()}
    return files | {key: base64.b64decode(value) for key, value in binary.items()}


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `files` all that is in `folder`, at once: readers see all the old or all the new.

    As a real kubelet does it: a folder of its own for each version, and a link that moves.
    """
    version = folder / f"..{uuid.uuid4().hex[:8]}"
    for name, body in files.items():
        path = version / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        path.chmod(0o644)
    version.mkdir(parents=True, exist_ok=True)
    current, fresh = folder / "..data", folder / "..data_tmp"
    old = folder / current.readlink() if current.is_symlink() else None
    fresh.symlink_to(version.name)
    fresh.replace(current)
    wanted = {name.split("/")[0] for name in files}
    for name in wanted:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(f"..data/{name}")
    for path in folder.iterdir():
        if not path.name.startswith("..") and path.name not in wanted:
            path.unlink()
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
