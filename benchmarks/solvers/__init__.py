"""One file per solver. A newcomer adds ``benchmarks/solvers/<name>.py`` with

    PACKAGE = "name on the registry"                # its version is recorded

    def prepare(problem: BenchmarkProblem):         # everything that is done once per problem
        def solve(x0) -> Answer: ...                # everything that is done once per start
        return solve

and names it in ``--solvers``. Cold time is ``prepare(problem)(problem.x0)`` in a new process, or ``cold(problem)``
where the file defines it; warm time is ``solve(x0)`` again.
"""

ALL = ("karush", "ipopt", "pounce", "uno", "slsqp")
"""the solvers of a run without ``--solvers``"""
