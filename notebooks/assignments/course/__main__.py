"""`python -m course`: the command line of the graded course."""

import sys

from course import cli

try:
    cli.main()
except OSError as error:
    sys.exit(f"error: {error}")
