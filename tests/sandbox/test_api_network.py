"""Networks, ports and security groups, and servers booted with all there is."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.raw import Box, Caller, box
from ..novashell import Nova
from ..openstackshell import OpenStack, not_beside_novaclient_7
from .test_api_compute import refused

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJhY2sgYWdhaW4= me@home"
NOBODY = "00000000-dead-4bad-8bad-000000000000"


def neutron(caller: Caller, method: str, path: str, **more: Any) -> requests.Response:
    return caller(method, f"{caller.sandbox.url}/network/v2.0{path}", **more)


def listed(caller: Caller, path: str) -> list[dict[str, Any]]:
    answer = neutron(caller, "GET", path)
    assert answer.status_code == 200, answer.text
    (key,) = (key for key in answer.json() if not key.endswith("_links"))
    found: list[dict[str, Any]] = answer.json()[key]
    return found


def make(caller: Caller, path: str, key: str, **wanted: Any) -> dict[str, Any]:
    answer = neutron(caller, "POST", path, json={key: wanted})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()[key]
    return made


def broken(answer: requests.Response, status: int) -> str:
    """Return the text of an error as Neutron writes it."""
    assert answer.status_code == status, answer.text
    return str(answer.json()["NeutronError"]["message"])


def boot(caller: Caller, version: str = "2.90", **more: Any) -> requests.Response:
    hints = more.pop("hints", None)
    wanted = {"name": "n", "imageRef": caller.base_image(), "flavorRef": "1"}
    body = {"server": {**wanted, "networks": "none", **more}}
    more = {"os:scheduler_hints": hints} if hints else {}
    return caller.post("/servers", body | more, version=version)


def booted(caller: Caller, version: str = "2.90", **more: Any) -> str:
    answer = boot(caller, version, **more)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["server"]["id"])


def interfaces(caller: Caller, server_id: str) -> list[dict[str, Any]]:
    answer = caller.get(f"/servers/{server_id}/os-interface")
    found: list[dict[str, Any]] = answer.json()["interfaceAttachments"]
    return found


def addresses(caller: Caller, server_id: str) -> dict[str, list[str]]:
    shown = caller.get(f"/servers/{server_id}").json()["server"]["addresses"]
    return {name: [each["addr"] for each in those] for name, those in shown.items()}


@pytest.fixture
def second(admin: Caller) -> dict[str, Any]:
    """A network of the project's own, with a subnet."""
    network = make(admin, "/networks", "network", name="storage")
    subnet = {"network_id": network["id"], "cidr": "192.168.7.0/29", "ip_version": 4}
    make(admin, "/subnets", "subnet", **subnet)
    return network


# -- what a server is booted with


def test_the_first_servers_are_on_a_network(admin: Caller) -> None:
    (network,) = listed(admin, "/networks")
    assert (network["name"], network["shared"]) == ("private", True)
    server = admin.server_id()
    assert addresses(admin, server) == {"private": ["10.0.0.2"]}
    (interface,) = interfaces(admin, server)
    assert interface["net_id"] == network["id"]
    assert interface["fixed_ips"][0]["ip_address"] == "10.0.0.2"
    one = admin.get(f"/servers/{server}/os-interface/{interface['port_id']}").json()
    assert one["interfaceAttachment"] == interface
    assert admin.get(f"/servers/{server}/os-interface/{NOBODY}").status_code == 404
    groups = admin.get(f"/servers/{server}/os-security-groups").json()
    assert [group["name"] for group in groups["security_groups"]] == ["default"]


