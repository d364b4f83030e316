"""The graded course: release assignments, grade submissions, prove that mistakes cost points.

Run it as `python -m course`, with `notebooks/assignments` and `notebooks/site` on the PYTHONPATH;
`make course` and `make grade` do so. `teachers.md` explains it for teachers.

One instructor's notebook for each assignment is the only source. Modules import from those below
them only:

    cli                          the command line
    guide, proof                 the instructor's guide; what each wrong answer costs
    grading, release             grade a folder of submissions; fill a release folder
    collecting, owners           what a platform hands over: which student handed in what, when
    returns, tables              what goes back to a platform; grades.csv and remarks.csv
    feedback, lateness           the pages for students; what is late, and what that costs
    similarity                   answers of two students that are more alike than chance makes them
    isolation, submissions       grade one submission in a process with limits; read a notebook
    environment, bench           where a student's code runs; the student's cells and the tests
    cells, syntax                find the cells that were handed out again; what a source defines
    roster, files                the students; files, also in archives
    gradebook, explanations      points; what went wrong, in words
    year                         the folder of a year
    sources, marks, markdown, limits

`_child` and `autograde` are the program of the process that grades a single submission.
"""
