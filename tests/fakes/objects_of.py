"""Small objects, written as users write them, and an API of one cluster without a server."""

from __future__ import annotations

from isthmus.kit.clock import ManualClock
from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.builtin import builtin, builtin_types
from isthmus.lab.apiserver.schema import Schemas
from isthmus.lab.apiserver.storage import Store

START = 1_700_000_000.0
NAMESPACES, PODS, SERVICES = builtin("namespaces"), builtin("pods"), builtin("services")
CONFIG_MAPS, SECRETS, NODES = builtin("configmaps"), builtin("secrets"), builtin("nodes")
ENDPOINTS, ACCOUNTS, EVENTS = builtin("endpoints"), builtin("serviceaccounts"), builtin("events")
SLICES = builtin("endpointslices", "discovery.k8s.io")
JOBS, CRON_JOBS = builtin("jobs", "batch"), builtin("cronjobs", "batch")
STATEFUL_SETS, DAEMON_SETS = builtin("statefulsets", "apps"), builtin("daemonsets", "apps")
CLAIMS, REVISIONS = builtin("persistentvolumeclaims"), builtin("controllerrevisions", "apps")
DEPLOYMENTS, SETS = builtin("deployments", "apps"), builtin("replicasets", "apps")


async def bare_api(path=None, *namespaces):
    """The verbs on a cluster that has namespaces and nothing else: no plugin, no controller."""
    api = Api(Store(path), builtin_types(), Schemas(), ManualClock(START))
    for name in ("default", *namespaces):
        if api.find(NAMESPACES, "", name) is None:
            await api.create(NAMESPACES, {"metadata": {"name": name}})
    return api


def config_map(name="settings", labels=None, **data):
    meta = {"name": name, "namespace": "default"} | ({"labels": labels} if labels else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def pod(name="web", labels=None, **spec):
    meta = {"name": name, "namespace": "default"} | ({"labels": labels} if labels else {})
    spec = {"containers": [{"name": "main", "image": "busybox"}]} | spec
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def service(name="web", ports=({"port": 80},), **spec):
    meta = {"name": name, "namespace": "default"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {"ports": [dict(port) for port in ports], **spec},
    }


def deployment(name="web", replicas=1, image="web:1", **spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": image}]},
            },
            **spec,
        },
    }


def job(name="once", policy="Never", **spec):
    pod_spec = {"restartPolicy": policy, "containers": [{"name": "main", "image": "busybox"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": {"spec": pod_spec}, **spec},
    }
