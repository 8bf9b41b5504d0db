"""The commands of ``openstack``, one module for each group of them.

Every ``openstack`` loads all commands of all plugins, but rarely runs one of these. So
what it loads here are stand-ins, which import a command when it is called.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar


class _StandIn:
    """Calling it creates the command of the same name in ``module``."""

    module: ClassVar[str]
    # As the shell looks at it before it makes a command.
    auth_required: ClassVar[bool] = True

    def __new__(cls, *args: Any, **options: Any) -> Any:
        command = getattr(import_module(f"{__name__}.{cls.module}"), cls.__name__)
        return command(*args, **options)

    # Only inspected: cliff passes the arguments that are named here.
    def __init__(self, app: Any, app_args: Any, cmd_name: str | None = None) -> None:
        raise AssertionError("the command is of another class")


def _stand_in(module: str, name: str) -> type[_StandIn]:
    return type(name, (_StandIn,), {"module": module})


CheckSchedule = _stand_in("check", "CheckSchedule")
ListSchedule = _stand_in("list", "ListSchedule")
SetSchedule = _stand_in("schedules", "SetSchedule")
ShowSchedule = _stand_in("schedules", "ShowSchedule")
SimulateSchedule = _stand_in("schedules", "SimulateSchedule")
UnsetSchedule = _stand_in("schedules", "UnsetSchedule")
CreateSnapshot = _stand_in("snapshot_create", "CreateSnapshot")
ListSnapshot = _stand_in("image_list", "ListSnapshot")
ProtectSnapshot = _stand_in("protect", "ProtectSnapshot")
PruneSnapshot = _stand_in("prune", "PruneSnapshot")
RestoreSnapshot = _stand_in("restore", "RestoreSnapshot")
UnprotectSnapshot = _stand_in("protect", "UnprotectSnapshot")
VerifySnapshot = _stand_in("verify", "VerifySnapshot")
WatchSnapshot = _stand_in("snapshot_watch", "WatchSnapshot")