def test_a_server_with_everything(cloud_box: Box, second: dict[str, Any]) -> None:
    admin = cloud_box.admin
    key = {"name": "mine", "public_key": PUBLIC_KEY}
    admin.post("/os-keypairs", {"keypair": key}, version="2.92")
    policy = {"name": "apart", "policy": "anti-affinity"}
    answer = admin.post("/os-server-groups", {"server_group": policy}, version="2.64")
    group = answer.json()["server_group"]["id"]
    web = make(admin, "/security-groups", "security_group", name="web")
    port = make(admin, "/ports", "port", network_id=second["id"])
    (private,) = listed(admin, "/networks?name=private")
    server = booted(
        admin,
        networks=[{"uuid": private["id"]}, {"port": port["id"]}],
        security_groups=[{"name": "web"}],
        key_name="mine",
        config_drive=True,
        hostname="other",
        description="all of it",
        availability_zone="nova",
        metadata={"a": "1"},
        tags=["t"],
        user_data="IyEvYmluL3No",
        hints={"group": group},
    )
    shown = admin.get(f"/servers/{server}", version="2.100").json()["server"]
    assert shown["key_name"] == "mine"
    assert shown["config_drive"] == "True"
    assert shown["OS-EXT-SRV-ATTR:hostname"] == "other"
    assert shown["description"] == "all of it"
    assert (shown["metadata"], shown["tags"]) == ({"a": "1"}, ["t"])
    assert shown["server_groups"] == [group]
    assert shown["scheduler_hints"] == {"group": group}
    assert {each["name"] for each in shown["security_groups"]} == {"web", "default"}
    assert "user_data" not in shown
    address = port["fixed_ips"][0]["ip_address"]
    assert addresses(admin, server) == {"private": ["10.0.0.6"], "storage": [address]}
    nova_made = next(p for p in interfaces(admin, server) if p["port_id"] != port["id"])
    ports = listed(admin, f"/ports?device_id={server}")
    assert {p["id"]: p["security_groups"] for p in ports}[nova_made["port_id"]] == [
        web["id"]
    ]
    members = admin.get("/os-server-groups").json()["server_groups"][0]["members"]
    assert members == [server]
    # What is told of it once it is gone.
    assert admin.delete(f"/servers/{server}").status_code == 204
    since = admin.get("/servers/detail?changes-since=2020-01-01T00:00:00Z").json()
    gone = next(each for each in since["servers"] if each["id"] == server)
    assert (gone["status"], gone["key_name"]) == ("DELETED", "mine")
    assert (gone["flavor"]["id"], gone["addresses"]) == ("1", {})
    # A port of the user's own outlives it, with its address; Nova's own does not.
    (left,) = listed(admin, "/ports?device_id=")
    assert (left["id"], left["status"]) == (port["id"], "DOWN")
    again = booted(admin, networks=[{"port": port["id"]}])
    assert addresses(admin, again) == {"storage": [address]}


def test_a_rebuild_keeps_ports(cloud_box: Box) -> None:
    admin = cloud_box.admin
    server = admin.server_id()
    before = interfaces(admin, server)
    action = {"rebuild": {"imageRef": admin.base_image()}}
    answer = admin.post(f"/servers/{server}/action", action)
    shown = answer.json()["server"]["addresses"]
    assert shown == {"private": [{"version": 4, "addr": "10.0.0.2"}]}
    cloud_box.sandbox.advance(12)
    assert interfaces(admin, server) == before


