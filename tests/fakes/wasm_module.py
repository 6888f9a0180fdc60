"""A WebAssembly module, assembled by hand: it adds a header to each answer, and knows nothing else of proxies.

Source: WebAssembly's binary format, core specification 5; the proxy-wasm ABI, version 0.2.1.
"""

from __future__ import annotations

_I32, _FUNCTION = 0x7F, 0x60
_CONST, _CALL, _DROP, _END = b"\x41", b"\x10", b"\x1a", b"\x0b"
_FUNCTION_KIND, _MEMORY_KIND = 0, 2
_RESPONSE_HEADERS = 2
_KEY_AT, _FREE = 16, 1024


def adds_header(key: str, value: str) -> bytes:
    """The module; each of its instances adds the header once to each answer."""
    value_at = _KEY_AT + len(key)
    types = [
        _type([], []),
        _type([_I32], [_I32]),
        _type([_I32] * 2, []),
        _type([_I32] * 3, [_I32]),
        _type([_I32] * 5, [_I32]),
    ]
    imports = [_name("env") + _name("proxy_add_header_map_value") + bytes([_FUNCTION_KIND, 4])]
    arguments = [_RESPONSE_HEADERS, _KEY_AT, len(key), value_at, len(value)]
    add = b"".join(_const(each) for each in arguments) + _CALL + _number(0) + _DROP + _const(0) + _END
    bodies = [_END, _const(_FREE) + _END, _END, add]
    exports = [
        _name("memory") + bytes([_MEMORY_KIND, 0]),
        *(
            _name(each) + bytes([_FUNCTION_KIND, index])
            for each, index in (
                ("proxy_abi_version_0_2_1", 1),
                ("proxy_on_memory_allocate", 2),
                ("proxy_on_context_create", 3),
                ("proxy_on_response_headers", 4),
            )
        ),
    ]
    data = b"\x00" + _const(_KEY_AT) + _END + _bytes((key + value).encode())
    return b"\x00asm\x01\x00\x00\x00" + b"".join(
        (
            _section(1, types),
            _section(2, imports),
            _section(3, [bytes([each]) for each in (0, 1, 2, 3)]),
            _section(5, [b"\x00\x01"]),
            _section(7, exports),
            _section(10, [_bytes(b"\x00" + each) for each in bodies]),
            _section(11, [data]),
        )
    )


def _type(takes: list[int], gives: list[int]) -> bytes:
    return bytes([_FUNCTION]) + _bytes(bytes(takes)) + _bytes(bytes(gives))


def _section(number: int, entries: list[bytes]) -> bytes:
    return bytes([number]) + _bytes(_number(len(entries)) + b"".join(entries))


def _const(value: int) -> bytes:
    return _CONST + _signed(value)


def _name(text: str) -> bytes:
    return _bytes(text.encode())


def _bytes(body: bytes) -> bytes:
    return _number(len(body)) + body


def _number(value: int) -> bytes:
    """LEB128, unsigned."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def _signed(value: int) -> bytes:
    """LEB128, signed, of a number that is not negative."""
    made = bytearray()
    while value > 0x3F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])
