"""Bookinfo's databases: real servers and clients of MySQL's and MongoDB's protocols, through both sidecars."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from e2e.calls import Request, call
from e2e.workloads import logged, needs, printed, sample, workloads
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage

Json = dict[str, Any]
Rules = Callable[..., Awaitable[None]]
MYSQL = ("mariadbd", "sudo apt-get install --no-install-recommends mariadb-server-core")
REDIS = ("redis-server", "sudo apt-get install redis-tools, then run tools/databases")
FERRET = ("ferretdb", "install Go, then run tools/databases")
HERE, THERE, OUTSIDE = (5, 4), (2, 1), (3, 3)
"""The stars in the database of each place."""


def with_stars(objects: list[Json], stars: str) -> list[Json]:
    """The objects, with other ratings in their database."""
    made = copy.deepcopy(objects)
    container = made[-1]["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [
        *(each for each in container.get("env", ()) if each["name"] != "RATINGS"),
        {"name": "RATINGS", "value": stars},
    ]
    return made


async def stars(stage: Stage, times: int = 1) -> Counter[tuple[int, ...]]:
    """The stars that ratings gave, each time on a new connection to its database."""
    answers = await call(stage, Request(host="ratings", path="/ratings/0"), times)
    return Counter(
        tuple(json.loads(each.body)["ratings"].values()) if each.status == 200 else (each.status,)
        for each in answers
    )


async def comes(stage: Stage, *wanted: tuple[int, ...]) -> bool:
    """Whether, soon, ten times in a row nothing but `wanted` comes."""

    async def held() -> bool:
        return set(await stars(stage, 10)) <= {*wanted}

    return await stage.until(held, 30)


@pytest.fixture(scope="module")
def mysql(built: Stage) -> Iterator[Stage]:
    """Ratings v2-mysql in the public cluster, and a MariaDB in each."""
    needs(*MYSQL)
    public = [*sample("kube/mysqldb"), *sample("kube/ratings-v2-mysql")]
    with workloads(built, {PUBLIC: public, PRIVATE: sample("kube/mysqldb-v2")}) as stage:
        yield stage


async def test_stars_come_out_of_mysql_in_either_cluster_by_weight(
    mysql: Stage, stage: Stage, rules: Rules
) -> None:
    await rules(*_from_mysql(100, 0))
    assert await comes(stage, HERE)
    await rules(*_from_mysql(0, 100))
    assert await comes(stage, THERE), "the database in the other cluster"
    assert await logged(stage, PRIVATE, "mysqldb-v2", "inbound|3306||", ".v2_.mysqldb.default."), "mutual TLS"
    await rules(*_from_mysql(80, 20))
    assert await comes(stage, HERE, THERE)
    found = await stars(stage, 100)
    assert {*found} == {HERE, THERE}
    assert 4 <= found[THERE] <= 42  # 20 expected; further off than once in a hundred thousand times


def _from_mysql(*weights: int) -> list[Json]:
    """The rules by which stars come out of MySQL, by these weights from each cluster's."""
    shared = sample("networking/virtual-service-mysqldb-80-20")
    for destination, weight in zip(shared[-1]["spec"]["tcp"][0]["route"], weights, strict=True):
        destination["weight"] = weight
    return [
        *sample("networking/destination-rule-databases"),
        *sample("networking/virtual-service-ratings-mysql"),
        *shared,
    ]


async def test_a_database_that_is_gone_is_an_error_and_its_return_is_seen(
    mysql: Stage, stage: Stage, rules: Rules
) -> None:
    await rules(*_from_mysql(0, 100))
    assert await comes(stage, THERE)
    private = stage.kubectl(PRIVATE)
    await private.run("scale", "deployment/mysqldb-v2", "--replicas=0")
    try:
        assert await comes(stage, (500,))
    finally:
        await private.run("scale", "deployment/mysqldb-v2", "--replicas=1")
    assert await comes(stage, THERE)


