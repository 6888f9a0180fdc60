import base64
from pathlib import Path

import pytest

from isthmus.ca import founding, store
from isthmus.ca.founding import Founding
from isthmus.ca.store import CA_CERT, CA_KEY, CERT_CHAIN, ROOT_CERT, InvalidStore
from isthmus.kit import x509

NOW = 1_800_000_000.0


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    founding.found(tmp_path / "ca", Founding(), NOW)
    return store.read(tmp_path / "ca")


def other_files(tmp_path: Path) -> dict[str, bytes]:
    founding.found(tmp_path / "other", Founding(), NOW)
    return store.read(tmp_path / "other")


def test_what_init_makes_can_be_loaded(tmp_path: Path):
    made = founding.found(tmp_path, Founding(), NOW)
    assert sorted(path.name for path in made) == sorted([*store.FILES, founding.ROOT_KEY])
    material = store.load(tmp_path, NOW)
    assert x509.names(material.chain[0]).common_name == "Isthmus CA"
    assert material.chain[-1] in material.roots


def test_clusters_have_intermediates_of_one_root(tmp_path: Path):
    founding.found(tmp_path, Founding(clusters=("gke", "onprem")), NOW)
    gke, onprem = store.load(tmp_path / "gke", NOW), store.load(tmp_path / "onprem", NOW)
    assert gke.roots == onprem.roots
    assert gke.chain[0] != onprem.chain[0]
    assert not (tmp_path / "gke" / founding.ROOT_KEY).exists()


def test_a_cluster_can_be_added_later_under_the_same_root(tmp_path: Path):
    founding.found(tmp_path, Founding(clusters=("gke",)), NOW)
    founding.found(tmp_path, Founding(clusters=("onprem",)), NOW + 1000)
    assert store.load(tmp_path / "gke", NOW).roots == store.load(tmp_path / "onprem", NOW + 1000).roots


def test_nothing_is_overwritten(tmp_path: Path):
    founding.found(tmp_path, Founding(clusters=("gke",)), NOW)
    before = store.read(tmp_path / "gke")
    with pytest.raises(InvalidStore, match="exists"):
        founding.found(tmp_path, Founding(clusters=("onprem", "gke")), NOW)
    assert store.read(tmp_path / "gke") == before
    assert not (tmp_path / "onprem").exists()


def test_keys_are_for_their_owner_only(tmp_path: Path):
    founding.found(tmp_path, Founding(), NOW)
    for name in (CA_KEY, founding.ROOT_KEY):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_the_data_of_a_secret_is_read(files: dict[str, bytes]):
    data = {name: base64.b64encode(content).decode() for name, content in files.items()}
    assert store.from_secret(data, NOW).chain == store.verify(files, NOW).chain
    with pytest.raises(InvalidStore, match=r"ca-key\.pem: not base64"):
        store.from_secret(data | {CA_KEY: "?"}, NOW)


@pytest.mark.parametrize("name", [CA_CERT, CA_KEY, ROOT_CERT])
def test_a_missing_file_is_named(files: dict[str, bytes], name: str):
    del files[name]
    with pytest.raises(InvalidStore, match="is missing") as raised:
        store.verify(files, NOW)
    assert raised.value.file == name


@pytest.mark.parametrize("name", store.FILES)
def test_a_file_that_is_no_pem_is_named(files: dict[str, bytes], name: str):
    with pytest.raises(InvalidStore) as raised:
        store.verify(files | {name: b"hello"}, NOW)
    assert raised.value.file == name
    assert "hint" in str(raised.value)


def test_a_key_of_another_ca_is_found_out(files: dict[str, bytes], tmp_path: Path):
    with pytest.raises(InvalidStore, match=r"ca-key\.pem: is not the key of ca-cert\.pem"):
        store.verify(files | {CA_KEY: other_files(tmp_path)[CA_KEY]}, NOW)


def test_a_chain_that_does_not_lead_to_the_root_is_found_out(files: dict[str, bytes], tmp_path: Path):
    with pytest.raises(InvalidStore, match=r"cert-chain\.pem: .*'Isthmus Root CA'"):
        store.verify(files | {ROOT_CERT: other_files(tmp_path)[ROOT_CERT]}, NOW)


def test_an_expired_ca_is_found_out(files: dict[str, bytes]):
    with pytest.raises(InvalidStore, match=r"ca-cert\.pem: 'Isthmus CA' ended at"):
        store.verify(files, NOW + 20 * 365 * 86_400)


def test_a_certificate_that_cannot_sign_is_found_out():
    root_key, key = x509.new_key(), x509.new_key()
    span = x509.Life.at(NOW, 1000)
    root = x509.root(root_key, "Root", span)
    leaf = x509.leaf(x509.Issuer(root, root_key), key.public_key(), x509.Names(common_name="x"), span)
    wrong = {
        CA_CERT: x509.bundle_pem([leaf]),
        CA_KEY: x509.key_pem(key),
        ROOT_CERT: x509.bundle_pem([root]),
    }
    with pytest.raises(InvalidStore, match="is not a CA and cannot sign"):
        store.verify(wrong, NOW)


def test_a_self_signed_root_needs_no_chain():
    key = x509.new_key()
    root = x509.root(key, "Root", x509.Life.at(NOW, 1000))
    pem = x509.bundle_pem([root])
    material = store.verify({CA_CERT: pem, CA_KEY: x509.key_pem(key), ROOT_CERT: pem, CERT_CHAIN: b""}, NOW)
    assert material.chain == material.roots == (root,)


def test_neither_material_nor_its_printing_shows_the_key(files: dict[str, bytes]):
    assert repr(store.verify(files, NOW)) == "Material('Isthmus CA')"
