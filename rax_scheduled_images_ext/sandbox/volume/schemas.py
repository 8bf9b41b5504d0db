"""JSON schemas of the block storage API's request bodies."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_TEXT: Json = {"type": ["string", "null"], "maxLength": 255}
_UUID: Json = {
    "anyOf": [
        {
            "type": "string",
            "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        },
        {"type": "null"},
    ]
}
_METADATA: Json = {
    "type": ["object", "null"],
    "patternProperties": {
        "^[a-zA-Z0-9-_:. ]{1,255}$": {"type": "string", "maxLength": 255}
    },
    "additionalProperties": False,
}
# The metadata that can be changed later.
_LATER: Json = {**_METADATA, "type": "object"}
_SIZE: Json = {
    "type": ["integer", "string", "null"],
    "pattern": "^[0-9]+$",
    "minimum": 1,
}


def _body(key: str, *required: str, **properties: Json) -> Json:
    inner = {"type": "object", "properties": properties, "required": list(required)}
    return {
        "type": "object",
        "properties": {key: inner},
        "required": [key],
        "additionalProperties": False,
    }


CREATE_VOLUME = _body(
    "volume",
    name=_TEXT,
    description=_TEXT,
    metadata=_METADATA,
    size=_SIZE,
    snapshot_id=_UUID,
    source_volid=_UUID,
    imageRef=_TEXT,
    image_id=_TEXT,
    availability_zone=_TEXT,
    volume_type=_TEXT,
)
CREATE_SNAPSHOT = _body(
    "snapshot",
    "volume_id",
    name=_TEXT,
    description=_TEXT,
    metadata=_METADATA,
    volume_id=_UUID,
    force={
        "enum": [True, False, 0, 1, "True", "False", "true", "false", "0", "1", None]
    },
)
SET_METADATA: Json = {
    "type": "object",
    "properties": {"metadata": _LATER},
    "required": ["metadata"],
}
SET_ITEM: Json = {
    "type": "object",
    "properties": {"meta": {**_LATER, "minProperties": 1, "maxProperties": 1}},
    "required": ["meta"],
}