@pytest.fixture(scope="module")
def mysql_outside(built: Stage) -> Iterator[Stage]:
    """Ratings v2-mysql-vm, and a MariaDB on a machine that no Service and no sidecar knows."""
    needs(*MYSQL)
    secret, _, machine = with_stars(sample("kube/mysqldb"), "3,3")
    machine["metadata"]["name"] = "machine"
    labels = {"app": "machine", "sidecar.istio.io/inject": "false"}
    machine["spec"]["selector"]["matchLabels"] = {"app": "machine"}
    machine["spec"]["template"]["metadata"]["labels"] = labels
    ratings = [secret, *sample("kube/ratings-v2-mysql-vm")]
    with workloads(built, {PRIVATE: [secret, machine], PUBLIC: ratings}) as stage:
        yield stage


async def test_stars_come_out_of_a_mysql_outside_all_clusters(
    mysql_outside: Stage, stage: Stage, rules: Rules
) -> None:
    pods: Any = await stage.kubectl(PRIVATE).json("get", "pods", "-l", "app=machine")
    entry, machine = sample("networking/service-entry-mysqldb-vm")
    machine["spec"]["address"] = pods["items"][0]["status"]["podIP"]
    await rules(
        entry,
        machine,
        *sample("networking/destination-rule-databases"),
        *sample("networking/virtual-service-ratings-mysql-vm"),
    )
    assert await comes(stage, OUTSIDE)
    upstream = "outbound|3306||mysqldb.vm.example"
    assert await logged(stage, PUBLIC, "ratings-v2-mysql-vm", upstream, machine["spec"]["address"])


@pytest.fixture(scope="module")
def mongodb(built: Stage) -> Iterator[Stage]:
    """Ratings v2 in the public cluster, its database in the private one."""
    needs(*FERRET)
    service, database = with_stars(sample("kube/mongodb"), "2,1")
    public = [service, *sample("kube/ratings-v2")]
    with workloads(built, {PUBLIC: public, PRIVATE: [service, database]}) as stage:
        yield stage


async def test_stars_come_out_of_mongodb_in_the_other_cluster(
    mongodb: Stage, stage: Stage, rules: Rules
) -> None:
    await rules(
        *sample("networking/destination-rule-databases"), *sample("networking/virtual-service-ratings-db")
    )
    assert await comes(stage, THERE)
    assert await logged(stage, PRIVATE, "mongodb-v1", "inbound|27017||", "_.mongodb.default."), "mutual TLS"
    page = await stage.visitor.visit()
    assert page.complete


ASK_REDIS = """
import redis
with redis.Redis(host="redis", socket_timeout=5) as client:
    client.set("stars", "2,1")
    pipe = client.pipeline()
    for number in range(100):
        pipe.incr("asked")
    print(client.get("stars").decode(), pipe.execute()[-1], len(client.echo(b"x" * 100_000)))
"""


def redis_objects() -> list[Json]:
    """Redis, as its public image runs, and its service, whose port says what is spoken."""
    meta, labels = {"name": "redis", "namespace": "default"}, {"app": "redis"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "redis", "image": "docker.io/library/redis:7"}]},
    }
    ports = [{"name": "redis", "port": 6379}]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": labels, "ports": ports},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        },
    ]


@pytest.fixture(scope="module")
def redis(built: Stage) -> Iterator[Stage]:
    """Redis in the private cluster, its name in both."""
    needs(*REDIS)
    service, server = redis_objects()
    with workloads(built, {PUBLIC: [service], PRIVATE: [service, server]}) as stage:
        yield stage


async def test_redis_answers_from_the_other_cluster(redis: Stage, stage: Stage) -> None:
    async def answered() -> bool:
        try:
            said = await printed(stage, PUBLIC, "app=productpage", "python3", "-c", ASK_REDIS)
        except AssertionError:  # not there yet
            return False
        first, asked, echoed = said.split()
        return (first, int(asked) % 100, echoed) == ("2,1", 0, "100000")

    assert await stage.until(answered, 30)
    assert await logged(stage, PRIVATE, "redis", "inbound|6379||", "_.redis.default."), "mutual TLS"
