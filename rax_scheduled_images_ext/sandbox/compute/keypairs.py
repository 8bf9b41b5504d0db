"""Key pairs of the compute API, separate for each user."""

from __future__ import annotations

from typing import Any

from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.backend.models import KeyPair
from rax_scheduled_images_ext.sandbox.compute import inputs, schemas
from rax_scheduled_images_ext.sandbox.http.common import Call, HttpError, microtime

Json = dict[str, Any]


def index(call: Call) -> ResponseReturnValue:
    """GET /os-keypairs"""
    pairs, links = call.region.keypairs.list(call.user_id), {}
    if call.version >= (2, 35):
        size = inputs.page_size(call)
        names = [pair.name for pair in pairs]
        marker = inputs.given("marker")
        if marker is not None and marker not in names:
            raise HttpError(400, f"Marker {marker} could not be found.")
        first = 0 if marker is None else names.index(marker) + 1
        pairs = pairs[first : first + size]
        listed = (pair.name for pair in pairs)
        key = "keypairs_links"
        links = inputs.next_link(call, "os-keypairs", listed, size, key)
    return {"keypairs": [{"keypair": _view(call, pair)} for pair in pairs], **links}


def show(call: Call, name: str) -> ResponseReturnValue:
    """GET /os-keypairs/{name}"""
    pair = call.region.keypairs.get(call.user_id, name)
    more = {
        "user_id": pair.user_id,
        "created_at": microtime(pair.created),
        "deleted": False,
        "deleted_at": None,
        "id": pair.serial,
        "updated_at": None,
    }
    return {"keypair": _view(call, pair) | more}


def create(call: Call) -> ResponseReturnValue:
    """POST /os-keypairs; accepts a public key, but never generates a key pair."""
    wanted = inputs.body(schemas.CREATE_KEYPAIR)["keypair"]
    pair = call.region.keypairs.add(call.user_id, wanted["name"], wanted["public_key"])
    view = _view(call, pair) | {"user_id": pair.user_id}
    return {"keypair": view}, 200 if call.version < (2, 2) else 201


def delete(call: Call, name: str) -> ResponseReturnValue:
    """DELETE /os-keypairs/{name}"""
    call.region.keypairs.delete(call.user_id, name)
    return inputs.nothing(202 if call.version < (2, 2) else 204)


def _view(call: Call, pair: KeyPair) -> Json:
    view: Json = {
        "name": pair.name,
        "public_key": pair.public_key,
        "fingerprint": pair.fingerprint,
    }
    return view | {"type": "ssh"} if call.version >= (2, 2) else view
