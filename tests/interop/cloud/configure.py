"""The services' configuration files, as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .layout import (
    FAKE_HOST,
    GLANCE,
    HOST,
    KEYSTONE,
    RABBIT,
    REAL_HOST,
    REGION,
    Layout,
    url,
)
from .seed import SERVICES

Ini = Mapping[str, Mapping[str, object]]

_MESSAGING: dict[str, object] = {
    "heartbeat_in_pthread": False,
    "rabbit_quorum_queue": False,
}


def configure(layout: Layout, *, hypervisor: bool) -> None:
    """Write every configuration file anew.

    :param hypervisor: whether there is a real one, whose volumes have data.
    """
    _write(layout.etc / "keystone/keystone.conf", _keystone(layout))
    _write(layout.etc / "glance/glance-api.conf", _glance(layout))
    _write(layout.etc / "placement/placement.conf", _placement(layout))
    _write(layout.etc / "cinder/cinder.conf", _cinder(layout, hypervisor))
    _write(layout.etc / "nova/nova.conf", _nova(layout) | _nova_databases(layout))
    # The compute service refuses to start where it could reach a database.
    _write(layout.etc / "nova-compute/nova.conf", _nova(layout))
    _write(layout.etc / "nova-compute-qemu/nova.conf", _nova_qemu(layout))
    _write(layout.etc / "neutron/neutron.conf", _neutron(layout))
    _write_libvirtd(layout)
    _write_rabbitmq(layout.etc / "rabbitmq")


def database(layout: Layout, name: str) -> str:
    return f"sqlite:///{layout.databases / name}.sqlite?timeout=60"


def _write(path: Path, ini: Ini) -> None:
    lines = []
    for section, options in ini.items():
        lines += [
            f"[{section}]",
            *(f"{key} = {value}" for key, value in options.items()),
            "",
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))


def _database(layout: Layout, name: str) -> dict[str, object]:
    return {"connection": database(layout, name), "sqlite_synchronous": False}


def _service_user(layout: Layout, name: str) -> dict[str, object]:
    return {
        "auth_type": "password",
        "auth_url": url(KEYSTONE, "/v3"),
        "project_domain_name": "Default",
        "user_domain_name": "Default",
        "project_name": "service",
        "username": name,
        "password": layout.password(),
    }


def _token_check(layout: Layout, name: str) -> dict[str, object]:
    service_type, _ = SERVICES[name]
    return _service_user(layout, name) | {
        "www_authenticate_uri": url(KEYSTONE, "/v3"),
        # Without it whoever's access is restricted by rules is refused everything.
        "service_type": service_type,
        "service_token_roles": "service",
        "service_token_roles_required": True,
    }


def _keystone(layout: Layout) -> dict[str, dict[str, object]]:
    keys = layout.etc / "keystone"
    return {
        "database": _database(layout, "keystone"),
        "token": {"provider": "fernet", "expiration": 86400},
        "fernet_tokens": {"key_repository": keys / "fernet-keys"},
        "fernet_receipts": {"key_repository": keys / "fernet-keys"},
        "credential": {"key_repository": keys / "credential-keys"},
        "identity": {"password_hash_rounds": 4},
        # A request takes hundreds of queries without. One process, so memory is enough.
        "cache": {"enabled": True, "backend": "oslo_cache.dict"},
    }


def _glance(layout: Layout) -> dict[str, dict[str, object]]:
    data = layout.var / "glance"
    return {
        "DEFAULT": {
            "enabled_backends": "fs:file",
            "worker_self_reference_url": url(GLANCE),
            "use_keystone_limits": True,
        },
        "oslo_limit": _limits(layout),
        "database": _database(layout, "glance"),
        "glance_store": {"default_backend": "fs"},
        "fs": {"filesystem_store_datadir": data / "images"},
        "os_glance_staging_store": {"filesystem_store_datadir": data / "staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": data / "tasks"},
        "paste_deploy": {
            "flavor": "keystone",
            "config_file": layout.venv / "etc/glance/glance-api-paste.ini",
        },
        "keystone_authtoken": _token_check(layout, "glance"),
    }


def _limits(layout: Layout) -> dict[str, object]:
    """How Glance asks Keystone for the limits of a project."""
    user = _service_user(layout, "glance")
    for key in ("project_name", "project_domain_name"):
        del user[key]
    return user | {
        "system_scope": "all",
        "endpoint_service_type": "image",
        "endpoint_region_name": REGION,
        "endpoint_interface": "public",
    }


def _placement(layout: Layout) -> dict[str, dict[str, object]]:
    return {
        "api": {"auth_strategy": "keystone"},
        "placement_database": _database(layout, "placement"),
        "keystone_authtoken": _token_check(layout, "placement"),
    }


def _cinder(layout: Layout, hypervisor: bool) -> dict[str, dict[str, object]]:
    user = _service_user(layout, "cinder")
    driver = "disks" if hypervisor else "loopback"
    return {
        "DEFAULT": {
            "host": "loopback",
            "my_ip": HOST,
            "state_path": layout.var / "cinder",
            "api_paste_config": layout.venv / "etc/cinder/api-paste.ini",
            "resource_query_filters_file": layout.venv
            / "etc/cinder/resource_filters.json",
            "auth_strategy": "keystone",
            "transport_url": f"rabbit://guest:guest@{HOST}:{RABBIT}/",
            "enabled_backends": "loopback",
            "default_volume_type": "__DEFAULT__",
            "glance_api_servers": url(GLANCE),
            # Heard of often, so that a start is noticed soon.
            "report_interval": 2,
            "service_down_time": 20,
        },
        "loopback": {
            "volume_driver": f"cinder.volume.drivers.{driver}.Driver",
            "volume_backend_name": "loopback",
        },
        "database": _database(layout, "cinder"),
        "oslo_concurrency": {"lock_path": layout.var / "cinder/lock"},
        "oslo_messaging_rabbit": _MESSAGING,
        "oslo_messaging_notifications": {"driver": "noop"},
        "nova": user | {"region_name": REGION, "interface": "public"},
        "service_user": user | {"send_service_user_token": True},
        "keystone_authtoken": _token_check(layout, "cinder"),
    }


def _nova_databases(layout: Layout) -> dict[str, dict[str, object]]:
    return {
        "api_database": _database(layout, "nova_api"),
        "database": _database(layout, "nova_cell1"),
    }


def _nova(layout: Layout) -> dict[str, dict[str, object]]:
    user = _service_user(layout, "nova")
    peer = user | {"region_name": REGION, "valid_interfaces": "public"}
    return {
        "DEFAULT": {
            "host": FAKE_HOST,
            "my_ip": HOST,
            "state_path": layout.nova,
            "compute_driver": "loopback.Driver",
            "transport_url": f"rabbit://guest:guest@{HOST}:{RABBIT}/",
            # Heard of often, so that a start is noticed soon.
            "report_interval": 2,
            "service_down_time": 20,
            # The fake guests have no state of their own that could be looked up.
            "sync_power_state_interval": -1,
            "heal_instance_info_cache_interval": -1,
            "resume_guests_state_on_host_boot": True,
        },
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": -1},
        "quota": {"instances": 100, "cores": 100},
        "filter_scheduler": {"track_instance_changes": False},
        "oslo_concurrency": {"lock_path": layout.nova / "lock"},
        "oslo_messaging_rabbit": _MESSAGING,
        "oslo_messaging_notifications": {"driver": "noop"},
        "vnc": {"enabled": False},
        "cinder": user
        | {"catalog_info": "block-storage::publicURL", "os_region_name": REGION},
        "glance": {"region_name": REGION, "valid_interfaces": "public"},
        "placement": peer,
        "neutron": peer,
        "service_user": user | {"send_service_user_token": True},
        "keystone_authtoken": _token_check(layout, "nova"),
    }


def _nova_qemu(layout: Layout) -> dict[str, dict[str, object]]:
    """The compute service with the real hypervisor: it differs from the fake one's."""
    nova = _nova(layout)
    config = layout.etc / "nova-compute-qemu/nova.conf"
    # By default it is started with sudo; we are root.
    helper: dict[str, object] = {
        "helper_command": f"{layout.bin('privsep-helper')} --config-file {config}"
    }
    differs: dict[str, dict[str, object]] = {
        "DEFAULT": {
            "host": REAL_HOST,
            "state_path": layout.real_nova,
            "compute_driver": "libvirt.LibvirtDriver",
            "resume_guests_state_on_host_boot": False,
            # These guests have a state; one that has ended is to be seen.
            "sync_power_state_interval": 10,
            # The guest does not listen to ACPI: to stop it would take a minute.
            "shutdown_timeout": 5,
            # After SIGTERM a compute service goes on for 160 seconds by default, and
            # takes requests that were meant for its successor.
            "graceful_shutdown_timeout": 5,
            "manager_shutdown_timeout": 2,
            "reserved_host_memory_mb": 0,
            # There is no agent that would say that a port is plugged.
            "vif_plugging_is_fatal": False,
            "vif_plugging_timeout": 0,
        },
        "libvirt": {
            "connection_uri": layout.libvirt_uri,
            # Not "kvm": where there is a /dev/kvm at all, it may be a nested one in
            # which a guest stops before it has booted.
            "virt_type": "qemu",
            "cpu_mode": "none",
            "images_type": "qcow2",
        },
        "nova_sys_admin": helper,
        "privsep_osbrick": helper,
        "oslo_concurrency": {"lock_path": layout.real_nova / "lock"},
    }
    return nova | {
        section: nova.get(section, {}) | options for section, options in differs.items()
    }


