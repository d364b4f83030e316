"""nbgrader's settings for this course.

`python -m course` reads them, and so do nbgrader's own commands and buttons in this folder.
"""

c = get_config()  # noqa: F821  nbgrader defines it

c.CourseDirectory.course_id = "camkit"

c.ClearSolutions.code_stub = {
    "python": "raise NotImplementedError  # your code in place of this line"
}
c.ClearSolutions.text_stub = "*Your answer here.*"

# Seconds of computing for a cell, so that a busy machine takes nothing from it.
c.Execute.timeout = 30
# No source lines around the one that fails: those of a check name every known mistake.
c.Execute.extra_arguments = [
    "--HistoryManager.hist_file=:memory:",
    "--IPKernelApp.log_level=40",
    "--InteractiveShell.xmode=Plain",
]

# Longer lines are cut, and the last line of an error is what a check says.
c.Validator.width = 200

# A test cell that was deleted comes back, and is graded.
c.OverwriteCells.add_missing_cells = True
