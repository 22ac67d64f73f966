"""What every test runs under.

JAX's configuration is the default one, 32-bit included: karush must work inside it and leave it as it was. Type and
rank promotion are strict except for tests marked `user_style`.
"""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Before JAX is imported: tests compile the same small programs over and over, on the next run not at all.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# A shell starts background jobs with Ctrl-C ignored; the tests of Ctrl-C are to hold there too.
signal.signal(signal.SIGINT, signal.default_int_handler)

import jax
import pytest
from beartype import BeartypeConf
from beartype.claw import beartype_packages
from hypothesis import HealthCheck, settings

# Arguments and results are checked against their annotations, in the tests only. Not at the door (problem, api, io),
# which tests hand wrong values on purpose, nor in solvers and report, which they hand stand-ins.
CHECKED = ("core", "jaxprs", "derivatives", "linalg", "certificates", "proofs", "backends")
beartype_packages(tuple(f"karush.{room}" for room in CHECKED), conf=BeartypeConf(is_pep484_tower=True))

# Compilation makes the first example of a property test slow; a deadline would measure that, not the property.
settings.register_profile(
    "karush", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("karush")


@pytest.fixture(autouse=True)
def jax_config_is_left_alone():
    """No test, and so nothing in karush that a test calls, leaves a JAX setting changed."""
    before = dict(jax.config.values)
    yield
    after = dict(jax.config.values)
    changed = {key: (before.get(key), after[key]) for key in after if before.get(key) != after[key]}
    assert not changed, f"JAX settings left changed (before, after): {changed}"


@pytest.fixture(autouse=True)
def strict_promotion(request, jax_config_is_left_alone):
    """Mixed dtypes and ranks raise, in karush's own arithmetic as in the test's functions."""
    with ExitStack() as stack:
        if request.node.get_closest_marker("user_style") is None:
            stack.enter_context(jax.numpy_dtype_promotion("strict"))
            stack.enter_context(jax.numpy_rank_promotion("raise"))
        yield
