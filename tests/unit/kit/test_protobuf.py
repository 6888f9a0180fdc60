import pytest
from google.protobuf.struct_pb2 import Value

from isthmus.kit.protobuf import field, fields
from isthmus.model.signing import SigningAnswer, SigningRequest


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 1 << 40, -1, -300, b"", b"x", b"y" * 300])
def test_a_field_is_read_as_it_was_written(value: bytes | int):
    assert list(fields(field(1, value) + field(200, value))) == [(1, value), (200, value)]


def test_what_google_writes_is_read():
    number = Value(number_value=1.5).SerializeToString()
    assert [key for key, _ in fields(number + Value(string_value="a").SerializeToString())] == [2, 3]
    assert Value.FromString(field(3, b"text")).string_value == "text"


@pytest.mark.parametrize("body", [b"\x80", b"\x0a\x05ab", b"\x0b", b"\xff" * 12])
def test_a_broken_message_is_refused(body: bytes):
    with pytest.raises(ValueError, match="not a protobuf message"):
        list(fields(body))


def test_a_signing_request_keeps_its_wishes_and_ignores_the_rest():
    request = SigningRequest(b"csr", 3600)
    assert SigningRequest.decode(request.encode()) == request
    assert SigningRequest.decode(field(3, b"") + field(9, 1) + SigningRequest(b"csr").encode()).csr == b"csr"


def test_a_signing_answer_ends_with_the_roots():
    answer = SigningAnswer((b"leaf", b"between"), b"root")
    assert SigningAnswer.decode(answer.encode()) == answer
    with pytest.raises(ValueError, match="expected a chain and a root"):
        SigningAnswer.decode(field(1, b"leaf"))
