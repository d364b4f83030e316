"""The process that grades one submission: python -m course._child FOLDER ASSIGNMENT STUDENT LIMITS.

It sets its limits itself, before it imports anything large. To set them from the parent, between
fork and exec (subprocess' `preexec_fn`), could deadlock, since the parent grades in threads.
"""

import resource
import sys
from contextlib import suppress


def limit_resources(memory: int, file_size: int) -> None:
    """Limit what this process and its children may use: bytes, and bytes of a file."""
    limits = {resource.RLIMIT_AS: memory, resource.RLIMIT_FSIZE: file_size}
    for kind, most in limits.items():
        # macOS knows no limit of memory.
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def main() -> None:
    """Set the limits, then grade. Exit with 0, or with 1 after printing nbgrader's log."""
    folder, assignment, student, memory, file_size = sys.argv[1:]
    limit_resources(int(memory), int(file_size))

    # Imported here, so that the limits hold for these imports as well.
    from course.autograde import autograde

    sys.exit(0 if autograde(folder, assignment, student) else 1)


if __name__ == "__main__":
    main()