def test_what_cannot_be_booted(cloud_box: Box, second: dict[str, Any]) -> None:
    admin = cloud_box.admin
    port = make(admin, "/ports", "port", network_id=second["id"], name="free")
    used = listed(admin, f"/ports?device_id={admin.server_id()}")[0]
    bare = make(admin, "/networks", "network", name="bare")["id"]
    address = port["fixed_ips"][0]["ip_address"]
    theirs = cloud_box.as_("stranger")
    own = make(theirs, "/networks", "network", name="theirs")["id"]
    for more, code, text in (
        (
            {"networks": [{"uuid": NOBODY}]},
            400,
            f"Network {NOBODY} could not be found.",
        ),
        ({"networks": [{"uuid": own}]}, 400, f"Network {own} could not be found."),
        ({"networks": [{"uuid": bare}]}, 400, f"Network {bare} requires a subnet"),
        (
            {"networks": [{"port": NOBODY}]},
            400,
            f"Port id {NOBODY} could not be found.",
        ),
        (
            {"networks": [{"port": used["id"]}]},
            409,
            f"Port {used['id']} is still in use.",
        ),
        (
            {"networks": [{"uuid": second["id"], "fixed_ip": address}]},
            400,
            f"Fixed IP address {address} is already in use",
        ),
        ({"networks": "auto"}, 409, "Multiple possible networks found"),
        (
            {"security_groups": [{"name": "no"}]},
            400,
            "Security group no does not exist",
        ),
        ({"key_name": "no"}, 400, "Invalid key_name provided."),
        ({"flavorRef": "5"}, 403, "Only volume-backed servers are allowed for flavors"),
        ({"hints": {"group": NOBODY}}, 400, f"Instance group {NOBODY} could not"),
        (
            {"user_data": "no base64"},
            400,
            "Invalid input for field/attribute user_data.",
        ),
    ):
        assert refused(boot(admin, **more), code).startswith(text), more
    assert len(admin.get("/servers").json()["servers"]) == 4
    assert listed(admin, "/ports?name=free")[0]["device_id"] == ""


def test_min_disk_and_min_ram(cloud_box: Box) -> None:
    admin = cloud_box.admin
    image = admin.snapshot(admin.server_id(), "it")
    cloud_box.sandbox.advance(121)
    text = refused(boot(admin, imageRef=image), 400)
    assert "Flavor disk is 1073741824 bytes, minimum size is 21474836480" in text
    assert booted(admin, imageRef=image, flavorRef="2")
    admin.patch(image, {"op": "replace", "path": "/min_ram", "value": 4096})
    text = refused(boot(admin, imageRef=image, flavorRef="2"), 400)
    assert text == "Flavor's memory is too small for requested image."


def test_a_quota_of_servers() -> None:
    with box("openstack", server_quota=5) as small:
        booted(small.admin)
        text = refused(boot(small.admin), 403)
        assert text == (
            "Quota exceeded for instances: Requested 1, but already used 5 of 5"
            " instances"
        )


def test_a_volume_backed_image(cloud_box: Box) -> None:
    admin, sandbox = cloud_box.admin, cloud_box.sandbox
    server = sandbox.boot("bfv", volume_size=20)
    sandbox.advance(100)
    image = admin.snapshot(server.id, "it")
    copy = booted(admin, imageRef=image, flavorRef="2")
    console = admin.post(f"/servers/{copy}/action", {"os-getConsoleOutput": {}}).json()
    assert console["output"].startswith("VERIFY last=100 gaps=0 bad=0 boots=2\n")
    with sandbox.region() as region:
        volumes = region.volumes.of_server(copy)
        assert [v.id for v in volumes] != [
            v.id for v in region.volumes.of_server(server.id)
        ]
        (snapshot,) = region.volumes.snapshots(admin.project_id)
        region.volumes.delete_snapshot(snapshot.id)
    text = refused(boot(admin, imageRef=image, flavorRef="2"), 400)
    assert text == f"Snapshot {snapshot.id} could not be found."


def test_servers_by_address(admin: Caller) -> None:
    for query, wanted in (("ip=10.0.0.2$", ["myserver"]), ("ip=^192", [])):
        found = admin.get(f"/servers?{query}").json()["servers"]
        assert [server["name"] for server in found] == wanted


def test_locked_reason(admin: Caller, server: str) -> None:
    lock = {"lock": {"locked_reason": "careful"}}
    assert admin.post(f"{server}/action", lock, version="2.73").status_code == 202

    def reason() -> Any:
        return admin.get(server, version="2.73").json()["server"]["locked_reason"]

    assert reason() == "careful"
    admin.post(f"{server}/action", {"unlock": None})
    assert reason() is None


# -- the small APIs


