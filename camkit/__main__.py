"""`python -m camkit`: the shell command."""

import sys

from camkit._cli import main

sys.exit(main())
