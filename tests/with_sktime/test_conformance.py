"""The conformance suite on our forecasters, and sktime's own checks of them."""

import pytest
from sktime.forecasting.tests import test_all_forecasters
from sktime.tests import test_all_estimators

from lstm_forecasters.sktime import (
    BidirectionalLSTMForecaster,
    EncoderDecoderLSTMForecaster,
    PretrainedLSTMForecaster,
    StackedLSTMForecaster,
    VanillaLSTMForecaster,
)

pytest.register_assert_rewrite("tests.with_sktime.conformance")

from tests.with_sktime.conformance import CHECKS  # noqa: E402  # is rewritten


@pytest.fixture
def make(make_any):
    """Return a function that constructs a small forecaster, pretrained ones too."""
    return make_any


FORECASTERS = [
    VanillaLSTMForecaster,
    StackedLSTMForecaster,
    BidirectionalLSTMForecaster,
    EncoderDecoderLSTMForecaster,
    PretrainedLSTMForecaster,
]


# sktime's update_predict concatenates forecasts in a way that pandas deprecates.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Sorting by default when concatenating all DatetimeIndex:DeprecationWarning"
)

globals().update({f"test_{name}": check for name, check in CHECKS.items()})


class OurForecasters:
    """Have the checks generate their items for the forecasters of this package."""

    def _all_objects(self):
        return FORECASTERS

    def _generate_method_nsc_arraylike(self, test_name, **kwargs):
        # sktime returns the elements of a set: workers would disagree on the order.
        return sorted(super()._generate_method_nsc_arraylike(test_name, **kwargs))


class TestObjects(OurForecasters, test_all_estimators.TestAllObjects):
    """What sktime checks of every object."""


class TestEstimators(OurForecasters, test_all_estimators.TestAllEstimators):
    """What sktime checks of every estimator."""


class TestForecasters(OurForecasters, test_all_forecasters.TestAllForecasters):
    """What sktime checks of every forecaster."""
