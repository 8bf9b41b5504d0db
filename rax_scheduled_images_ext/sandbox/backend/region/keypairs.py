"""The key pairs of a region's users; only their public keys are kept."""

from __future__ import annotations

import base64
import binascii
import hashlib

from rax_scheduled_images_ext.sandbox.backend.models import (
    Conflict,
    Invalid,
    KeyPair,
    NotFound,
)
from rax_scheduled_images_ext.sandbox.backend.region.base import Part


class KeyPairs(Part):
    """Listing, importing and deleting key pairs, each by its user's own name of it."""

    def list(self, user_id: str) -> list[KeyPair]:
        """Return those of a user, in the order of names."""
        rows = self._store.all(
            "SELECT serial, user_id, name, public_key, fingerprint, created"
            " FROM keypairs WHERE region = ? AND user_id = ? ORDER BY name",
            *(self.name, user_id),
        )
        return [KeyPair(*row) for row in rows]

    def get(self, user_id: str, name: str) -> KeyPair:
        """Return one.

        :raises NotFound: where the user has no such.
        """
        for pair in self.list(user_id):
            if pair.name == name:
                return pair
        raise NotFound(f"Keypair {name} not found for user {user_id}")

    def add(self, user_id: str, name: str, public_key: str) -> KeyPair:
        """Import one.

        :raises Conflict: where the user has one of this name.
        :raises Invalid: for what is no public key.
        """
        if any(pair.name == name for pair in self.list(user_id)):
            raise Conflict(f"Key pair '{name}' already exists.")
        row: dict[str, object] = {
            "region": self.name,
            "user_id": user_id,
            "name": name,
            "public_key": public_key,
            "fingerprint": _fingerprint(public_key),
            "created": self._cloud.now,
        }
        self._store.insert("keypairs", [row])
        return self.get(user_id, name)

    def delete(self, user_id: str, name: str) -> None:
        """Delete one; servers keep its name.

        :raises NotFound: where the user has no such.
        """
        self._store.run(
            "DELETE FROM keypairs WHERE serial = ?", self.get(user_id, name).serial
        )


def _fingerprint(public_key: str) -> str:
    words = public_key.split()
    try:
        key = base64.b64decode(words[1], validate=True)
    except (IndexError, binascii.Error):
        raise Invalid(
            "Keypair data is invalid: failed to generate fingerprint"
        ) from None
    digest = hashlib.md5(key, usedforsecurity=False).hexdigest()
    return ":".join(digest[n : n + 2] for n in range(0, 32, 2))
