"""A cluster that an API server serves, in the words of its administrator: they are the same for every API server."""

from __future__ import annotations

import asyncio

import msgspec
import yaml

from fakes.eventually import eventually
from isthmus.api import KINDS
from isthmus.kit.redacted import Redacted
from isthmus.kube.client import APPLY_PATCH, MERGE_PATCH, Client
from isthmus.kube.errors import KubeError, NotFound
from isthmus.kube.kubeconfig import Token, from_file
from isthmus.lab.apiserver.builtin import builtin_types

_PLURALS = {(each.api_version, each.kind): each.plural for each in builtin_types()} | {
    (kind.in_version(version).api_version, kind.name): kind.plural
    for kind in KINDS
    for version in kind.versions
}
_VERSIONS = {(each.group, each.plural): each.api_version for each in builtin_types()} | {
    (kind.group, kind.plural): kind.api_version for kind in KINDS
}
_CLUSTERWIDE = {each.kind for each in builtin_types() if not each.namespaced} | {
    kind.name for kind in KINDS if not kind.namespaced
}


def path_to(api_version, plural, namespace="", *tail):
    """The URL path of a collection, an object or a subresource."""
    prefix = "/apis" if "/" in api_version else "/api"
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"{prefix}/{api_version}{place}/{plural}" + "".join(f"/{each}" for each in tail)


class ServedCluster:
    """One served cluster; all but `start` needs the block of `administered`."""

    is_defined = False
    """Whether it has the definitions already that are asked for."""

    def __init__(self, credentials, url, folder):
        self.credentials, self.url, self.folder = credentials, url, folder
        self.kubeconfig = folder / "kubeconfig"
        self.write_kubeconfig(credentials.kubeconfig(url))
        self.access = from_file(self.kubeconfig)
        self._client = Client(self.access, agent="administrator")

    def write_kubeconfig(self, content):
        """Let whoever reads the file come as somebody else."""
        self.kubeconfig.write_text(yaml.safe_dump(content))

    async def remember_definitions(self):
        """All that are asked for are there now."""

    async def __aenter__(self):
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_):
        await self._client.close()

    async def create(self, plural, obj, group=""):
        """The object as it was made. Raises `Conflict` where it exists."""
        version = obj.get("apiVersion") or _VERSIONS[group, plural]
        path = path_to(version, plural, obj["metadata"].get("namespace", ""))
        return await self._json("POST", path, body=obj)

    async def apply(self, *objects):
        """Apply as kubectl does: on the server, with unknown fields refused, and go on once definitions are served."""
        query = {"fieldManager": "test", "fieldValidation": "Strict", "force": "true"}
        for obj in objects:
            kind = obj["kind"]
            namespace = "" if kind in _CLUSTERWIDE else obj["metadata"].get("namespace") or "default"
            version = obj["apiVersion"]
            path = path_to(version, _PLURALS[version, kind], namespace, obj["metadata"]["name"])
            await self._client.request("PATCH", path, query=query, body=obj, content_type=APPLY_PATCH)
        await self._until_served([each for each in objects if each["kind"] == "CustomResourceDefinition"])

    async def find(self, plural, namespace, name, group=""):
        """The object, or None."""
        try:
            return await self._json("GET", path_to(_VERSIONS[group, plural], plural, namespace, name))
        except NotFound:
            return None

    async def list(self, plural, namespace="", group=""):
        """All objects of a namespace, or of all."""
        return (await self._json("GET", path_to(_VERSIONS[group, plural], plural, namespace)))["items"]

    async def delete(self, plural, namespace, name, group="", grace_s=None):
        """Ask for the object's end. Raises `NotFound`."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": grace_s}
        path = path_to(_VERSIONS[group, plural], plural, namespace, name)
        await self._client.request("DELETE", path, body=options if grace_s is not None else None)

    async def set_status(self, plural, obj, status, group=""):
        """The object with what controllers and kubelets say of it."""
        meta = obj["metadata"]
        path = path_to(_VERSIONS[group, plural], plural, meta.get("namespace", ""), meta["name"], "status")
        return await self._json("PATCH", path, body={"status": status}, content_type=MERGE_PATCH)

    async def bind(self, pod, node):
        """Give the pod to a node, as a scheduler does."""
        meta = {key: pod["metadata"][key] for key in ("name", "namespace")}
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": meta,
            "target": {"kind": "Node", "name": node},
        }
        await self._json("POST", path_to("v1", "pods", meta["namespace"], meta["name"], "binding"), body=body)

    async def token(self, namespace, account, audiences=(), pod=None):
        """A token of a service account, bound to `pod` where one is given."""
        bound = pod and {"apiVersion": "v1", "kind": "Pod"} | {
            key: pod["metadata"][key] for key in ("name", "uid")
        }
        spec = {"audiences": list(audiences), "boundObjectRef": bound}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = path_to("v1", "serviceaccounts", namespace, account, "token")
        return (await self._json("POST", path, body=body))["status"]["token"]

    async def access_of(self, namespace, account):
        """The cluster as a service account reaches it."""
        token = Token(Redacted(await self.token(namespace, account)))
        return msgspec.structs.replace(self.access, credentials=token)

    async def serves(self, plural, group):
        """Whether the kind is served in any version that we know."""
        try:
            await self.list(plural, group=group)
        except NotFound:
            return False
        return True

    async def _until_served(self, definitions):
        for each in definitions:
            spec = each["spec"]
            for version in spec["versions"]:
                path = path_to(f"{spec['group']}/{version['name']}", spec["names"]["plural"])
                await eventually(lambda path=path: self._answers(path))

    async def _answers(self, path):
        try:
            await self._client.request("GET", path, query={"limit": "1"})
        except KubeError:
            return False
        return True

    async def _json(self, method, path, **more):
        return msgspec.json.decode(await self._client.request(method, path, **more))

    async def start(self, program, *arguments, env=None):
        """A program that runs, its input and outputs open."""
        usual = {
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self.folder),
            "PATH": "/usr/bin:/bin",
            "TERM": "dumb",
        }
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            program, *arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=usual | (env or {})
        )
