from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509 as lib
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import NameOID

from isthmus.ca import founding, store
from isthmus.ca.founding import CannotFound, Founding
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
    material = store.verify(store.read(tmp_path), NOW)
    assert x509.names(material.chain[0]).common_name == "Isthmus CA"
    assert material.chain[-1] in material.roots


def test_clusters_have_intermediates_of_one_root(tmp_path: Path):
    founding.found(tmp_path, Founding(clusters=("gke", "onprem")), NOW)
    gke, onprem = (
        store.verify(store.read(tmp_path / "gke"), NOW),
        store.verify(store.read(tmp_path / "onprem"), NOW),
    )
    assert gke.roots == onprem.roots
    assert gke.chain[0] != onprem.chain[0]
    assert not (tmp_path / "gke" / founding.ROOT_KEY).exists()


def test_a_cluster_can_be_added_later_under_the_same_root(tmp_path: Path):
    founding.found(tmp_path, Founding(clusters=("gke",)), NOW)
    founding.found(tmp_path, Founding(clusters=("onprem",)), NOW + 1000)
    assert (
        store.verify(store.read(tmp_path / "gke"), NOW).roots
        == store.verify(store.read(tmp_path / "onprem"), NOW + 1000).roots
    )


def test_nothing_is_overwritten(tmp_path: Path):
    founding.found(tmp_path, Founding(clusters=("gke",)), NOW)
    before = store.read(tmp_path / "gke")
    with pytest.raises(CannotFound, match="exists"):
        founding.found(tmp_path, Founding(clusters=("onprem", "gke")), NOW)
    assert store.read(tmp_path / "gke") == before
    assert not (tmp_path / "onprem").exists()


def test_keys_are_for_their_owner_only(tmp_path: Path):
    founding.found(tmp_path, Founding(), NOW)
    for name in (CA_KEY, founding.ROOT_KEY):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


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


def plugged_in(
    ca_span: x509.Life, root_span: x509.Life, key: x509.PrivateKey | None = None
) -> dict[str, bytes]:
    """Files of a CA `CA` between which and `Root` there is `Between`."""
    root_key, between_key, key = x509.new_key(), x509.new_key(), key or x509.new_key()
    root = x509.root(root_key, "Root", root_span)
    between = _signed(between_key, "Between", x509.Issuer(root, root_key), ca_span)
    own = x509.intermediate(x509.Issuer(between, between_key), key.public_key(), "CA", ca_span)
    return {
        CA_CERT: x509.bundle_pem([own]),
        CA_KEY: x509.key_pem(key),
        ROOT_CERT: x509.bundle_pem([root]),
        CERT_CHAIN: x509.bundle_pem([own, between, root]),
    }


def _signed(key: x509.PrivateKey, name: str, above: x509.Issuer, span: x509.Life) -> x509.Certificate:
    """A CA below `above` which may have CAs below it, as users' own tools make them."""
    begin, end = (datetime.fromtimestamp(seconds, UTC) for seconds in span)
    return (
        lib.CertificateBuilder()
        .subject_name(lib.Name([lib.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(above.certificate.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(lib.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(above.key, hashes.SHA256())
    )


YEAR = x509.Life.at(NOW, 365 * 86_400)
HOUR = x509.Life.at(NOW, 3600)


def test_a_chain_in_any_order_is_put_right():
    files = plugged_in(YEAR, YEAR)
    upside_down = x509.bundle_pem(reversed(x509.load_bundle(files[CERT_CHAIN])))
    chain = store.verify(files | {CERT_CHAIN: upside_down}, NOW).chain
    assert [x509.names(each).common_name for each in chain] == ["CA", "Between", "Root"]


def test_an_expired_root_is_named_with_its_key_in_the_secret():
    with pytest.raises(
        InvalidStore, match=r"secret cacerts, key root-cert\.pem: 'Root' ended at .*hint: put"
    ):
        store.verify(plugged_in(YEAR, HOUR), NOW + 7200)


def test_half_a_chain_is_named_with_what_lacks():
    files = plugged_in(YEAR, YEAR)
    half = x509.bundle_pem(x509.load_bundle(files[CERT_CHAIN])[2:])
    with pytest.raises(
        InvalidStore, match=r"key cert-chain\.pem: 'CA' is signed by 'Between', which is not th"
    ):
        store.verify(files | {CERT_CHAIN: half}, NOW)


def test_a_weak_ca_is_refused():
    weak = rsa.generate_private_key(65537, 1024)
    with pytest.raises(InvalidStore, match=r"key ca-cert\.pem: has a weak key \(hint: make it anew with EC"):
        store.verify(plugged_in(YEAR, YEAR, weak), NOW)


def test_a_key_of_a_kind_that_cannot_be_used_is_named():
    files = plugged_in(YEAR, YEAR)
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(InvalidStore, match=r"key ca-key\.pem: .*use an EC or RSA key"):
        store.verify(files | {CA_KEY: other}, NOW)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / CA_CERT).mkdir()
    with pytest.raises(InvalidStore, match=r"key ca-cert\.pem: Is a directory"):
        store.read(tmp_path)


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "A", "."])
def test_a_name_that_would_leave_the_directory_is_refused(tmp_path: Path, name: str):
    with pytest.raises(CannotFound, match="not a cluster's name"):
        founding.found(tmp_path / "ca", Founding(clusters=(name,)), NOW)
    assert not (tmp_path / "ca").exists()


def test_a_root_that_has_ended_founds_nothing_more(tmp_path: Path):
    founding.found(tmp_path, Founding(clusters=("gke",), root_life_s=100), NOW)
    with pytest.raises(
        CannotFound, match=r"root-cert\.pem: 'Isthmus Root CA' ended at .*hint: found a new root"
    ):
        founding.found(tmp_path, Founding(clusters=("onprem",)), NOW + 200)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "gke").write_text("")
    with pytest.raises(CannotFound, match="gke: File exists"):
        founding.found(tmp_path, Founding(clusters=("gke",)), NOW)


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


def test_a_root_that_allows_no_ca_below_it_has_none():
    # Peers would refuse every certificate of such a CA: its own is the one that is too many.
    root_key, key = x509.new_key(), x509.new_key()
    span = x509.Life.at(NOW, 3600)
    strict = x509.intermediate(
        x509.Issuer(x509.root(root_key, "Root", span), root_key), root_key.public_key(), "Root", span
    )
    own = x509.intermediate(x509.Issuer(strict, root_key), key.public_key(), "CA", span)
    pems = {CA_CERT: own, ROOT_CERT: strict}
    files = {name: x509.bundle_pem([each]) for name, each in pems.items()}
    with pytest.raises(InvalidStore, match="'Root' allows 0 CAs below it, not 1"):
        store.verify(files | {CA_KEY: x509.key_pem(key)}, NOW)
