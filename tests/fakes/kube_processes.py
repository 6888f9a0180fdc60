"""One real cluster without nodes: etcd, kube-apiserver and the controllers that matter to us, on loopback.

It starts once, takes seconds to, and is as new for each test: what came since is taken out of etcd, from where the API
server and the controllers hear of it as of any other deletion.
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import time
import urllib.error
import urllib.request

from fakes.ports import free_ports
from isthmus.lab.apiserver.credentials import ClusterCredentials
from isthmus.lab.stock import options

_START_LIMIT_S = 120.0
_OWN = ("/registry/leases/kube-system/", "/registry/masterleases/")
"""Where the API server itself writes as time goes by."""
_DEFINITIONS = "/registry/apiextensions.k8s.io/customresourcedefinitions/"
_FIRST = "/registry/serviceaccounts/default/default"
"""The last of what a cluster gets before anybody asks for anything."""


class KubeProcesses:
    """The programs in `programs`, working in `folder`; nothing runs before `start`."""

    def __init__(self, programs, folder, name):
        self._programs, self._folder, self.name = programs, folder, name
        self.credentials = ClusterCredentials(name, ["127.0.0.1"], time.time())
        self._ports = options.Ports(*free_ports(3))
        self.url = f"https://127.0.0.1:{self._ports.api}"
        self._running = {}
        self._first, self._defined, self._kept = {}, (), {}

    def start(self):
        """Begin to serve, and return once there is all that a new cluster has."""
        self._folder.mkdir(parents=True)
        options.write_files(self._folder, self.credentials, self._ports)
        self._run("etcd", options.etcd_options(self._ports))
        self._serve()
        self._run("kube-controller-manager", options.controllers_options(options.CONTROLLERS))
        self._until(lambda: _FIRST in self._stored(), "kube-controller-manager")
        self._first = self._stored()

    def is_defined_as(self, definitions):
        """Whether it has what was remembered, and that is these definitions."""
        return self._defined == definitions

    def remember_definitions(self, definitions):
        """Have these, which are there now, also after a `renew` that wants them: it takes seconds to take them in."""
        self._defined = definitions
        self._kept = {key: value for key, value in self._stored().items() if key.startswith(_DEFINITIONS)}

    def renew(self, definitions=()):
        """Be as after `start`, and have these definitions still if they were remembered and nobody touched one."""
        if self._running["kube-apiserver"].poll() is not None:
            self._serve()
        now = self._stored()
        if not self.is_defined_as(definitions) or any(now.get(key) != self._kept[key] for key in self._kept):
            self._defined, self._kept = (), {}
        first = self._first | self._kept
        lost = {key: value for key, value in first.items() if now.get(key) != value}
        changes = [{"requestDeleteRange": {"key": _code(key)}} for key in now.keys() - first.keys()]
        changes += [{"requestPut": {"key": _code(key), "value": value}} for key, value in lost.items()]
        if changes:
            self._ask_etcd("txn", {"success": changes})
        gone = {
            key.removeprefix(_DEFINITIONS).partition(".")[2]
            for key in now.keys() - first.keys()
            if key.startswith(_DEFINITIONS)
        }
        self._until(lambda: not gone & self._groups(), "kube-apiserver")

    def forget_history(self):
        """Have no word any more of what happened up to now: an API server's own memory ends with it."""
        now = self._ask_etcd("range", {"key": _code("/")})["header"]["revision"]
        self._ask_etcd("compaction", {"revision": now, "physical": True})
        self.stop_serving()
        self._serve()

    def stop_serving(self):
        """End the API server; the next `renew` brings it back."""
        self._end("kube-apiserver")

    def obituary(self):
        """What the store or the controllers said last, where one has ended by itself; empty where both live."""
        for name in ("etcd", "kube-controller-manager"):
            if (code := self._running[name].poll()) is not None:
                return f"{name} of {self.name} ended with {code}: {self._said(name)}"
        return ""

    def stop(self):
        """End all of it."""
        for name in reversed(list(self._running)):
            self._end(name)

    def _serve(self):
        self._run("kube-apiserver", self._apiserver_options())
        self._until(self._is_ready, "kube-apiserver")

    def _end(self, name):
        process = self._running[name]
        process.kill()
        process.wait()

    def _run(self, name, given):
        with (self._folder / f"{name}.log").open("ab") as log:
            # By a program, not by code between fork and exec: there gRPC's handlers of forks may abort the child.
            ends_with_us = ["setpriv", "--pdeathsig", "KILL", "--"]
            self._running[name] = subprocess.Popen(
                [*ends_with_us, *options.command(self._programs / name, given)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self._folder,
            )

    def _until(self, condition, name):
        ends = time.monotonic() + _START_LIMIT_S
        while not condition():
            if self._running[name].poll() is not None or time.monotonic() > ends:
                self.stop()
                raise RuntimeError(f"{name} of {self.name} did not start: {self._said(name)}")
            time.sleep(0.1)

    def _said(self, name):
        return (self._folder / f"{name}.log").read_text(errors="replace")[-2000:]

    def _is_ready(self):
        try:
            with self._asked("/readyz"):
                return True
        except (OSError, urllib.error.HTTPError):
            return False

    def _groups(self):
        """The groups of kinds that are served."""
        with self._asked("/apis") as answer:
            return {each["name"] for each in json.load(answer)["groups"]}

    def _asked(self, path):
        asked = urllib.request.Request(self.url + path)
        asked.add_header("Authorization", f"Bearer {self.credentials.admin_token}")
        return urllib.request.urlopen(asked, context=self._trust(), timeout=5)

    def _trust(self):
        return ssl.create_default_context(cadata=self.credentials.ca.decode())

    def _stored(self):
        """All that is in etcd but what the API server keeps there for itself."""
        answer = self._ask_etcd("range", {"key": _code("/registry/"), "range_end": _code("/registry0")})
        found = {_decode(each["key"]): each["value"] for each in answer.get("kvs", ())}
        return {key: value for key, value in found.items() if not key.startswith(_OWN)}

    def _ask_etcd(self, verb, body):
        address = f"http://127.0.0.1:{self._ports.store}/v3/kv/{verb}"
        with urllib.request.urlopen(address, json.dumps(body).encode(), timeout=10) as answer:
            return json.load(answer)

    def _apiserver_options(self):
        return options.apiserver_options(self._ports, ["10.96.0.0/16"]) | {
            "advertise-address": "127.0.0.1",
            "endpoint-reconciler-type": "none",  # no pod asks for the Service `kubernetes`
        }


def _code(key):
    return base64.b64encode(key.encode()).decode()


def _decode(key):
    return base64.b64decode(key).decode()
