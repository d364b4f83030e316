"""The shell command as a module: `python -m camkit` is `camkit`."""

import sys

from camkit._cli import main

if __name__ == "__main__":
    sys.exit(main())
