"""Which scenarios a cloud cannot be asked, by what it lacks.

The list is exact: a test fails where a scenario is skipped that does not stand here,
or stands here and is not skipped.
"""

from __future__ import annotations

_OF_THE_SERVICE = {
    "test_service.py::test_a_server_that_is_busy_with_a_snapshot_of_its_owner",
    "test_service.py::test_a_server_that_is_stopped",
    "test_service.py::test_a_snapshot_that_fails_is_tried_again_an_hour_later",
    "test_service.py::test_a_user_who_may_only_read",
    "test_service.py::test_an_image_takes_the_place_of_the_one_before",
    "test_service.py::test_those_that_come_at_once_make_one_image",
}

SKIPPED: dict[str, set[str]] = {
    "a project of its own": _OF_THE_SERVICE,
    "a cloud without the extension": {
        *_OF_THE_SERVICE,
        "test_volume_backed.py::test_a_snapshot_that_another_image_names_stays",
        "test_volume_backed.py::test_the_retention_takes_the_volume_snapshots_along",
        "test_without_extension.py::test_a_dry_run_changes_nothing",
        "test_without_extension.py::test_a_malformed_tag_is_named",
        "test_without_extension.py::test_a_schedule_comes_and_goes",
        "test_without_extension.py::test_a_server_that_is_not_there",
        "test_without_extension.py::test_a_server_that_has_too_many_tags",
        "test_without_extension.py::test_schedules_are_tags",
        "test_without_extension.py::test_the_fleet_knows_its_schedules",
    },
    "other users": {
        "test_images.py::test_another_project_sees_no_image",
        "test_images.py::test_who_may_only_look_changes_nothing",
        "test_service.py::test_a_user_who_may_only_read",
    },
    "slow snapshots": {
        "test_polling.py::test_it_prints_how_far_a_snapshot_is",
        "test_service.py::test_a_server_that_is_busy_with_a_snapshot_of_its_owner",
        "test_snapshots.py::test_a_second_snapshot_is_refused",
        "test_snapshots.py::test_a_server_is_deleted_while_it_is_held",
        "test_snapshots.py::test_a_server_is_deleted_while_it_is_watched",
        "test_snapshots.py::test_a_server_is_held_until_its_disk_is_copied",
        "test_snapshots.py::test_a_watch_ends_with_the_copy_and_speaks_json",
        "test_snapshots.py::test_a_watch_sees_every_task_state",
    },
    "failing uploads": {
        "test_service.py::test_a_snapshot_that_fails_is_tried_again_an_hour_later",
        "test_snapshots.py::test_a_failing_upload_is_watched",
        "test_snapshots.py::test_an_upload_fails",
    },
    "rehearsals": {
        "test_volume_backed.py::test_a_snapshot_that_another_image_names_stays",
        "test_volume_backed.py::test_the_retention_takes_the_volume_snapshots_along",
    },
    "networks of its own": {
        "test_restore.py::test_a_new_server_has_a_port_of_its_own",
        "test_restore.py::test_in_place_it_keeps_its_port",
    },
    "image commands of ours": {
        "test_images.py::test_another_project_sees_no_image",
        "test_images.py::test_list_no_more_than_asked_for",
        "test_images.py::test_show",
        "test_images.py::test_what_cannot_be_deleted_does_not_stop_the_rest",
        "test_images.py::test_what_an_image_lacks_cannot_be_deleted",
        "test_images.py::test_who_may_only_look_changes_nothing",
    },
    # Only its turn: nova has driven each of these as well.
    "openstack": {
        "test_openstack.py::test_both_see_the_same",
        "test_restore.py::test_a_new_server_has_a_port_of_its_own",
        "test_restore.py::test_in_place_it_keeps_its_port",
        "test_retention.py::test_an_image_goes_under_the_hands_of_prune",
        "test_retention.py::test_an_inherited_marker",
        "test_retention.py::test_only_snapshots_are_protected",
        "test_retention.py::test_protect_and_unprotect",
        "test_retention.py::test_prune_passes_over_what_is_protected",
        "test_retention.py::test_the_fate_of_thirty_snapshots",
        "test_retention.py::test_the_schedule_decides_what_expires",
        "test_schedules.py::test_a_dry_run_changes_nothing",
        "test_schedules.py::test_a_schedule_comes_and_goes",
        "test_schedules.py::test_a_server_that_is_not_there",
        "test_schedules.py::test_the_fleet_knows_its_schedules",
        "test_snapshots.py::test_a_failing_upload_is_watched",
        "test_snapshots.py::test_a_second_snapshot_is_refused",
        "test_snapshots.py::test_a_server_is_deleted_while_it_is_held",
        "test_snapshots.py::test_a_server_is_deleted_while_it_is_watched",
        "test_snapshots.py::test_a_server_is_held_until_its_disk_is_copied",
        "test_snapshots.py::test_a_watch_ends_with_the_copy_and_speaks_json",
        "test_snapshots.py::test_a_watch_sees_every_task_state",
        "test_snapshots.py::test_a_watch_without_a_snapshot_is_over_at_once",
        "test_snapshots.py::test_an_upload_fails",
        "test_snapshots.py::test_servers_that_are_not_there",
        "test_without_extension.py::test_a_dry_run_changes_nothing",
        "test_without_extension.py::test_a_malformed_tag_is_named",
        "test_without_extension.py::test_a_schedule_comes_and_goes",
        "test_without_extension.py::test_a_server_that_has_too_many_tags",
        "test_without_extension.py::test_a_server_that_is_not_there",
        "test_without_extension.py::test_schedules_are_tags",
        "test_without_extension.py::test_the_fleet_knows_its_schedules",
    },
}

# What each kind of cloud lacks; a named one is looked at to know.
LACKS: dict[str, set[str]] = {
    "sandbox": set(),
    "real": set(),
}
