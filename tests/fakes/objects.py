"""A cluster's objects in a dictionary, for what only reads them."""

from __future__ import annotations

from isthmus.lab.apiserver.builtin import BUILTIN


class FakeObjects:
    """Satisfies `lookup.Lookup`."""

    def __init__(self, *objects):
        self._objects = {}
        for obj in objects:
            self.put(obj)

    def put(self, obj):
        each = next(t for t in BUILTIN if (t.api_version, t.kind) == (obj["apiVersion"], obj["kind"]))
        meta = obj["metadata"]
        self._objects.setdefault(each, {})[meta.get("namespace", ""), meta["name"]] = obj

    def remove(self, each, namespace, name):
        del self._objects[each][namespace, name]

    def get(self, each, namespace, name):
        return self._objects.get(each, {}).get((namespace, name))

    def list(self, each, namespace=""):
        found = self._objects.get(each, {})
        return [obj for (place, _), obj in found.items() if not namespace or place == namespace]
