"""Forecasters with one fault each fail the check that is there to catch it.

The forecasters without the fault pass all checks, in the same cases.
"""

import inspect

import pytest

pytest.register_assert_rewrite("tests.with_sktime.conformance")

from tests.with_sktime.conformance import CHECKS  # noqa: E402  # is rewritten
from tests.with_sktime.mutants import MUTANTS  # noqa: E402  # imports it

by_mutant = pytest.mark.parametrize(
    ("mutant", "check", "case"),
    MUTANTS,
    ids=[f"{one.__name__}-{by}" for one, by, _ in MUTANTS],
)


@by_mutant
def test_a_mutant_is_caught(mutant, check, case, small, request):
    def make(**settings):
        return mutant(**{**small, **settings})

    function = CHECKS[check]
    needed = set(inspect.signature(function).parameters) - {"make", *case}
    fixtures = {name: request.getfixturevalue(name) for name in needed}
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        function(make, **case, **fixtures)


@by_mutant
def test_the_forecasters_pass_the_same_case(mutant, check, case):
    """It is one of those that the conformance suite tries."""
    names = set()
    for mark in getattr(CHECKS[check], "pytestmark", []):
        these, values = mark.args
        if isinstance(these, str):
            these, values = (these,), [(value,) for value in values]
        assert tuple(case[name] for name in these) in values
        names.update(these)
    assert names == set(case)
