"""The settings of a part of the control plane as options: a flag and a variable of the environment each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from isthmus.console.cli.options import F
from isthmus.settings import PREFIX

S = TypeVar("S", bound=msgspec.Struct)
_CLICK_TYPES: dict[type, click.ParamType[Any]] = {
    msgspec.inspect.IntType: click.INT,
    msgspec.inspect.FloatType: click.FLOAT,
    msgspec.inspect.BoolType: click.BOOL,
    msgspec.inspect.StrType: click.STRING,
}


def settings_options(settings: type[msgspec.Struct]) -> Callable[[F], F]:
    """A decorator that gives a command one flag for each field of `settings`."""
    info = msgspec.inspect.type_info(settings)
    if not isinstance(info, msgspec.inspect.StructType):
        raise TypeError(f"{settings.__name__} is no struct")

    def decorate(command: F) -> F:
        for field in reversed(info.fields):
            field_type, help_text = field.type, ""
            if isinstance(field_type, msgspec.inspect.Metadata):
                help_text = (field_type.extra_json_schema or {}).get("description", "")
                field_type = field_type.type
            command = click.option(
                "--" + field.name.replace("_", "-"),
                field.name,
                type=_click_type(field_type),
                default=field.default,
                show_default=True,
                envvar=PREFIX + field.name.upper(),
                show_envvar=True,
                help=help_text,
            )(command)
        return command

    return decorate


def _click_type(field_type: msgspec.inspect.Type) -> click.ParamType[Any]:
    if isinstance(field_type, msgspec.inspect.LiteralType):
        return click.Choice([str(each) for each in field_type.values])
    return _CLICK_TYPES[type(field_type)]


def settings_from(settings: type[S], flags: dict[str, Any]) -> S:
    """The settings that the flags of `settings_options` gave."""
    return settings(**flags)
