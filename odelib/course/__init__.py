"""The classroom: from a master notebook to what students get, and from what they hand in to points.

Building and grading meet in one folder per assignment, ``autograder/NAME``, which ``odelib course build`` writes and
``odelib course grade`` reads:

``assignment.json``
    - ``name``: text, as in ``"1-solvers-and-order"``.
    - ``questions``: list of ``{"name": text, "points": number, "manual": bool}``, in the order of the notebook. The
      points of a manual question are given by a person with its rubric; ``grade`` is silent on it.
    - ``timeout_s``, ``memory_mb``: what one submission may take, its cells and the tests together.
    - ``parameters``: for each parameter of a student ``{"integer": [low, high]}`` (both included),
      ``{"number": [low, high, digits]}`` or ``{"choice": [...]}``.
    - ``public``: the parameters that all share where there is no secret.
    - ``students``: null, or the list of ids that the assignment was built for.
    - ``fingerprint``: null, or what tells the secret that it was built with from another.

``tests.py``
    Plain Python that imports nothing of ``odelib.course``. ``grade(namespace, parameters)`` takes the names that the
    student's code cells left, and the student's own parameters; it returns, for each question that is not manual,
    ``{"question": text, "points": number, "out_of": number, "message": text}``. It raises nothing, whatever the student
    wrote; what ends the process or the time is for the grader to see.

It is called after the code cells ran, and never in their process: ``namespace`` has stand-ins, and a call of a
student's function goes to the sandbox where the submission runs, and comes back as data (see ``odelib.course.grade``).
The parameters are worked out by ``odelib.course.parameters.parameters_for(assignment, student_id, secret)`` with the
content of ``assignment.json``; the secret goes to neither process. What a notebook says that its parameters are counts
for nothing.

A submission is a file ``STUDENT.ipynb``, or ``STUDENT_anything.ipynb`` as Gradescope names it, in a folder;
``odelib.course.parameters.student_of(file_name, assignment)`` says whose it is.
"""
