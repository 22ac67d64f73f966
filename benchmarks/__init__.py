"""karush beside other solvers on published problems: ``python -m benchmarks.run``."""
