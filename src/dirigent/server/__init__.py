"""The composition root: settings become ports, ports and a configuration become a node that answers.

The only room that knows everyone.
"""

from dirigent.server.configured import checked
from dirigent.server.folder import first_key, prepared
from dirigent.server.node import run_worker
from dirigent.server.parts import client, fetcher, reader
from dirigent.server.running import Running

__all__ = ["Running", "checked", "client", "fetcher", "first_key", "prepared", "reader", "run_worker"]
