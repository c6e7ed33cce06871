"""`ottla` with a reserve that is never given to anybody: `test_disk_full.py` starts it."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[4]))
    from storage.local.reserve import Reserve
    from tools.__main__ import main

    Reserve.spend = lambda self: False  # type: ignore[method-assign]  # the planted bug
    sys.exit(main(sys.argv[1:]))