def test_key_pairs(cloud_box: Box) -> None:
    admin, other = cloud_box.admin, cloud_box.as_("creator")
    key = {"keypair": {"name": "mine", "public_key": PUBLIC_KEY}}
    made = admin.post("/os-keypairs", key, version="2.2")
    assert (made.status_code, made.json()["keypair"]["type"]) == (201, "ssh")
    assert refused(admin.post("/os-keypairs", key), 409)
    wrong = {"keypair": {"name": "no", "public_key": "nonsense"}}
    assert refused(admin.post("/os-keypairs", wrong), 400)
    shown = admin.get("/os-keypairs/mine").json()["keypair"]
    assert shown["public_key"] == PUBLIC_KEY
    listed = admin.get("/os-keypairs", version="2.35").json()["keypairs"]
    assert [each["keypair"]["name"] for each in listed] == ["mine"]
    assert other.get("/os-keypairs").json() == {"keypairs": []}
    assert other.get("/os-keypairs/mine").status_code == 404
    assert admin.delete("/os-keypairs/mine").status_code == 202
    assert admin.delete("/os-keypairs/mine").status_code == 404


def test_server_groups(admin: Caller) -> None:
    wanted = {"server_group": {"name": "g", "policies": ["affinity"]}}
    made = admin.post("/os-server-groups", wanted).json()["server_group"]
    assert made["policies"] == ["affinity"]
    path = f"/os-server-groups/{made['id']}"
    shown = admin.get(path, version="2.64").json()["server_group"]
    assert (shown["policy"], shown["rules"]) == ("affinity", {})
    assert admin.delete(path).status_code == 204
    assert refused(admin.get(path), 404)


def test_ports(cloud_box: Box, second: dict[str, Any]) -> None:
    admin, network = cloud_box.admin, second["id"]
    fixed = [{"ip_address": "192.168.7.4"}]
    port = make(admin, "/ports", "port", network_id=network, fixed_ips=fixed, name="p")
    assert port["fixed_ips"][0]["ip_address"] == "192.168.7.4"
    assert (port["device_id"], port["device_owner"], port["status"]) == ("", "", "DOWN")
    for path in (
        "/ports?name=p",
        f"/ports?network_id={network}",
        "/ports?fixed_ips=ip_address%3D192.168.7.4",
        f"/ports?device_id=&project_id={admin.project_id}",
    ):
        assert [each["id"] for each in listed(admin, path)] == [port["id"]], path
    assert listed(admin, "/ports?name=p&fields=id") == [{"id": port["id"]}]
    for wanted, status in (
        ({"network_id": network, "fixed_ips": fixed}, 409),
        ({"network_id": network, "fixed_ips": [{"ip_address": "10.9.9.9"}]}, 400),
        ({"network_id": NOBODY}, 404),
        ({"network_id": network, "security_groups": [NOBODY]}, 404),
        ({}, 400),
    ):
        assert broken(neutron(admin, "POST", "/ports", json={"port": wanted}), status)
    stranger, reader = cloud_box.as_("stranger"), cloud_box.as_("observer")
    path = f"/ports/{port['id']}"
    assert broken(neutron(stranger, "GET", path), 404)
    assert broken(neutron(reader, "DELETE", path), 403)
    assert broken(neutron(admin, "DELETE", f"/networks/{network}"), 409)
    assert neutron(admin, "DELETE", path).status_code == 204
    assert broken(neutron(admin, "GET", path), 404)
    assert neutron(admin, "DELETE", f"/networks/{network}").status_code == 204


def test_pages_of_ports(admin: Caller) -> None:
    whole = [port["id"] for port in listed(admin, "/ports")]
    seen, url = [], "/ports?limit=3"
    while url:
        answer = neutron(admin, "GET", url).json()
        seen += [port["id"] for port in answer["ports"]]
        links = answer.get("ports_links", [])
        url = links[0]["href"].partition("/v2.0")[2] if links else ""
    assert (len(whole), seen) == (4, whole)


