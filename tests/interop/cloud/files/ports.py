"""A mechanism driver of Neutron that binds every port at once, without any agent.

Nova's libvirt driver makes a tap device for it, which is connected to nothing.
"""

from typing import Any

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api
from sqlalchemy import orm


class Driver(api.MechanismDriver):
    def initialize(self) -> None:
        # A list of ports names an attribute that its model gets at the first query; as
        # the first request of all it would fail.
        orm.configure_mappers()

    @property
    def connectivity(self) -> str:
        return portbindings.CONNECTIVITY_L2

    def bind_port(self, context: Any) -> None:
        segment = context.segments_to_bind[0]
        context.set_binding(
            segment[api.ID],
            portbindings.VIF_TYPE_TAP,
            {portbindings.CAP_PORT_FILTER: False},
            status=constants.PORT_STATUS_ACTIVE,
        )
