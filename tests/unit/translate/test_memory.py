import gc

from fakes.bookinfo import BOOKINFO, DESTINATION_RULE, VIRTUAL_SERVICE, objects, service
from fakes.translation import Translation
from isthmus.kit.memo import Memo
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.scope import View
from isthmus.translate.memory import Memory
from isthmus.translate.transition import ConfigIndex
from isthmus.translate.types import TYPES


def test_what_was_made_from_objects_is_forgotten_by_what_is_new_and_not_by_time():
    memo = Memo()
    memory = Memory(of_objects=(memo,), of_views=(), of_meshes=())
    memo.get((), "kept", lambda: 1)
    for _ in range(100):
        memory.settle(other_views=True)
    assert memo.get((), "kept", lambda: 2) == 1
    for number in range(20_000):
        memo.get((), number, lambda: 0)
        memory.settle(other_views=False)
    assert len(memo) < 20_000
    assert memo.get((), "kept", lambda: 2) == 2


def test_what_was_made_from_a_view_is_forgotten_when_there_have_been_two_others():
    memo = Memo()
    memory = Memory(of_objects=(), of_views=(memo,), of_meshes=())
    memo.get((), "kept", lambda: 1)
    memory.settle(other_views=False)
    memory.settle(other_views=True)
    assert len(memo) == 1
    memory.settle(other_views=True)
    assert len(memo) == 0


def alive(kind):
    gc.collect()
    return sum(isinstance(each, kind) for each in gc.get_objects())


def test_views_and_indices_that_are_of_no_use_any_more_are_held_by_nobody():
    proxies = [
        Proxy(kind=kind, address="10.10.9.9", name=kind.value, namespace=namespace, cluster=ClusterId("gke"))
        for kind in ProxyKind
        for namespace in ("default", "other")
    ]
    views, indices = alive(View), alive(ConfigIndex)
    mesh = Translation(*objects(gke=BOOKINFO["gke"]))
    for number in range(20):
        changed = service("ratings", f"10.110.1.{number}")
        for text in (VIRTUAL_SERVICE, DESTINATION_RULE, changed):
            generation = mesh.take(*objects(gke=[text.replace("v3", f"v{number}")]))
            for proxy in proxies:
                for type_url in TYPES:
                    list(generation.resources(proxy, type_url, generation.touched(proxy, type_url)))
    assert alive(View) - views <= 3 * len(proxies)
    assert alive(ConfigIndex) - indices <= 3