def test_security_groups(admin: Caller, second: dict[str, Any]) -> None:
    (default,) = listed(admin, "/security-groups")
    assert default["name"] == "default"
    path = f"/security-groups/{default['id']}"
    assert broken(neutron(admin, "DELETE", path), 403)
    web = make(admin, "/security-groups", "security_group", name="web")["id"]
    make(admin, "/ports", "port", network_id=second["id"], security_groups=[web])
    path = f"/security-groups/{web}"
    assert broken(neutron(admin, "DELETE", path), 409)
    assert neutron(admin, "GET", path).json()["security_group"]["name"] == "web"


@pytest.mark.parametrize("cloud", ["rackspace"], indirect=True)
def test_rackspace_has_no_networks(admin: Caller, cloud: Sandbox) -> None:
    server = admin.boot("plain", networks=[{"uuid": NOBODY}])
    shown = admin.get(f"/servers/{server}").json()["server"]
    assert shown["addresses"] == {}
    assert admin(*("GET", f"{cloud.url}/network/v2.0/networks")).status_code == 404


# -- clients that nobody here wrote


@not_beside_novaclient_7
def test_openstack(openstack: OpenStack, cloud: Sandbox) -> None:
    (network,) = openstack.json("network", "list")
    assert network["Name"] == "private"
    assert len(openstack.json("port", "list")) == 4
    openstack.ok("port", "create", "--network", "private", "mine")
    (subnet,) = openstack.json("subnet", "list")
    assert subnet["Subnet"] == "10.0.0.0/16"
    assert openstack.json("security", "group", "list")[0]["Name"] == "default"
    made = openstack.json(
        *("server", "create", "--image", "Debian 12 (Bookworm)", "--flavor", "1"),
        *("--network", "private", "--port", "mine", "--security-group", "default"),
        "both",
    )
    shown = openstack.json("server", "show", made["id"])
    assert shown["addresses"] == {"private": ["10.0.0.7", "10.0.0.6"]}
    ports = openstack.json("port", "list", "--server", "both")
    assert len(ports) == 2
    assert openstack.json("port", "show", "mine")["device_id"] == made["id"]
    openstack.ok("server", "delete", "both")
    assert openstack.json("port", "show", "mine")["device_id"] == ""
    openstack.ok("port", "delete", "mine")
    assert openstack.json("server", "group", "list") == []
    assert openstack.json("keypair", "list") == []


@not_beside_novaclient_7
def test_nova(nova: Nova, admin: Caller) -> None:
    (network,) = listed(admin, "/networks")
    image = ("--image", admin.base_image(), "--flavor", "1")
    nova.ok("boot", *image, "--nic", f"net-id={network['id']}", "mine")
    assert "private=10.0.0.6" in nova.ok("list")
    assert "10.0.0.6" in nova.ok("interface-list", "mine")
    assert "default" in nova.ok("list-secgroup", "mine")
    assert nova.ok("keypair-list").count("\n") == 4


@not_beside_novaclient_7
@pytest.mark.filterwarnings("ignore")
def test_openstacksdk(cloud: Sandbox) -> None:
    import openstack

    env = cloud.env()
    connection = openstack.connection.Connection(
        auth={
            "auth_url": env["OS_AUTH_URL"],
            "username": env["OS_USERNAME"],
            "password": env["OS_PASSWORD"],
            "project_name": env["OS_PROJECT_NAME"],
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        region_name=env["OS_REGION_NAME"],
    )
    with connection:
        (network,) = connection.network.networks(name="private")
        port = connection.network.create_port(network_id=network.id, name="p")
        server = connection.compute.create_server(
            name="n",
            image_id=next(connection.image.images(name="Debian 12 (Bookworm)")).id,
            flavor_id="1",
            networks=[{"port": port.id}],
        )
        server = connection.compute.wait_for_server(server)
        (found,) = connection.compute.server_interfaces(server)
        assert found.port_id == port.id
        connection.compute.rebuild_server(server, image=server.image.id)
        output = connection.compute.get_server_console_output(server)["output"]
        assert output.startswith("VERIFY last=0 ")
        connection.compute.delete_server(server)
        assert connection.network.get_port(port.id).device_id == ""
