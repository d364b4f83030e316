"""What grading allows a submission: time, memory and output."""

# For a whole submission: seconds on the clock, and seconds of computing in one process.
SECONDS = 600
CPU_SECONDS = 180

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
