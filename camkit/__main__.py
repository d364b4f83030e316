"""The shell command as a module: `python -m camkit` is `camkit`."""

import sys

from camkit._cli import main

sys.exit(main())
