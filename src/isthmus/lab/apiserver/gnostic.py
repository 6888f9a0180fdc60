"""OpenAPI v2 documents in protobuf, as gnostic's messages `openapi.v2.*` have them.

Only the messages and fields that clients of Kubernetes read. The numbers are those of gnostic's
OpenAPIv2.proto; the descriptors live in a pool of their own.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

Json = dict[str, Any]

_PACKAGE = "openapi.v2"
_SCALARS = {
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
}
# Message: (number, name, type; `*` before the type means repeated). All of a `oneof` are in one line.
_MESSAGES: dict[str, tuple[tuple[int, str, str], ...]] = {
    "Any": ((2, "yaml", "string"),),
    "NamedAny": ((1, "name", "string"), (2, "value", "Any")),
    "TypeItem": ((1, "value", "*string"),),
    "ItemsItem": ((1, "schema", "*Schema"),),
    "AdditionalPropertiesItem": ((1, "schema", "Schema"), (2, "boolean", "bool")),
    "NamedSchema": ((1, "name", "string"), (2, "value", "Schema")),
    "Properties": ((1, "additional_properties", "*NamedSchema"),),
    "Definitions": ((1, "additional_properties", "*NamedSchema"),),
    "Schema": (
        (1, "_ref", "string"),
        (2, "format", "string"),
        (3, "title", "string"),
        (4, "description", "string"),
        (5, "default", "Any"),
        (19, "required", "*string"),
        (20, "enum", "*Any"),
        (21, "additional_properties", "AdditionalPropertiesItem"),
        (22, "type", "TypeItem"),
        (23, "items", "ItemsItem"),
        (25, "properties", "Properties"),
        (31, "vendor_extension", "*NamedAny"),
    ),
    "QueryParameterSubSchema": ((2, "in", "string"), (4, "name", "string"), (6, "type", "string")),
    "NonBodyParameter": ((3, "query_parameter_sub_schema", "QueryParameterSubSchema"),),
    "BodyParameter": (
        (2, "name", "string"),
        (3, "in", "string"),
        (4, "required", "bool"),
        (5, "schema", "Schema"),
    ),
    "Parameter": ((1, "body_parameter", "BodyParameter"), (2, "non_body_parameter", "NonBodyParameter")),
    "ParametersItem": ((1, "parameter", "Parameter"),),
    "Operation": (
        (5, "operation_id", "string"),
        (8, "parameters", "*ParametersItem"),
        (13, "vendor_extension", "*NamedAny"),
    ),
    "PathItem": (
        (2, "get", "Operation"),
        (3, "put", "Operation"),
        (4, "post", "Operation"),
        (5, "delete", "Operation"),
        (8, "patch", "Operation"),
    ),
    "NamedPathItem": ((1, "name", "string"), (2, "value", "PathItem")),
    "Paths": ((2, "path", "*NamedPathItem"),),
    "Info": ((1, "title", "string"), (2, "version", "string")),
    "Document": (
        (1, "swagger", "string"),
        (2, "info", "Info"),
        (8, "paths", "Paths"),
        (9, "definitions", "Definitions"),
    ),
}


def encode_document(document: Json) -> bytes:
    """`document`, an OpenAPI v2 document of paths and definitions, as an `openapi.v2.Document`."""
    return _message(
        "Document",
        swagger=document["swagger"],
        info=_message("Info", **document["info"]),
        paths=_message("Paths", path=[_path(name, item) for name, item in document["paths"].items()]),
        definitions=_message("Definitions", additional_properties=_named(document["definitions"])),
    ).SerializeToString(deterministic=True)


def decode_document(data: bytes) -> Message:
    """The `openapi.v2.Document` in `data`; fields that clients do not read stay unknown."""
    return _class("Document").FromString(data)


def _path(name: str, item: Json) -> Message:
    operations = {method: _operation(operation) for method, operation in item.items()}
    return _message("NamedPathItem", name=name, value=_message("PathItem", **operations))


def _operation(operation: Json) -> Message:
    return _message(
        "Operation",
        operation_id=operation["operationId"],
        parameters=[_parameter(each) for each in operation["parameters"]],
        vendor_extension=_extensions(operation),
    )


def _parameter(parameter: Json) -> Message:
    if parameter["in"] == "body":
        fields = {"name": "body", "in": "body", "required": True, "schema": _schema(parameter["schema"])}
        return _message(
            "ParametersItem",
            parameter=_message("Parameter", body_parameter=_message("BodyParameter", **fields)),
        )
    query = _message("QueryParameterSubSchema", **{key: parameter[key] for key in ("in", "name", "type")})
    other = _message("NonBodyParameter", query_parameter_sub_schema=query)
    return _message("ParametersItem", parameter=_message("Parameter", non_body_parameter=other))


def _named(schemas: Json) -> list[Message]:
    return [_message("NamedSchema", name=name, value=_schema(node)) for name, node in schemas.items()]


def _schema(node: Json) -> Message:
    fields: Json = {"vendor_extension": _extensions(node)}
    for key, value in node.items():
        match key:
            case "$ref":
                fields["_ref"] = value
            case "type":
                fields["type"] = _message("TypeItem", value=[value])
            case "format" | "title" | "description" | "required":
                fields[key] = value
            case "default":
                fields[key] = _any(value)
            case "enum":
                fields[key] = [_any(each) for each in value]
            case "items":
                fields[key] = _message("ItemsItem", schema=[_schema(value)])
            case "properties":
                fields[key] = _message("Properties", additional_properties=_named(value))
            case "additionalProperties":
                fields["additional_properties"] = _message("AdditionalPropertiesItem", schema=_schema(value))
    return _message("Schema", **fields)


def _extensions(node: Json) -> list[Message]:
    return [
        _message("NamedAny", name=key, value=_any(value))
        for key, value in node.items()
        if key.startswith("x-")
    ]


def _any(value: object) -> Message:
    """JSON is YAML too, which is what the field must hold."""
    return _message("Any", yaml=msgspec.json.encode(value).decode())


def _message(kind: str, /, **fields: object) -> Message:
    return _class(kind)(**fields)


def _class(name: str) -> type[Message]:
    return _classes()[name]


@cache
def _classes() -> dict[str, type[Message]]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="openapiv2.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind in fields:
            plain = kind.removeprefix("*")
            added = message.field.add(name=field, number=number)
            repeated = kind != plain
            added.label = added.LABEL_REPEATED if repeated else added.LABEL_OPTIONAL
            if plain in _SCALARS:
                added.type = _SCALARS[plain]
            else:
                added.type, added.type_name = added.TYPE_MESSAGE, f".{_PACKAGE}.{plain}"
    return file
