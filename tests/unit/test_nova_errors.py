"""Errors of this package as novaclient's own."""

from __future__ import annotations

from typing import Any

import pytest
from novaclient import exceptions

from rax_scheduled_images_ext import errors
from rax_scheduled_images_ext.cli.nova.command import label
from rax_scheduled_images_ext.client.novaclient import for_novaclient
from rax_scheduled_images_ext.errors import InvalidValue

pytestmark = pytest.mark.novaclient


@pytest.mark.parametrize(
    ("error", "theirs"),
    [
        (errors.ApiError(400, "no"), exceptions.BadRequest),
        (errors.ApiError(403, "no"), exceptions.Forbidden),
        (errors.ApiError(409, "no"), exceptions.Conflict),
        (errors.ApiError(418, "no"), exceptions.ClientException),
        (errors.ApiError(429, "no"), exceptions.RateLimit),
        (errors.ApiError(500, "no"), exceptions.ClientException),
        (errors.NoSchedule("id"), exceptions.NotFound),
        (errors.NoSuchServer("id"), exceptions.NotFound),
        (errors.NoSuchImage("id"), exceptions.NotFound),
        (errors.NotOffered("alias"), exceptions.NotFound),
        (errors.NoMatch("server", "x"), exceptions.CommandError),
        (errors.ImageProtected("id"), exceptions.CommandError),
    ],
)
def test_programs_catch_either(error: Any, theirs: type[Exception]) -> None:
    own, text, data = type(error), str(error), dict(vars(error))
    same = for_novaclient(error)
    assert same is error
    assert isinstance(same, own)
    assert isinstance(same, theirs)
    assert str(same) == text
    data.pop("retry_after", None)
    assert data.items() <= vars(same).items()
    assert label(same) == theirs.__name__
    # Said twice it is the same.
    assert type(for_novaclient(same)) is type(same)


def test_what_novaclient_tells_of_an_error_is_there() -> None:
    error: Any = for_novaclient(
        errors.ApiError(
            413,
            "slowly",
            request_id="req-1",
            method="GET",
            path="/servers",
            retry_after="7",
        )
    )
    assert isinstance(error, exceptions.OverLimit)
    assert (error.code, error.message, error.request_id) == (413, "slowly", "req-1")
    assert (error.method, error.url, error.retry_after) == ("GET", "/servers", 7)
    assert str(error) == "slowly (HTTP 413) (Request-ID: req-1)"


@pytest.mark.parametrize(
    "error", [InvalidValue("x"), errors.ServerBusy("x"), KeyError("x")]
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    kind = type(error)
    assert type(for_novaclient(error)) is kind
