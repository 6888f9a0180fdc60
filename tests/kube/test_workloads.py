"""What becomes of Jobs, StatefulSets and DaemonSets: by the lab's own controllers and by upstream's alike."""

from __future__ import annotations

import pytest

from fakes.eventually import eventually
from fakes.live_cluster import live_cluster
from fakes.objects_of import deployment, job
from fakes.working_cluster import at_work
from isthmus.kube.errors import Refused

TIMES = ("startTime", "completionTime", "lastTransitionTime", "lastProbeTime")


@pytest.fixture
async def cluster(tmp_path, api_server):
    async with live_cluster(tmp_path) as served, at_work(served):
        yield served


def timeless(value):
    """The same without what no two clusters have in common."""
    if isinstance(value, dict):
        return {key: timeless(each) for key, each in value.items() if key not in TIMES}
    return [timeless(each) for each in value] if isinstance(value, list) else value


async def settles(cluster, place, kept):
    """The status, once it is as `kept` says."""
    plural, name, group = place

    async def is_kept():
        found = await cluster.find(plural, "default", name, group)
        return bool(found) and kept(found.get("status") or {})

    await eventually(is_kept, limit_s=30)
    return timeless((await cluster.find(plural, "default", name, group))["status"])


def condition(kind, reason, message):
    return {"type": kind, "status": "True", "reason": reason, "message": message}


def says(kind):
    return lambda status: any(
        each["type"] == kind and each["status"] == "True" for each in status.get("conditions", ())
    )


async def with_image(cluster, image, **spec):
    made = job("once", **spec)
    made["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return await cluster.create("jobs", made, "batch")


async def test_a_job_whose_pods_end_well_is_complete(cluster):
    made = await with_image(cluster, "ends", completions=3, parallelism=2, completionMode="Indexed")
    uid = made["metadata"]["uid"]
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    why = ("CompletionsReached", "Reached expected number of succeeded pods")
    assert await settles(cluster, ("jobs", "once", "batch"), says("Complete")) == {
        "succeeded": 3,
        "ready": 0,
        "terminating": 0,
        "completedIndexes": "0-2",
        "uncountedTerminatedPods": {},
        "conditions": [condition(each, *why) for each in ("SuccessCriteriaMet", "Complete")],
    }
    pods = await cluster.list("pods", "default")
    assert sorted(each["spec"]["hostname"] for each in pods) == ["once-0", "once-1", "once-2"]
    assert {*pods[0]["metadata"]["labels"]} == {
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-completion-index",
        "batch.kubernetes.io/job-name",
        "controller-uid",
        "job-name",
    }
    assert [each["name"] for each in pods[0]["spec"]["containers"][0]["env"]] == ["JOB_COMPLETION_INDEX"]
    assert not any(each["metadata"].get("finalizers") for each in pods)


async def test_a_job_whose_pod_fails_once_too_often_has_failed(cluster):
    await with_image(cluster, "fails", backoffLimit=0)
    why = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    assert await settles(cluster, ("jobs", "once", "batch"), says("Failed")) == {
        "failed": 1,
        "ready": 0,
        "terminating": 0,
        "uncountedTerminatedPods": {},
        "conditions": [condition(each, *why) for each in ("FailureTarget", "Failed")],
    }


async def test_pods_of_a_stateful_set_have_numbers_and_claims(cluster):
    made = deployment("web", replicas=2, serviceName="web", volumeClaimTemplates=[
        {
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }
    ])  # fmt: skip
    await cluster.create("statefulsets", made | {"kind": "StatefulSet"}, "apps")

    def serves(status):
        return status.get("availableReplicas") == 2 and status.get("currentReplicas") == 2

    status = await settles(cluster, ("statefulsets", "web", "apps"), serves)
    revision = status["updateRevision"]
    assert status == {
        "observedGeneration": 1,
        "replicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "currentReplicas": 2,
        "updatedReplicas": 2,
        "currentRevision": revision,
        "updateRevision": revision,
        "collisionCount": 0,
    }
    first, _ = sorted(await cluster.list("pods", "default"), key=lambda pod: pod["metadata"]["name"])
    assert first["metadata"]["labels"] == {
        "app": "web",
        "apps.kubernetes.io/pod-index": "0",
        "controller-revision-hash": revision,
        "statefulset.kubernetes.io/pod-name": "web-0",
    }
    assert (first["spec"]["hostname"], first["spec"]["subdomain"]) == ("web-0", "web")
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}} in first["spec"]["volumes"]
    claims = await cluster.list("persistentvolumeclaims", "default")
    assert sorted(each["metadata"]["name"] for each in claims) == ["data-web-0", "data-web-1"]
    (kept,) = await cluster.list("controllerrevisions", "default", "apps")
    assert (kept["metadata"]["name"], kept["revision"]) == (revision, 1)
    assert kept["data"]["spec"]["template"]["$patch"] == "replace"


async def test_each_node_has_a_pod_of_a_daemon_set(cluster):
    await cluster.create("nodes", {"metadata": {"name": "node"}, "apiVersion": "v1", "kind": "Node"})
    made = deployment("each")
    del made["spec"]["replicas"]
    await cluster.create("daemonsets", made | {"kind": "DaemonSet"}, "apps")

    def serves(status):
        return status.get("numberAvailable") == 1

    assert await settles(cluster, ("daemonsets", "each", "apps"), serves) == {
        "observedGeneration": 1,
        "currentNumberScheduled": 1,
        "desiredNumberScheduled": 1,
        "updatedNumberScheduled": 1,
        "numberAvailable": 1,
        "numberReady": 1,
        "numberMisscheduled": 0,
    }
    (pod,) = await cluster.list("pods", "default")
    assert pod["metadata"]["labels"].keys() == {"app", "controller-revision-hash", "pod-template-generation"}
    required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    field = {"key": "metadata.name", "operator": "In", "values": ["node"]}
    assert required == {"nodeSelectorTerms": [{"matchFields": [field]}]}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"schedule": "every day"}, "expected exactly 5 fields, found 2: [every day]"),
        ({"timeZone": "Mars/Olympus"}, "unknown time zone Mars/Olympus"),
        ({"concurrencyPolicy": "Never"}, 'supported values: "Allow", "Forbid", "Replace"'),
    ],
)
async def test_a_cron_job_that_is_never_due_is_refused(cluster, spec, words):
    spec = {"schedule": "@daily", "jobTemplate": {"spec": job()["spec"]}} | spec
    made = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "a", "namespace": "default"}}
    with pytest.raises(Refused) as caught:
        await cluster.create("cronjobs", made | {"spec": spec}, "batch")
    assert words in str(caught.value)
