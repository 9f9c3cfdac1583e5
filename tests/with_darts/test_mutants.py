"""Models with one fault each fail the check that is there to catch it.

The models without the fault pass all checks.
"""

import inspect

import pytest

from tests.with_darts.mutants import BASES, MUTANTS

pytest.register_assert_rewrite("tests.with_darts.conformance")

from tests.with_darts.conformance import CHECKS  # noqa: E402  # is rewritten

# Lightning's, wherever a checkpoint is resumed.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Checkpoint directory .* exists and is not empty:UserWarning"
)


ON_BASES = sorted(
    {(base, by) for one, by in MUTANTS for base in BASES if issubclass(one, base)},
    key=str,
)


def named(pairs):
    """Return names of pairs of a class and a check."""
    return [f"{one.__name__}-{by}" for one, by in pairs]


@pytest.fixture
def run(small, request):
    """Return a function that runs a check on a class."""

    def run_check(model_class, check):
        def make(**settings):
            return model_class(**{**small, **settings})

        function = CHECKS[check]
        fixtures = list(inspect.signature(function).parameters)[1:]
        given = {name: request.getfixturevalue(name) for name in fixtures}
        function(make, **given)

    return run_check


@pytest.mark.parametrize(("mutant", "check"), MUTANTS, ids=named(MUTANTS))
def test_a_mutant_is_caught(mutant, check, run):
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run(mutant, check)


@pytest.mark.parametrize(("base", "check"), ON_BASES, ids=named(ON_BASES))
def test_what_mutants_are_built_on_passes(base, check, run):
    """So that it is the fault that is caught."""
    run(base, check)
