"""What a teacher gets besides notebooks: the rubric of each assignment, a checklist for the whole."""

from collections.abc import Sequence

from odelib.course.masters import Master


def rubric(master: Master) -> str:
    """How each question gives its points, as Markdown."""
    lines = [f"# {master.name}: {master.points:g} points, {master.minutes} minutes", ""]
    for question in master.questions:
        who = "a person marks it" if question.manual else "tests mark it"
        lines += [f"## {question.name}: {question.points:g} points; {who}", ""]
        rows = [(points, text) for points, text in question.rubric]
        rows += [
            (test.points, f"`{test.name}`, {'hidden' if test.hidden else 'seen by students'}")
            for test in question.tests
        ]
        lines += [f"- {points:g}: {text}" for points, text in rows] + [""]
    return "\n".join(lines)


def checklist(masters: Sequence[Master], students: Sequence[str] | None) -> str:
    """What to do with the folder, as Markdown."""
    by_hand = [sum(question.points for question in master.questions if question.manual) for master in masters]
    table = "\n".join(
        f"| {master.name} | {master.points:g} | {points:g} | {master.minutes} | {master.timeout_s} |"
        for master, points in zip(masters, by_hand, strict=True)
    )
    if students is None:
        whose = (
            "It was built without a secret: all students have the same parameters, and the tests that see them are "
            "public in the masters, so a copied answer passes. That is enough for practice. For points, build with "
            "`--secret` and `--students`."
        )
    else:
        whose = (
            f"It was built for {len(students)} students, each with parameters of their own. Keep the file of the "
            "secret and this folder but `students/` to yourself, and build again with the same secret when somebody "
            "joins: nobody else's parameters change."
        )
    return f"""# Before you hand out

{whose}

| assignment | points | of these by hand | minutes | seconds for grading |
| --- | --- | --- | --- | --- |
{table}

- [ ] Read each notebook in `teacher/` and its rubric; change a master rather than these files, and build again.
- [ ] Give each student the folder of that name in `students/`, or the zip beside it, and nothing else. The build has
      looked through these for solutions, hidden tests and the secret.
- [ ] Run one notebook of a student in the place where they will work, Colab or Jupyter, up to the first check.
- [ ] On Gradescope: make a *Programming Assignment* for each assignment and upload `gradescope/NAME.zip`. Hand in the
      notebook of `teacher/` there, whose parameters are the public ones or those of the first student: as that student
      it has full points in what tests mark.
- [ ] Without Gradescope: put what you get into one folder and run
      `odelib course grade FOLDER --assignment autograder/NAME`, with `--secret` as here.
- [ ] Mark by hand, with the rubric, what tests do not mark: derivations and conclusions.
- [ ] Where the points count for much, ask three students in person how their code does what it does.
"""
