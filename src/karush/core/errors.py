"""Every exception that karush raises on purpose.

```
KarushError
├── ProblemError (ValueError)      what the user handed in cannot be a problem
│   ├── TraceError                 a user's function cannot be traced by JAX, or returns the wrong thing
│   └── PrecisionError             float32 data where float64 is needed
├── OptionError (TypeError)        an unknown or impossible option or method
├── BackendMissing (ImportError)   a solver that is not installed
├── FileError (ValueError)         a problem file or point file that cannot be read
└── SensitivityError               a solution that has no derivative, or a mode that has no normal approximation
```

A message names the argument, its value, the condition that it violates, and the cure.

`RoundingWarning` is the one warning: a solve without success in which rounding has spoilt what the user's functions
return, with the line.
"""


class KarushError(Exception):
    """Root of the tree."""


class ProblemError(KarushError, ValueError):
    """The objective, start, bounds, constraints or scales do not make a problem."""


class TraceError(ProblemError):
    """A user's function cannot be traced by JAX, or does not return what its place asks for."""


class PrecisionError(ProblemError):
    """Single-precision data would silently limit a double-precision answer."""


class OptionError(KarushError, TypeError):
    """An option or method that does not exist, or a value it cannot take."""


class BackendMissing(KarushError, ImportError):
    """The package of the chosen solver is not installed."""


class FileError(KarushError, ValueError):
    """A problem file or point file that cannot be read as one."""


class SensitivityError(KarushError):
    """A condition under which a solution may be differentiated fails; the message says which, and by how much."""


class RoundingWarning(UserWarning):
    """A solve ended without success, and rounding has spoilt what its functions return; the message says where."""
