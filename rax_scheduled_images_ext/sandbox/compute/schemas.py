"""JSON schemas of the compute API's request bodies."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft4Validator, FormatChecker, ValidationError, validators
from oslo_utils.uuidutils import is_uuid_like

from rax_scheduled_images_ext.sandbox.http.common import HttpError, Microversion

Json = dict[str, Any]

_FORMATS = FormatChecker(formats=())


class _BadName(ValueError):
    """A text is not a valid name of a server or an image."""


@_FORMATS.checks("name", raises=_BadName)
def _is_name(value: object) -> bool:
    if isinstance(value, str) and (value != value.strip() or not value.isprintable()):
        raise _BadName(
            "The name must be: printable characters. Can not start or end with"
            " whitespace."
        )
    return True


@_FORMATS.checks("uuid", raises=ValueError)
def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or is_uuid_like(value)


@_FORMATS.checks("base64", raises=ValueError)
def _is_base64(value: object) -> bool:
    if isinstance(value, str):
        base64.b64decode(value, validate=True)
    return True


def _minimum(
    validator: Any, least: int, instance: Any, schema: Json
) -> Iterator[ValidationError]:
    """Also compare numbers that are written as text."""
    if isinstance(instance, str) and instance.isdecimal():
        instance = int(instance)
    yield from Draft4Validator.VALIDATORS["minimum"](validator, least, instance, schema)


_Validator: Any = validators.extend(  # type: ignore[no-untyped-call]
    Draft4Validator, {"minimum": _minimum}
)

NAME: Json = {"type": "string", "minLength": 1, "maxLength": 255, "format": "name"}
METADATA: Json = {
    "type": "object",
    "patternProperties": {
        "^[a-zA-Z0-9-_:. ]{1,255}$": {"type": "string", "maxLength": 255}
    },
    "additionalProperties": False,
}
TAG: Json = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[^,/]*$"}
TAGS: Json = {"type": "array", "items": TAG, "maxItems": 50}
_TEXT: Json = {"type": ["string", "null"], "maxLength": 255}


def _number(least: int) -> Json:
    """Return the schema of a whole number, which may be written as text."""
    return {
        "type": ["integer", "string"],
        "pattern": "^[0-9]*$",
        "minimum": least,
        "minLength": 1,
    }


def body_of(key: str, **properties: Json) -> Json:
    """Return the schema of a body with one object under a key.

    :param properties: all properties that the object may have; see :func:`needing`.
    """
    return {
        "type": "object",
        "properties": {
            key: {
                "type": "object",
                "properties": properties,
                "additionalProperties": False,
            }
        },
        "required": [key],
    }


def needing(schema: Json, *required: str) -> Json:
    """Return a schema of :func:`body_of` whose object must have these keys."""
    ((key, inner),) = schema["properties"].items()
    return {**schema, "properties": {key: {**inner, "required": list(required)}}}


CREATE_IMAGE = needing(body_of("createImage", name=NAME, metadata=METADATA), "name")
CREATE_BACKUP = needing(
    body_of(
        "createBackup",
        name=NAME,
        backup_type={"type": "string", "maxLength": 255},
        rotation=_number(0),
        metadata=METADATA,
    ),
    *("name", "backup_type", "rotation"),
)
RESET_STATE = needing(
    body_of("os-resetState", state={"enum": ["active", "error"]}), "state"
)
REBOOT = needing(
    body_of("reboot", type={"enum": ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]}),
    "type",
)
CONSOLE: Json = body_of(
    "os-getConsoleOutput",
    length={
        "type": ["integer", "string", "null"],
        "pattern": "^-?[0-9]+$",
        "minimum": -1,
    },
)
SET_METADATA: Json = {
    "type": "object",
    "properties": {"metadata": METADATA},
    "required": ["metadata"],
}
SET_ITEM: Json = {
    "type": "object",
    "properties": {"meta": {**METADATA, "minProperties": 1}},
    "required": ["meta"],
}
SET_TAGS: Json = {
    "type": "object",
    "properties": {"tags": TAGS},
    "required": ["tags"],
    "additionalProperties": False,
}
CREATE_KEYPAIR = needing(
    body_of(
        "keypair",
        name=NAME,
        public_key={"type": "string"},
        type={"enum": ["ssh"]},
        user_id={"type": "string"},
    ),
    *("name", "public_key"),
)
_POLICIES: Json = {
    "enum": ["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"]
}


@cache
def create_server_group(version: Microversion) -> Json:
    """Return the schema of the body that creates a server group."""
    if version >= (2, 64):
        schema = body_of(
            "server_group", name=NAME, policy=_POLICIES, rules={"type": "object"}
        )
        return needing(schema, "name", "policy")
    policies: Json = {"type": "array", "items": _POLICIES, "minItems": 1, "maxItems": 1}
    return needing(
        body_of("server_group", name=NAME, policies=policies), "name", "policies"
    )


LOCK: Json = {
    "type": "object",
    "properties": {
        "lock": {
            "type": ["object", "null"],
            "properties": {
                "locked_reason": {"type": "string", "minLength": 1, "maxLength": 255}
            },
            "additionalProperties": False,
        }
    },
    "required": ["lock"],
}
_NETWORKS: Json = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "uuid": {"type": "string", "format": "uuid"},
            "port": {"type": ["string", "null"], "format": "uuid"},
            "fixed_ip": {"type": "string"},
            "tag": {},
        },
        "anyOf": [{"required": ["uuid"]}, {"required": ["port"]}],
        "additionalProperties": False,
    },
}
_UNCHECKED = (
    "imageRef adminPass OS-DCF:diskConfig accessIPv4 accessIPv6 personality"
    " block_device_mapping key_name return_reservation_id".split()
)


_TRUTH: Json = {"enum": [True, False, "True", "False", "true", "false", "1", "0"]}
USER_DATA: Json = {"type": ["string", "null"], "format": "base64", "maxLength": 65535}
HOSTNAME: Json = {
    "type": "string",
    "minLength": 2,
    "maxLength": 63,
    "pattern": "^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$",
}
_DEVICE: Json = {
    "type": "object",
    "properties": {
        "source_type": {
            "type": "string",
            "enum": "volume image snapshot blank".split(),
        },
        "destination_type": {"type": "string", "enum": ["local", "volume"]},
        **{
            key: {
                "type": "string",
                "minLength": 1,
                "maxLength": 255,
                "pattern": "^[a-zA-Z0-9._-]*$",
            }
            for key in ("uuid", "image_id", "snapshot_id", "volume_id")
        },
        **{
            key: {"type": "string", "maxLength": 255}
            for key in (
                "device_name",
                "device_type",
                "disk_bus",
                "guest_format",
                "virtual_name",
            )
        },
        "boot_index": {
            "type": ["integer", "string", "null"],
            "pattern": "^-?[0-9]+$",
        },
        "volume_size": {**_number(1), "maxLength": 9},
        **dict.fromkeys(("delete_on_termination", "no_device"), _TRUTH),
    },
    "additionalProperties": False,
}


def _device(version: Microversion) -> Json:
    """Return the schema of a block device of a new server."""
    more: Json = {}
    if version >= (2, 42):
        more["tag"] = TAG
    if version >= (2, 67):
        more["volume_type"] = {"type": ["string", "null"], "maxLength": 255}
    return {**_DEVICE, "properties": {**_DEVICE["properties"], **more}}


@cache
def boot(version: Microversion) -> Json:
    """Return the schema of the body that creates a server."""
    properties: Json = {
        "name": NAME,
        "metadata": METADATA,
        "flavorRef": {"type": ["string", "integer"], "minLength": 1},
        "networks": _NETWORKS,
        "security_groups": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": NAME}},
        },
        "config_drive": {"anyOf": [_TRUTH, {"enum": ["", None]}]},
        "user_data": USER_DATA,
        "min_count": _number(1),
        "max_count": _number(1),
        "availability_zone": {"type": "string", "minLength": 1, "maxLength": 255},
        "block_device_mapping_v2": {"type": "array", "items": _device(version)},
        **{key: {} for key in _UNCHECKED},
    }
    required = ["name", "flavorRef"]
    if version >= (2, 19):
        properties["description"] = _TEXT
    if version >= (2, 37):
        properties["networks"] = {"oneOf": [_NETWORKS, {"enum": ["none", "auto"]}]}
        required.append("networks")
    if version >= (2, 52):
        properties["tags"] = TAGS
    if version >= (2, 90):
        properties["hostname"] = HOSTNAME
    return needing(body_of("server", **properties), *required)


@cache
def rebuild(version: Microversion) -> Json:
    """Return the schema of the body that rebuilds a server."""
    properties: Json = {
        "name": NAME,
        "imageRef": {"type": "string", "format": "uuid"},
        "adminPass": {"type": "string"},
        "metadata": METADATA,
        "preserve_ephemeral": _TRUTH,
        **{key: {} for key in ("OS-DCF:diskConfig", "accessIPv4", "accessIPv6")},
    }
    if version >= (2, 19):
        properties["description"] = _TEXT
    if version >= (2, 54):
        properties["key_name"] = {**NAME, "type": ["string", "null"]}
    if version < (2, 57):
        properties["personality"] = {"type": "array"}
    else:
        properties["user_data"] = USER_DATA
    if version >= (2, 63):
        properties["trusted_image_certificates"] = {"type": "null"}
    if version >= (2, 90):
        properties["hostname"] = HOSTNAME
    return needing(body_of("rebuild", **properties), "imageRef")


@cache
def update(version: Microversion) -> Json:
    """Return the schema of the body that updates a server."""
    properties: Json = {
        "name": NAME,
        **{key: {} for key in ("OS-DCF:diskConfig", "accessIPv4", "accessIPv6")},
    }
    if version >= (2, 19):
        properties["description"] = _TEXT
    if version >= (2, 104):
        properties["pinned_availability_zone"] = {**NAME, "type": ["string", "null"]}
    return body_of("server", **properties)


def validate(value: object, schema: Json) -> Any:
    """Return a value if a schema allows it.

    :raises HttpError: 400 in Nova's form, if not.
    """
    try:
        _Validator(schema, format_checker=_FORMATS).validate(value)
    except ValidationError as error:
        raise HttpError(400, _message(error)) from None
    return value


def problem(value: object, schema: Json) -> str | None:
    """Return what is wrong with a value, None if it is valid."""
    validator = _Validator(schema, format_checker=_FORMATS)
    return next((error.message for error in validator.iter_errors(value)), None)


def _message(error: ValidationError) -> str:
    if not error.path:
        return str(error.message)
    field = error.path[-1]
    if isinstance(error.cause, _BadName):
        return f"An invalid '{field}' value was provided. {error.cause}"
    return (
        f"Invalid input for field/attribute {field}. Value: {error.instance}."
        f" {error.message}"
    )
