"""``python -m wfconsole``."""

import sys

from wfconsole.main import main

if __name__ == "__main__":
    sys.exit(main())