def _write_libvirtd(layout: Layout) -> None:
    log = layout.log("libvirtd-messages")
    (layout.libvirt / "libvirtd.conf").write_text(
        "listen_tls = 0\n"
        'auth_unix_rw = "none"\n'  # there is no polkit
        f'unix_sock_dir = "{layout.libvirt}"\n'
        f'log_outputs = "3:file:{log}"\n'
    )


def _neutron(layout: Layout) -> dict[str, dict[str, object]]:
    return {
        "DEFAULT": {
            "core_plugin": "ml2",
            "service_plugins": "",
            "auth_strategy": "keystone",
            "transport_url": f"rabbit://guest:guest@{HOST}:{RABBIT}/",
            "state_path": layout.var / "neutron",
            "api_paste_config": layout.venv / "etc/neutron/api-paste.ini",
            # There are no agents, and nobody waits for their ports.
            "dhcp_agent_notification": False,
            "notify_nova_on_port_status_changes": False,
            "notify_nova_on_port_data_changes": False,
        },
        "database": _database(layout, "neutron"),
        "ml2": {
            # Of this type members can make networks, and nothing is to be set up.
            "type_drivers": "local",
            "tenant_network_types": "local",
            "mechanism_drivers": "loopback",
            "extension_drivers": "port_security",
        },
        "oslo_concurrency": {"lock_path": layout.var / "neutron/lock"},
        "oslo_messaging_rabbit": _MESSAGING,
        "oslo_messaging_notifications": {"driver": "noop"},
        "keystone_authtoken": _token_check(layout, "neutron"),
    }


def _write_rabbitmq(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = {HOST}:{RABBIT}\n")
    # Erlang's own port, for which rabbitmq.conf has no word.
    loopback = HOST.replace(".", ",")
    (folder / "advanced.config").write_text(
        f"[{{kernel, [{{inet_dist_use_interface, {{{loopback}}}}}]}}].\n"
    )
    (folder / "enabled_plugins").write_text("[].\n")
