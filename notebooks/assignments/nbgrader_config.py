"""nbgrader's settings for this course: for course.py, and for nbgrader's own commands and buttons in this folder."""

c = get_config()  # noqa: F821 (nbgrader defines it)

c.CourseDirectory.course_id = "camkit"

c.ClearSolutions.code_stub = {
    "python": "raise NotImplementedError  # your code in place of this line"
}
c.ClearSolutions.text_stub = "*Your answer here.*"

c.Execute.timeout = 60  # seconds for a cell
c.Execute.extra_arguments = [
    "--HistoryManager.hist_file=:memory:",
    "--IPKernelApp.log_level=40",
    "--InteractiveShell.xmode=Plain",  # no lines around the one that fails: a check's name every mistake
]

c.Validator.width = 200  # longer lines are cut, and the last of an error is what a check says

c.OverwriteCells.add_missing_cells = True  # a test cell that was deleted comes back, and is graded
