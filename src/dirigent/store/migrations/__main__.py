"""Brings the database whose address stands on the standard input to the schema of this version."""

from __future__ import annotations

import logging
import sys

from dirigent.core.errors import DirigentError
from dirigent.store.database import Database
from dirigent.store.migrations import migrate


def main() -> int:
    """0 where the schema stands; 1 with the reason on the last line of the standard error."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        database = Database.at(sys.stdin.read().strip())
        migrate(database)
        database.close()
    except (DirigentError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
