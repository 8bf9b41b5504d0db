"""A region's networks, subnets, ports and security groups."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, ip_address

from rax_scheduled_images_ext.sandbox.backend.models import (
    Conflict,
    Forbidden,
    Invalid,
    Network,
    NotFound,
    Port,
    SecurityGroup,
    Subnet,
)
from rax_scheduled_images_ext.sandbox.backend.region.base import Part
from rax_scheduled_images_ext.sandbox.backend.store import Row, port_of

#: What a port of a server says of its owner.
OF_SERVER = "compute:nova"
_DEFAULT = "default"


class Networks(Part):
    """Listing, making and deleting networks, and what is on them."""

    def networks(self, project_id: str) -> list[Network]:
        """Return the networks that a project may use, in the order of names."""
        rows = self._store.all(
            "SELECT id, name, project_id, shared, created FROM networks"
            " WHERE region = ? AND (project_id = ? OR shared) ORDER BY name, id",
            *(self.name, project_id),
        )
        return [self._network(row) for row in rows]

    def network(self, network_id: str, project_id: str) -> Network:
        """Return one network.

        :raises NotFound: where the project has no such.
        """
        for network in self.networks(project_id):
            if network.id == network_id:
                return network
        raise NotFound(f"Network {network_id} could not be found.")

    def add_network(
        self,
        name: str,
        project_id: str,
        *,
        shared: bool = False,
        network_id: str | None = None,
    ) -> Network:
        """Make a network without subnets."""
        row: dict[str, object] = {
            "region": self.name,
            "id": network_id or self._cloud.new_id(),
            "name": name,
            "project_id": project_id,
            "shared": shared,
            "created": self._cloud.now,
        }
        self._store.insert("networks", [row])
        return self.network(str(row["id"]), project_id)

    def delete_network(self, network: Network) -> None:
        """Delete a network with its subnets.

        :raises Conflict: while there are ports on it.
        """
        if self.ports_on(network):
            raise Conflict(
                f"Unable to complete operation on network {network.id}. There are one"
                " or more ports still in use on the network."
            )
        for table, column in (("networks", "id"), ("subnets", "network_id")):
            self._store.run(
                f"DELETE FROM {table} WHERE region = ? AND {column} = ?",
                *(self.name, network.id),
            )

    def subnets(self, project_id: str) -> list[Subnet]:
        """Return the subnets of the networks that a project may use."""
        return [s for network in self.networks(project_id) for s in network.subnets]

    def add_subnet(
        self,
        network: Network,
        name: str,
        cidr: str,
        *,
        gateway: str | None = None,
        subnet_id: str | None = None,
    ) -> Subnet:
        """Add a subnet to a network.

        :param cidr: of IPv4, such as ``10.0.0.0/24``.
        :raises Invalid: for what is none.
        """
        try:
            first = str(IPv4Network(cidr)[1])
        except (ValueError, IndexError):
            raise Invalid(
                f"Invalid input for cidr. Reason: '{cidr}' is not a valid IP subnet."
            ) from None
        subnet = Subnet(
            id=subnet_id or self._cloud.new_id(),
            name=name,
            network_id=network.id,
            project_id=network.project_id,
            cidr=cidr,
            gateway=gateway or first,
            created=self._cloud.now,
        )
        self._store.insert("subnets", [{"region": self.name, **vars(subnet)}])
        return subnet

    def ports(self, project_id: str) -> list[Port]:
        """Return the ports of a project, the oldest first."""
        return self._ports("project_id = ?", project_id)

    def ports_on(self, network: Network) -> list[Port]:
        """Return the ports of all projects on a network."""
        return self._ports("network_id = ?", network.id)

    def ports_of(self, server_id: str) -> list[Port]:
        """Return the ports of a server, the oldest first."""
        return self._ports("device_id = ?", server_id)

    def ports_of_all(self, server_ids: Iterable[str]) -> dict[str, list[Port]]:
        """Return the ports of several servers."""
        found: dict[str, list[Port]] = {}
        wanted = json.dumps(list(server_ids))
        for port in self._ports(
            "device_id IN (SELECT value FROM json_each(?))", wanted
        ):
            found.setdefault(port.device_id, []).append(port)
        return found

    def port(self, port_id: str, project_id: str) -> Port:
        """Return one port.

        :raises NotFound: where the project has no such.
        """
        for port in self._ports("id = ?", port_id):
            if port.project_id == project_id:
                return port
        raise NotFound(f"Port {port_id} could not be found.")

    def add_port(
        self,
        network: Network,
        project_id: str,
        *,
        name: str = "",
        description: str = "",
        address: str | None = None,
        subnet_id: str | None = None,
        groups: Sequence[SecurityGroup] | None = None,
        server_id: str = "",
        place: int = 0,
        port_id: str | None = None,
    ) -> Port:
        """Make a port, with an address of the network if that has any.

        :param address: the address wanted; any by default.
        :param subnet_id: the subnet wanted; that of the address, or any.
        :param groups: its security groups; by default that of the name ``default``.
        :param server_id: the server that it is made for, and goes with.
        :param place: its place among the ports of that server.
        :raises Invalid: for an address that is of no subnet.
        :raises Conflict: for one that is taken.
        """
        subnets = [s for s in network.subnets if subnet_id in (None, s.id)]
        if subnet_id is not None and not subnets:
            raise Invalid(
                f"Failed to create port on network {network.id}, because fixed_ips"
                f" included invalid subnet {subnet_id}."
            )
        subnet, address = self._address(subnets, address)
        if groups is None:
            groups = [self.default_group(project_id)]
        port_id = port_id or self._cloud.new_id()
        digits = f"{self._cloud.chance('mac', port_id).getrandbits(24):06x}"
        row: dict[str, object] = {
            "region": self.name,
            "id": port_id,
            "name": name,
            "description": description,
            "network_id": network.id,
            "project_id": project_id,
            "mac": ":".join(("fa:16:3e", digits[:2], digits[2:4], digits[4:])),
            "subnet_id": subnet and subnet.id,
            "address": address,
            "groups": json.dumps([group.id for group in groups]),
            "device_id": server_id,
            "place": place,
            "of_server": bool(server_id),
            "created": self._cloud.now,
        }
        self._store.insert("ports", [row])
        return self.port(port_id, project_id)

    def delete_port(self, port_id: str) -> None:
        """Delete a port; its server loses it."""
        self._store.run(
            "DELETE FROM ports WHERE region = ? AND id = ?", self.name, port_id
        )

    def bind(self, port: Port, server_id: str, place: int) -> None:
        """Give a server a port that is there.

        :param place: its place among the ports of the server.
        :raises Conflict: where another server has it.
        """
        if port.device_id:
            raise Conflict(f"Port {port.id} is still in use.")
        self._store.update(
            "ports", self.name, port.id, device_id=server_id, place=place
        )

    def release(self, server_id: str) -> None:
        """Take a server's ports away: those made for it go, the others are free."""
        self._store.run(
            "DELETE FROM ports WHERE region = ? AND device_id = ? AND of_server",
            *(self.name, server_id),
        )
        self._store.run(
            "UPDATE ports SET device_id = '', place = 0"
            " WHERE region = ? AND device_id = ?",
            *(self.name, server_id),
        )

    def groups(self, project_id: str) -> list[SecurityGroup]:
        """Return the security groups of a project; there is always ``default``."""
        found = self._groups(project_id)
        if not any(group.name == _DEFAULT for group in found):
            group_id = self._cloud.named_id("group", self.name, project_id)
            self._add_group(project_id, _DEFAULT, "Default security group", group_id)
            found = self._groups(project_id)
        return found

    def group_names(self) -> dict[str, str]:
        """Return the name of each security group, by its ID."""
        rows = self._store.all(
            "SELECT id, name FROM security_groups WHERE region = ?", self.name
        )
        return {row["id"]: row["name"] for row in rows}

    def group(self, name_or_id: str, project_id: str) -> SecurityGroup:
        """Return one security group.

        :raises NotFound: where the project has no such.
        """
        for group in self.groups(project_id):
            if name_or_id in (group.id, group.name):
                return group
        raise NotFound(f"Security group {name_or_id} does not exist")

    def default_group(self, project_id: str) -> SecurityGroup:
        """Return the security group of ports for which none is named."""
        return self.group(_DEFAULT, project_id)

    def add_group(self, project_id: str, name: str, description: str) -> SecurityGroup:
        """Make a security group."""
        group_id = self._cloud.new_id()
        self._add_group(project_id, name, description, group_id)
        return self.group(group_id, project_id)

    def delete_group(self, group: SecurityGroup) -> None:
        """Delete a security group.

        :raises Conflict: for ``default``, and while ports are in it.
        """
        if group.name == _DEFAULT:
            raise Forbidden("Insufficient rights for removing default security group.")
        if any(group.id in port.groups for port in self.ports(group.project_id)):
            raise Conflict(f"Security Group {group.id} in use.")
        self._store.run(
            "DELETE FROM security_groups WHERE region = ? AND id = ?",
            *(self.name, group.id),
        )

    def _add_group(
        self, project_id: str, name: str, description: str, group_id: str
    ) -> None:
        group = SecurityGroup(group_id, name, description, project_id, self._cloud.now)
        self._store.insert("security_groups", [{"region": self.name, **vars(group)}])

    def _groups(self, project_id: str) -> list[SecurityGroup]:
        rows = self._store.all(
            "SELECT id, name, description, project_id, created FROM security_groups"
            " WHERE region = ? AND project_id = ? ORDER BY name, id",
            *(self.name, project_id),
        )
        return [SecurityGroup(*row) for row in rows]

    def _network(self, row: Row) -> Network:
        subnets = self._store.all(
            "SELECT id, name, network_id, project_id, cidr, gateway, created"
            " FROM subnets WHERE region = ? AND network_id = ? ORDER BY name, id",
            *(self.name, row["id"]),
        )
        shared = bool(row["shared"])
        return Network(
            **{**dict(row), "shared": shared},
            subnets=tuple(Subnet(*each) for each in subnets),
        )

    def _ports(self, condition: str, value: str) -> list[Port]:
        rows = self._store.all(
            "SELECT p.*, n.name AS network_name FROM ports p JOIN networks n"
            " ON n.region = p.region AND n.id = p.network_id"
            f" WHERE p.region = ? AND p.{condition} ORDER BY p.place, p.created, p.id",
            *(self.name, value),
        )
        return [port_of(row) for row in rows]

    def _address(
        self, subnets: Sequence[Subnet], wanted: str | None
    ) -> tuple[Subnet | None, str | None]:
        """Return an address that is free, and its subnet; neither without subnets."""
        for subnet in subnets:
            taken = {subnet.gateway} | {
                row["address"]
                for row in self._store.all(
                    "SELECT address FROM ports WHERE region = ? AND subnet_id = ?",
                    *(self.name, subnet.id),
                )
            }
            hosts = IPv4Network(subnet.cidr)
            if wanted is None:
                free = (str(a) for a in hosts.hosts() if str(a) not in taken)
                return subnet, next(free)
            if _in(wanted, hosts):
                if wanted in taken:
                    raise Conflict(
                        f"IP address {wanted} already allocated in subnet {subnet.id}"
                    )
                return subnet, wanted
        if wanted is not None:
            raise Invalid(
                f"IP address {wanted} is not a valid IP for the specified subnet."
            )
        return None, None


def _in(address: str, subnet: IPv4Network) -> bool:
    try:
        return ip_address(address) in subnet
    except ValueError:
        return False
