"""Makes Neutron's tables from its models, in the database that is named.

neutron-db-manage cannot: its migrations change constraints, which SQLite does not.
"""

import sys

import sqlalchemy
from neutron.db.migration.models import head

head.get_metadata().create_all(sqlalchemy.create_engine(sys.argv[1]))
