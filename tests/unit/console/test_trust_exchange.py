"""Two meshes exchange their roots, and forget them again."""

import pytest

from fakes.pki import named_root
from fakes.rotated_clusters import SYSTEM, FakeCluster, Writes
from isthmus.ca import store
from isthmus.ca.founding import Founding, found
from isthmus.ca.rotation import prints
from isthmus.console.trust_exchange import CannotExchange, Mesh, exchange, revoke, roots_in
from isthmus.kit import x509
from isthmus.kit.spiffe_bundle import InvalidBundle, written

NOW = 1_800_000_000.0


@pytest.fixture
def clusters(tmp_path):
    made = []
    for name in ("a", "b"):
        found(tmp_path / name, Founding(organisation=name), NOW)
        made.append(FakeCluster(name, store.read(tmp_path / name), Writes()))
        made[-1]._put("Pod", SYSTEM, "citadel", {}, {"istio": "citadel", "isthmus.io/citadel": "true"})
        made[-1].trust_domain = f"{name}.example"
    return made


@pytest.fixture
def meshes(clusters):
    return [Mesh(each, SYSTEM) for each in clusters]


async def test_each_gets_the_others_roots_under_the_others_name(clusters, meshes):
    await exchange(*meshes)
    for mine, others in ((0, 1), (1, 0)):
        name = clusters[others].trust_domain
        (domain, text), *more = (await meshes[mine].others()).items()
        assert (domain, more) == (name, [])
        assert roots_in(text) == prints(clusters[others].files[store.ROOT_CERT])
    assert await revoke(*meshes) == ("b.example", "a.example")
    assert [await each.others() for each in meshes] == [{}, {}]
    with pytest.raises(CannotExchange, match=r"neither a\.example nor b\.example believes the other"):
        await revoke(*meshes)


async def test_exchanging_again_brings_new_roots_and_leaves_other_meshes_alone(clusters, meshes, tmp_path):
    text = (await meshes[0].own()).text
    await meshes[0].believe("c.example", text)
    await exchange(*meshes)
    found(tmp_path / "next", Founding(), NOW)
    clusters[1]._put("Secret", SYSTEM, store.SECRET, {})
    clusters[1].__init__("b", store.read(tmp_path / "next"), Writes())
    clusters[1]._put("Pod", SYSTEM, "citadel", {}, {"istio": "citadel", "isthmus.io/citadel": "true"})
    clusters[1].trust_domain = "b.example"
    await exchange(*meshes)
    others = await meshes[0].others()
    assert roots_in(others["b.example"]) == prints((tmp_path / "next" / store.ROOT_CERT).read_bytes())
    assert others["c.example"] == text


async def test_meshes_of_one_name_or_one_root_are_not_exchanged(clusters, meshes):
    clusters[1].trust_domain = "a.example"
    with pytest.raises(CannotExchange, match=r"both meshes are of trust domain a\.example"):
        await exchange(*meshes)
    clusters[1].trust_domain = "b.example"
    clusters[1].objects["ConfigMap", SYSTEM, "istio-ca-root-cert"] = clusters[0].objects[
        "ConfigMap", SYSTEM, "istio-ca-root-cert"
    ]
    with pytest.raises(CannotExchange, match="both meshes trust the same root"):
        await exchange(*meshes)
    assert [await each.others() for each in meshes] == [{}, {}]


async def test_what_cannot_be_believed_is_not_written(meshes):
    own = (await meshes[0].own()).text
    for domain, text, kind in (
        ("b.example", "{}", InvalidBundle),
        ("a.example", own, CannotExchange),
        ("B!", own, CannotExchange),
        ("b.example", written([x509.root(x509.new_key(), "ended", x509.Life(1, 60))]), InvalidBundle),
        (
            "b.example",
            written([named_root("of c", "spiffe://c.example", x509.Life.at(NOW, 60))]),
            InvalidBundle,
        ),
    ):
        with pytest.raises(kind):
            await meshes[0].believe(domain, text)
    with pytest.raises(CannotExchange, match=r"no bundle of b\.example is there"):
        await meshes[0].forget("b.example")
    assert await meshes[0].others() == {}


async def test_a_mesh_without_a_citadel_has_no_bundle(clusters, meshes):
    del clusters[0].objects["Pod", SYSTEM, "citadel"]
    with pytest.raises(CannotExchange, match="no Citadel of https://a says what its trust domain is"):
        await meshes[0].own()
