"""What grading allows a submission: time, memory and output."""

# A cell has `timeout` seconds of computing (nbgrader_config.py), so that a busy machine takes
# nothing from it, and this many times as long on the clock, in case it waits.
CLOCK = 10

# After so many cells that ran out of time, those that are no tests get this share of it.
PATIENCE = 2
IMPATIENCE = 1 / 6

# How long, in seconds of computing, an interrupted cell may go on before its process is killed.
GRACE = 5

# A submission that takes as many seconds on the clock is not graded: the machine is at fault.
SECONDS = 3600

# Bytes that a process may map (TensorFlow alone maps 3 GiB), and of a file that it writes.
MEMORY = 6 << 30
FILE_SIZE = 64 << 20

# Characters that a cell may print, and the line that replaces the rest.
PRINTED = 200_000
CUT_SHORT = "Here more was printed than is kept."

# Two submissions are graded at once, so each computes on one thread.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}
