"""The two words of an answer: why a run ended, and what its point is."""

from enum import StrEnum


class Status(StrEnum):
    """Why a run ended; says nothing about what its point is (see `Verdict`)."""

    CONVERGED = "converged"
    ITERATION_LIMIT = "iteration limit"
    TIME_LIMIT = "time limit"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped by the callback"
    EVALUATION_FAILED = "evaluation failed"
    STEP_FAILED = "no further progress"
    INFEASIBLE = "stationary point of the infeasibility"
    UNBOUNDED = "objective diverges"


class Verdict(StrEnum):
    """What a point is, recomputed from the user's own functions."""

    LOCAL_MINIMUM = "LOCAL_MINIMUM"
    GLOBAL_MINIMUM = "GLOBAL_MINIMUM"
    STATIONARY = "STATIONARY"
    NOT_A_MINIMUM = "NOT_A_MINIMUM"
    NOT_STATIONARY = "NOT_STATIONARY"
    LOCALLY_INFEASIBLE = "LOCALLY_INFEASIBLE"
    UNBOUNDED = "UNBOUNDED"
    UNDECIDED = "UNDECIDED"
