"""What an image says of its server."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rax_scheduled_images_ext.model.image import FACTS_KEY, ServerImage
from rax_scheduled_images_ext.model.server import (
    MOST_BYTES,
    SIZES,
    ServerFacts,
    facts_metadata,
    facts_of,
)

IMAGE = ServerImage("image-1", "Daily-web-1", "ACTIVE", server_id="mine", owner="ours")
names = st.text(max_size=255)
ids = st.lists(st.uuids().map(str), max_size=60).map(tuple)
servers = st.builds(
    ServerFacts,
    st.just("mine"),
    names,
    flavor_id=st.none() | st.text(min_size=1, max_size=36),
    flavor_name=st.none() | names.filter(bool),
    sizes=st.dictionaries(st.sampled_from(SIZES), st.integers(0, 2**31)),
    networks=st.none() | ids,
    groups=st.none() | st.lists(names.filter(bool), max_size=30).map(tuple),
    key_name=st.none() | names.filter(bool),
    zone=st.none() | names.filter(bool),
    config_drive=st.booleans(),
    volumes=ids,
    metadata=st.dictionaries(names, names).map(lambda more: {**more, "secret": "word"}),
    description=st.just("secret"),
)


@given(servers)
def test_it_is_short_and_holds_no_secret(server: ServerFacts) -> None:
    written = facts_metadata(IMAGE, server, "RegionOne")[FACTS_KEY]
    assert len(written.encode()) <= MOST_BYTES
    assert written.isascii()
    assert written.startswith('{"image":"image-1"')
    assert json.loads(written)["region"] == "RegionOne"
    assert "secret" not in json.loads(written)


@given(servers)
def test_what_was_written_is_read(server: ServerFacts) -> None:
    found = facts_of(marked(server))
    assert found is not None
    assert server.name.startswith(found.name)
    assert found.id == "mine"
    flavor = (found.flavor_id, found.flavor_name, found.sizes)
    known = (server.flavor_id, server.flavor_name, server.sizes)
    assert flavor in (known, (None, None, {}))
    assert found.config_drive == server.config_drive
    assert found.networks in (None, server.networks)
    assert (found.metadata, found.description) == ({}, None)


@given(servers, st.none() | names.filter(bool))
def test_metadata_and_description_only_if_asked_for(
    server: ServerFacts, description: str | None
) -> None:
    """Both are whole, or left out."""
    server = replace(server, description=description)
    written = facts_metadata(IMAGE, server, "RegionOne", private=True)[FACTS_KEY]
    assert len(written.encode()) <= MOST_BYTES
    found = facts_of(with_facts(IMAGE, written))
    assert found is not None
    assert found.metadata in ({}, server.metadata)
    assert found.description in (None, server.description)


@given(servers, st.integers(0, 255))
def test_a_copy_of_it_says_nothing(server: ServerFacts, length: int) -> None:
    """Nova hands it on to snapshots of other servers, cut to 255 characters."""
    written = facts_metadata(IMAGE, server, None)[FACTS_KEY]
    for text in (written, written[:length]):
        copy = ServerImage("image-2", "", "ACTIVE", server_id="x")
        assert facts_of(with_facts(copy, text)) is None


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_what_anybody_writes_is_no_trouble(text: str) -> None:
    assert facts_of(with_facts(IMAGE, text)) is None


def marked(server: ServerFacts) -> ServerImage:
    return with_facts(IMAGE, facts_metadata(IMAGE, server, None)[FACTS_KEY])


def with_facts(image: ServerImage, text: str) -> ServerImage:
    return ServerImage(
        image.id,
        image.name,
        image.status,
        server_id=image.server_id,
        owner=image.owner,
        metadata={FACTS_KEY: text},
    )


def test_the_first_ones_name_the_id_of_the_flavor_alone() -> None:
    text = json.dumps({"image": "image-1", "flavor": "2"})
    found = facts_of(replace(IMAGE, metadata={FACTS_KEY: text}))
    assert found is not None
    assert (found.flavor_id, found.flavor_name) == ("2", None)
